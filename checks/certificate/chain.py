"""Whether the served chain ends in the CA that clients are given."""

from __future__ import annotations

from collections.abc import Iterator

from gapcheck.checks.certificate.names import RESTART_PENDING
from gapcheck.counting import counted
from gapcheck.fixtures import pki
from gapcheck.fixtures.gotls.refusal import Reason
from gapcheck.fixtures.gotls.verdict import GoVerdict, judge_chain
from gapcheck.fixtures.pki import Cert
from gapcheck.fixtures.served import measured_at, served_chain, served_leaf
from gapcheck.fixtures.trust_roots import Roots, registry_roots
from gapcheck.model import CheckId, Evidence, Finding, Scope, Severity
from gapcheck.registry import Judgement, Source, check
from gapcheck.view import RegistryView

_ROOTS: dict[Reason, tuple[str, ...]] = {
    "unknown-authority": ("CERT-FILE-001",),
    "eku": ("CERT-USAGE-001",),
    "unhandled-critical": ("CERT-USAGE-001",),
    "weak": ("CERT-STRENGTH-001",),
    "handshake": ("CERT-STRENGTH-001",),
}


@check(
    "CERT-CHAIN-001",
    scope=Scope.REGISTRY,
    severity=Severity.CRITICAL,
    after=("CERT-SERVED-002", "CERT-LIFE-001"),
    source=Source(step=1, fault=("C10", "C16", "C17", "C19", "C25")),
)
def chain_ends_in_the_given_ca(view: RegistryView) -> Judgement:
    """What the registry serves leads, certificate by certificate, to the CA clients are given.

    Names are left to CERT-SAN-001; everything else is judged as Go does.
    """
    roots = registry_roots(view)
    served = served_chain(view)
    verdict = judge_chain(served, roots=pki.pool(roots.pem), host=None, now=view.now)
    yield Evidence("served", counted(len(served), "certificate"), measured_at(view))
    if verdict.ok:
        yield Evidence("ends in", ", ".join(_names(verdict.anchors)), roots.named)
        yield from _leaf_alone(view, roots, served)
        return
    yield _finding(view, verdict, roots, served)


def _names(ders: tuple[bytes, ...]) -> tuple[str, ...]:
    return tuple(cert.named for cert in _read(ders))


def _read(ders: tuple[bytes, ...]) -> list[Cert]:
    """Those of `ders` that can be read; Go's own refusal says what is wrong with the others."""
    found = []
    for der in ders:
        try:
            found.append(pki.read_certificate(der))
        except ValueError:
            continue
    return found


def _leaf_alone(view: RegistryView, roots: Roots, served: tuple[bytes, ...]) -> Iterator[Finding]:
    leaf = served_leaf(view)
    held = pki.certificates(roots.pem)
    if leaf.self_issued or served[0] not in [cert.der for cert in held]:
        return
    if any(cert.subject == leaf.issuer for cert in held):
        return
    yield Finding(
        problem=f"{roots.named} holds the server's certificate itself, not the CA that signed it",
        evidence=(Evidence("signed by", leaf.issuer, measured_at(view)),),
        consequence="Go and curl accept it; openssl and Python before 3.13 fail: unable to get "
        "local issuer certificate (20); every renewal must be trusted anew by all clients",
        remedy_hint="give clients the CA",
        locus=roots.named,
        severity=Severity.MINOR,
        data={"kind": "leaf"},
    )


def _finding(
    view: RegistryView, verdict: GoVerdict, roots: Roots, served: tuple[bytes, ...]
) -> Finding:
    kind, problem = _explained(verdict, roots, served)
    because = tuple(CheckId(each) for each in _ROOTS.get(verdict.reason, ()))
    return Finding(
        problem=problem,
        evidence=(
            Evidence("Go says", verdict.error, "rules of Go's Verify, names left out"),
            *(Evidence("served", name, measured_at(view)) for name in _names(served)),
            *(
                Evidence("given", cert.named, roots.named)
                for cert in pki.certificates(roots.pem)[:5]
            ),
        ),
        consequence=f"every pull fails: {verdict.error}",
        remedy_hint="send the missing certificates, or give clients the CA that signed this one",
        locus="chain",
        data={"kind": kind},
        because=(*because, *RESTART_PENDING),
    )


def _explained(verdict: GoVerdict, roots: Roots, served: tuple[bytes, ...]) -> tuple[str, str]:
    """Kind of defect and the sentence for it."""
    if verdict.reason == "name-constraint":
        return "constraint", "a CA of the chain is not allowed to sign for this name"
    if verdict.reason == "ca-constraint":
        return "not-a-ca", "a certificate that signs in this chain is not allowed to"
    top = _top(_read(served))
    if verdict.reason in ("unknown-authority", "signature") and top is not None:
        return _unanchored(top, roots)
    return "other", f"Go accepts no chain: {verdict.error.removeprefix('tls: ')}"


def _unanchored(top: Cert, roots: Roots) -> tuple[str, str]:
    """Why `top`, the last certificate that was sent, leads to no root."""
    given = pki.certificates(roots.pem)
    if not given:
        return "no-ca", f"{roots.named} gives clients no certificate that Go loads"
    if any(cert.subject == top.issuer for cert in given):
        return "same-name", (
            f"{roots.named} holds a CA named {top.issuer}, but not the one that signed the served "
            "certificate: same name, another key"
        )
    if top.self_issued:
        return "other-ca", f"the chain ends in {top.named}, which {roots.named} does not hold"
    return "incomplete", (
        f"the chain stops at {top.subject or 'the certificate'}, signed by {top.issuer}, which the "
        f"registry does not send and {roots.named} does not hold"
    )


def _top(served: list[Cert]) -> Cert | None:
    """The last certificate that the leaf reaches by issuers' names inside what was served."""
    if not served:
        return None
    top, rest = served[0], served[1:]
    while not top.self_issued:
        above = next((cert for cert in rest if cert.subject == top.issuer), None)
        if above is None:
            break
        rest.remove(above)
        top = above
    return top
