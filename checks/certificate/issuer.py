"""Whether the served certificate comes from the CA that the site issues by."""

from __future__ import annotations

from gapcheck.errors import NotApplicable
from gapcheck.fixtures import pki
from gapcheck.fixtures.facts import Absent, measured
from gapcheck.fixtures.gotls.verdict import judge_chain
from gapcheck.fixtures.served import measured_at, served_chain, served_leaf
from gapcheck.model import SITE, Evidence, Finding, Scope, Severity
from gapcheck.registry import Judgement, Source, check
from gapcheck.site import Issuer
from gapcheck.view import RegistryView


@check(
    "CERT-ISSUER-001",
    scope=Scope.REGISTRY,
    severity=Severity.MINOR,
    after=("CERT-CA-001", "CERT-CHAIN-001", "CERT-FILE-001"),
    source=Source(step=1),
)
def certificate_is_of_the_issuer(view: RegistryView) -> Judgement:
    """The served certificate is signed by the CA of registry.issuer, as its renewal will be.

    Another CA there is one to come: clients have to trust it before the certificate is
    exchanged, on a chosen day and not when the present one ends.
    """
    issuer = view.site.registry.issuer
    if not isinstance(issuer, Issuer):
        raise NotApplicable("registry.issuer names no pair of this site")
    path = issuer.certificate
    file = measured(view.site_facts.files.get(path, Absent()), f"the issuer {path}", SITE)
    if file is None:
        raise NotApplicable(f"{path} is not there; it is made when a certificate is first issued")
    held = pki.certificates(view.content(file))
    leaf, where = served_leaf(view), measured_at(view)
    if not held:
        yield Finding(
            problem=f"{path}, the certificate of registry.issuer, is none that Go loads",
            consequence="no certificate can be issued by it when the present one ends",
            remedy_hint="bring the CA's own certificate (PEM) again",
            locus=path,
            data={"kind": "unread"},
        )
        return
    yield Evidence("issuer", held[0].named, path)
    roots = pki.pool(pki.to_pem(held[0].der))
    verdict = judge_chain(served_chain(view), roots=roots, host=None, now=view.now)
    if not verdict.ok:
        said = verdict.error.removeprefix("tls: failed to verify certificate: ")
        yield Finding(
            problem=f"{held[0].named} of registry.issuer is not the CA of the certificate that is "
            f"served ({said})",
            evidence=(Evidence("certificate", leaf.named, where),),
            consequence="its renewal will come from a CA that clients have to trust before",
            remedy_hint=f"add {path} to {view.site.registry.ca_file} beside the present CA, spread "
            "it (NODE-TRUST-008, SECRET-CA-004), then have this repaired: it is exchanged",
            locus="leaf",
            data={"kind": "other"},
        )
