"""Whether clients complete a verified handshake with the registry: Go's, then OpenSSL's."""

from __future__ import annotations

from gapcheck.checks import tls_words
from gapcheck.errors import NotApplicable
from gapcheck.fixtures import openssl, pki
from gapcheck.fixtures.gotls.outcome import go_outcome
from gapcheck.fixtures.trust_roots import registry_roots
from gapcheck.model import Evidence, Finding, Scope, Severity
from gapcheck.registry import Judgement, Source, check
from gapcheck.view import RegistryView


@check(
    "REG-TLS-001",
    scope=Scope.REGISTRY,
    severity=Severity.CRITICAL,
    source=Source(step=2, fault=("C01", "C02", "C05", "C10", "C17", "C19", "R01", "R04")),
    manual="this is the proof, not the cause: repair the root it names. Where it names none, the "
    "CA given is not the one that signed the served certificate: compare the fingerprints in the "
    "evidence, then give clients the right CA, or serve a certificate that this CA signed.",
)
def go_client_completes_a_verified_handshake(view: RegistryView) -> Judgement:
    """A Go client (containerd, kubelet, helm) completes a verified handshake with the registry.

    The roots are exactly the CA file of the site, or this machine's store where it names
    none; chain building, names, key sizes and protocol are those of Go 1.26. Refused, reset
    and late connections fail too: they are what the client gets.
    """
    tls = view.facts.tls
    roots = registry_roots(view)
    chain = view.chain(tls.chain)
    pool = pki.pool(roots.pem)
    verdict = go_outcome(tls, chain, roots=pool, now=view.now)
    evidence = (
        *tls_words.evidence(view, tls, roots, chain),
        *tls_words.openssl_evidence(
            openssl.judge(chain, pem=roots.pem, host=tls.host, now=view.now) if chain else ()
        ),
    )
    demand = tls_words.demand(tls)
    if verdict.ok and demand:
        yield Finding(
            problem=f"{tls_words.named(tls)} demands a client certificate; a Go client without "
            f"one reads: {demand}",
            evidence=(Evidence("Go says", demand, "the first read after the handshake"), *evidence),
            consequence=tls_words.consequence(tls, demand),
            remedy_hint="let the registry ask for a login instead of a certificate; only "
            "containerd can be given one (`client` in the hosts.toml of every node)",
            data={"reason": "client-certificate", "error": demand},
        )
        return
    if verdict.ok:
        yield from evidence
        return
    yield Finding(
        problem=f"{tls_words.named(tls)}: a Go client ends the handshake with: {verdict.error}",
        evidence=(Evidence("Go says", verdict.error, "rules of Go 1.26"), *evidence),
        consequence=tls_words.consequence(tls, verdict.error),
        remedy_hint="repair the root that is named with this finding, then judge again",
        data={"reason": verdict.reason, "error": verdict.error},
        because=tls_words.roots_of(verdict, roots, len(pool.certificates)),
    )


@check(
    "REG-TLS-002",
    scope=Scope.REGISTRY,
    severity=Severity.MINOR,
    source=Source(step=2, fault=("C12", "C13", "C15", "C25")),
    manual="no consumer of the site is an OpenSSL client, so nothing is changed for their sake: "
    "the next reissue by the CERT checks gives a certificate that both accept. Until then people "
    "who use curl or Python against the registry meet the line that is shown.",
)
def openssl_clients_accept_the_chain(view: RegistryView) -> Judgement:
    """OpenSSL clients (curl, Python, openssl s_client) accept the served chain as Go does.

    OpenSSL verifies it with the same roots, at security level 2, by each client's name rule.
    What differs from Go: the common name as a fallback, wildcards of one label, a leaf or an
    intermediate as trust anchor, the leaf's key usage, key size and hash.
    """
    tls = view.facts.tls
    if not tls.chain:
        raise NotApplicable(f"no certificate came from {tls_words.named(tls)}: see REG-TLS-001")
    roots = registry_roots(view)
    chain = view.chain(tls.chain)
    go = go_outcome(tls, chain, roots=pki.pool(roots.pem), now=view.now)
    outcomes = openssl.judge(chain, pem=roots.pem, host=tls.host, now=view.now)
    yield Evidence("Go", go.error or "accepts", "rules of Go 1.26")
    refusing = [each for each in outcomes if each.error]
    if not refusing:
        yield from tls_words.openssl_evidence(outcomes)
        return
    clients = ", ".join(each.client for each in refusing)
    beside = "Go accepts" if go.ok else "Go refuses too"
    yield Finding(
        problem=f"{tls_words.named(tls)}: refused by {clients}; {beside} what is served",
        evidence=tls_words.openssl_evidence(outcomes),
        consequence=f"certificate verify failed: {refusing[0].error}",
        remedy_hint="serve a certificate with the name as SAN, RSA 2048 or EC, SHA-256, its chain",
        data={"clients": clients},
    )
