"""Whether the served certificate is one for a server, and nothing more."""

from __future__ import annotations

from collections.abc import Iterator

from gapcheck.checks.certificate.names import RESTART_PENDING
from gapcheck.fixtures.pki import Cert
from gapcheck.fixtures.served import go_leaf, measured_at, served_certificates, served_leaf
from gapcheck.model import Evidence, Finding, Scope, Severity
from gapcheck.registry import Judgement, Source, check
from gapcheck.view import RegistryView

_SERVER_AUTH = "1.3.6.1.5.5.7.3.1"
_ANY_USAGE = "2.5.29.37.0"
_TLS_USAGES = frozenset({"digitalSignature", "keyEncipherment", "keyAgreement"})


@check(
    "CERT-USAGE-001",
    scope=Scope.REGISTRY,
    severity=Severity.CRITICAL,
    after=("CERT-SERVED-002",),
    source=Source(step=1, fault=("C11", "C12")),
)
def certificate_may_be_used_by_a_server(view: RegistryView) -> Judgement:
    """The certificate's usages allow a TLS server, by Go's rules and by OpenSSL's.

    Without these extensions any use is allowed. Go reads the extended usages of the whole
    chain and no key usage of the leaf; OpenSSL reads both of the leaf.
    """
    leaf, *others = served_certificates(view)
    where = measured_at(view)
    yield Evidence("extended usages", _listed(leaf.extended_usage), where)
    yield Evidence("key usages", _listed(leaf.key_usage), where)
    yield from _extended(leaf, "leaf", where)
    for place, cert in enumerate(others, 1):
        yield from _above(cert, f"served {place}", where)
    if leaf.key_usage is not None and not leaf.key_usage & _TLS_USAGES:
        yield _finding(
            f"its key usages are {_listed(leaf.key_usage)}, none of which a TLS server has",
            "Go clients accept it; curl, Python and openssl: unsuitable certificate purpose (26)",
            leaf,
            where,
            severity=Severity.MAJOR,
        )
    if go_leaf(view).extensions.unhandled_critical:
        yield _finding(
            "it holds a critical extension that Go does not know",
            "Go clients fail: x509: unhandled critical extension",
            leaf,
            where,
        )


def _listed(usages: frozenset[str] | None) -> str:
    return "not restricted" if usages is None else ", ".join(sorted(usages)) or "none"


def _extended(leaf: Cert, locus: str, where: str) -> Iterator[Finding]:
    usages = leaf.extended_usage
    if usages is None or _SERVER_AUTH in usages:
        return
    shown = f"its extended usages are {_listed(usages)}, without server authentication"
    if _ANY_USAGE in usages:
        text = "Go clients accept any usage; openssl fails: unsuitable certificate purpose (26)"
        yield _finding(shown, text, leaf, where, locus=locus, severity=Severity.MAJOR)
        return
    text = "Go clients fail: x509: certificate specifies an incompatible key usage; openssl: 26"
    yield _finding(shown, text, leaf, where, locus=locus)


def _above(cert: Cert, locus: str, where: str) -> Iterator[Finding]:
    usages = cert.extended_usage
    if usages is None or not usages.isdisjoint({_SERVER_AUTH, _ANY_USAGE}):
        return
    text = "Go clients fail: x509: certificate specifies an incompatible key usage"
    yield _finding(
        f"the intermediate's extended usages are {_listed(usages)}", text, cert, where, locus=locus
    )


def _finding(
    problem: str,
    consequence: str,
    cert: Cert,
    where: str,
    *,
    locus: str = "leaf",
    severity: Severity | None = None,
) -> Finding:
    return Finding(
        problem=f"{cert.subject or 'the certificate'}: {problem}",
        evidence=(Evidence("certificate", cert.named, where),),
        consequence=consequence,
        remedy_hint="issue it again for server authentication with the key usage digitalSignature",
        locus=locus,
        severity=severity,
        because=RESTART_PENDING,
    )


@check(
    "CERT-CA-001",
    scope=Scope.REGISTRY,
    severity=Severity.MAJOR,
    after=("CERT-SERVED-002",),
    source=Source(step=1, fault=("C18",)),
)
def server_certificate_is_not_a_ca(view: RegistryView) -> Judgement:
    """The served certificate is no CA, so that the key on the registry's machine signs nothing."""
    leaf = served_leaf(view)
    yield Evidence("CA", "yes" if leaf.is_ca else "no", measured_at(view))
    if leaf.is_ca:
        yield Finding(
            problem="the served certificate is itself a CA (basicConstraints CA:TRUE)",
            evidence=(Evidence("certificate", leaf.named, measured_at(view)),),
            consequence="whoever reads the registry's key can sign a certificate for any name, and "
            "every client that trusts the registry accepts it",
            remedy_hint="keep a CA apart, and serve a certificate that it signed",
            locus="leaf",
            because=RESTART_PENDING,
        )
