"""Whether the served certificates are valid today, and for how long."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

from gapcheck.checks.certificate.names import RESTART_PENDING
from gapcheck.fixtures import pki
from gapcheck.fixtures.facts import Present
from gapcheck.fixtures.gotls.verdict import judge_chain
from gapcheck.fixtures.pki import Cert
from gapcheck.fixtures.served import measured_at, served_certificates, served_chain, served_leaf
from gapcheck.fixtures.trust_roots import registry_roots
from gapcheck.model import CheckId, Evidence, Finding, Scope, Severity
from gapcheck.registry import Judgement, Source, check
from gapcheck.view import RegistryView

_DAY = timedelta(days=1)


@check(
    "CERT-LIFE-001",
    scope=Scope.REGISTRY,
    severity=Severity.CRITICAL,
    after=("CERT-SERVED-002",),
    source=Source(step=1, fault=("C05", "C07")),
)
def certificate_is_valid_today(view: RegistryView) -> Judgement:
    """The served certificate, and those that its chain needs, are valid now."""
    leaf = served_leaf(view)
    yield Evidence("valid", f"{_at(leaf.not_before)} to {_at(leaf.not_after)}", measured_at(view))
    if not leaf.not_before <= view.now <= leaf.not_after:
        yield _outside(view, leaf)
        return
    yield from _chain(view)


def _outside(view: RegistryView, leaf: Cert) -> Finding:
    early = view.now < leaf.not_before
    moment = f"{_at(view.now)} is {'before' if early else 'after'}"
    limit = _at(leaf.not_before if early else leaf.not_after)
    words = "is not valid before" if early else "expired at"
    return Finding(
        problem=f"the certificate {words} {limit}, it is {_at(view.now)}",
        evidence=(
            Evidence("certificate", leaf.named, measured_at(view)),
            *_clock(view),
        ),
        consequence="every client fails: x509: certificate has expired or is not yet valid: "
        f"current time {moment} {limit}",
        remedy_hint="compare the clocks, then issue the certificate again"
        if early
        else "issue the certificate again",
        locus="leaf",
        data={"kind": "early" if early else "expired"},
        because=RESTART_PENDING,
    )


def _clock(view: RegistryView) -> Iterator[Evidence]:
    if isinstance(view.registry.date, Present):
        skew = view.registry.date.value.skew_s
        yield Evidence("registry's clock against ours", f"{skew:+.0f} s", "its Date header")


def _chain(view: RegistryView) -> Iterator[Finding]:
    """A certificate above the leaf that is needed and out of its time."""
    roots = registry_roots(view)
    verdict = judge_chain(served_chain(view), roots=pki.pool(roots.pem), host=None, now=view.now)
    if verdict.reason not in ("expired", "not-yet-valid"):
        return
    above = (*served_certificates(view)[1:], *pki.certificates(roots.pem))
    bad = [cert for cert in above if not cert.not_before <= view.now <= cert.not_after]
    yield Finding(
        problem="a CA above the certificate is not valid today",
        evidence=tuple(
            Evidence(cert.named, f"{_at(cert.not_before)} to {_at(cert.not_after)}", roots.named)
            for cert in bad
        ),
        consequence=f"every client fails: {verdict.error}",
        remedy_hint="give clients a CA that is valid, and issue the certificate by it",
        locus="chain",
        data={"kind": "chain"},
        because=(CheckId("CERT-FILE-001"), *RESTART_PENDING),
    )


@check(
    "CERT-LIFE-002",
    scope=Scope.REGISTRY,
    severity=Severity.MAJOR,
    after=("CERT-LIFE-001",),
    source=Source(step=1, fault=("C06",)),
)
def certificate_is_not_about_to_expire(view: RegistryView) -> Judgement:
    """The certificate and its CA stay valid for at least policy.min_days_left days."""
    wanted = view.site.policy.min_days_left
    leaf = served_leaf(view)
    left = days_left(leaf, now=view.now)
    yield Evidence("days left", f"{left:.1f}", measured_at(view))
    if left < wanted:
        yield Finding(
            problem=f"the certificate expires in {left:.1f} days, the policy asks for {wanted}",
            evidence=(Evidence("certificate", leaf.named, measured_at(view)),),
            consequence=f"from {_at(leaf.not_after)} on every pull fails: x509: certificate has "
            "expired or is not yet valid",
            remedy_hint="issue the certificate again",
            locus="leaf",
            data={"kind": "renew"},
            because=RESTART_PENDING,
        )
    yield from _anchors(view, wanted)


def _anchors(view: RegistryView, wanted: int) -> Iterator[Finding]:
    roots = registry_roots(view)
    verdict = judge_chain(served_chain(view), roots=pki.pool(roots.pem), host=None, now=view.now)
    leaf = view.registry.tls.chain[0]
    for cert in pki.certificates(roots.pem):
        left = days_left(cert, now=view.now)
        if cert.der in verdict.anchors and cert.fingerprint != leaf and left < wanted:
            yield Finding(
                problem=f"the CA expires in {left:.1f} days, the policy asks for {wanted}",
                evidence=(Evidence("CA", cert.named, roots.named),),
                consequence="when it expires every client refuses every certificate it signed",
                remedy_hint="add a new CA beside it on every client, then issue by the new one",
                locus="ca",
                severity=Severity.MINOR,
                data={"kind": "ca"},
            )


def days_left(cert: Cert, *, now: datetime) -> float:
    """Time until `cert` expires, in days of 86,400 s; negative once it has."""
    return (cert.not_after - now) / _DAY


def _at(moment: datetime) -> str:
    return f"{moment:%Y-%m-%dT%H:%M:%SZ}"
