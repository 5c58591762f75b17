"""Whether the site's other HTTPS services pass with the CA that its pods are given."""

from __future__ import annotations

from gapcheck.checks import tls_words
from gapcheck.fixtures import pki
from gapcheck.fixtures.gotls.outcome import go_outcome
from gapcheck.fixtures.trust_roots import pod_roots
from gapcheck.model import Evidence, Finding, Scope, Severity
from gapcheck.registry import Judgement, Source, check
from gapcheck.view import ServiceView


@check(
    "SVC-TLS-001",
    scope=Scope.SERVICE,
    severity=Severity.MAJOR,
    source=Source(step=6),
    manual="the service is not ours to change: give its owner the line that Go says, or add the "
    "CA that signed its certificate to what pods are given (Helm value certs.secret).",
)
def service_is_trusted_by_pods(view: ServiceView) -> Judgement:
    """A Go client in a pod completes a verified handshake with the service, by the CA pods get.

    The roots are those of the site's CA secret; where there is none, the registry's CA file.
    Roots that an image brings along are not counted.
    """
    tls = view.facts.tls
    roots = pod_roots(view)
    chain = view.chain(tls.chain)
    pool = pki.pool(roots.pem)
    verdict = go_outcome(tls, chain, roots=pool, now=view.now)
    evidence = tls_words.evidence(view, tls, roots, chain)
    demand = tls_words.demand(tls) if verdict.ok else ""
    if verdict.ok and not demand:
        yield from evidence
        return
    error = demand or verdict.error
    ends = "demands a client certificate; a Go client in a pod without one reads"
    if not demand:
        ends = "a Go client in a pod ends the handshake with"
    yield Finding(
        problem=f"{tls_words.named(tls)}: {ends}: {error}",
        evidence=(Evidence("Go says", error, "rules of Go 1.26"), *evidence),
        consequence="sign-in, Git and other calls of the pods to this service fail with that line",
        remedy_hint="have its owner demand none of the pods"
        if demand
        else f"let {roots.named} hold the CA that signed it, or have its owner repair it",
        data={"reason": "client-certificate" if demand else verdict.reason, "error": error},
    )
