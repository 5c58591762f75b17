"""Whether something answers at the registry's port, and whether it speaks TLS."""

from __future__ import annotations

from gapcheck.errors import NotApplicable
from gapcheck.fixtures.facts import HttpFact, TlsFact, Unreadable, measured
from gapcheck.model import CheckId, Evidence, Finding, Scope, Severity
from gapcheck.registry import Judgement, Source, check
from gapcheck.view import RegistryView

_BAD_REQUEST = 400


@check(
    "REG-NET-001",
    scope=Scope.REGISTRY,
    severity=Severity.CRITICAL,
    source=Source(step=2, fault=("R01", "R03", "D01")),
    manual="gapcheck cannot start what it cannot reach: start the registry, publish its port "
    "(docker run -p 443:5000), or open the firewall between this machine and it. Where "
    "REG-RUN-002 fails too, that is the cause and can be repaired.",
)
def registry_is_reachable(view: RegistryView) -> Judgement:
    """The registry's port accepts a TCP connection from this machine."""
    tls = view.facts.tls
    where = tls.peer or f"{tls.host}:{tls.port}"
    if tls.stage not in ("resolve", "connect"):
        yield Evidence("connected", f"{tls.seconds:.2f} s with the handshake", where)
        return
    resolved = tls.stage == "connect"
    yield Finding(
        problem=f"{where} does not accept a connection: {tls.error}"
        if resolved
        else f"{tls.host} has no address here: {tls.error}",
        evidence=(Evidence("connecting", tls.error, where),),
        consequence="every pull fails with the same words",
        remedy_hint="start the registry, publish its port, or open the firewall"
        if resolved
        else "give the registry's name an address",
        locus=where,
        because=tuple(map(CheckId, ("DNS-NAME-001", "REG-RUN-002", "CERT-KEY-001"))),
    )


@check(
    "REG-HTTP-001",
    scope=Scope.REGISTRY,
    severity=Severity.CRITICAL,
    after=("REG-NET-001",),
    source=Source(step=2, fault=("R04",)),
)
def registry_does_not_speak_plain_http(view: RegistryView) -> Judgement:
    """The registry's port answers by TLS, not by plain HTTP."""
    tls = view.facts.tls
    if _spoke_tls(tls):
        yield Evidence("TLS", tls.protocol or "a certificate was sent", tls.peer)
        return
    if isinstance(view.facts.plain_http, Unreadable):
        # The failed handshake is judged by itself; a second silence must not hide it.
        raise NotApplicable(f"neither TLS nor plain HTTP: {view.facts.plain_http.reason}")
    answer = measured(view.facts.plain_http, "the answer to plain HTTP", view.subject)
    if answer is None or _asks_for_https(answer):
        yield Evidence("plain HTTP", "refused", tls.peer)
        return
    yield Finding(
        problem=f"port {tls.port} answers plain HTTP (status {answer.status}), not TLS",
        evidence=(
            Evidence("GET without TLS", str(answer.status), answer.url),
            Evidence("TLS handshake", tls.error or "none", tls.peer),
        ),
        consequence="every pull fails: http: server gave HTTP response to HTTPS client",
        remedy_hint="start the registry with REGISTRY_HTTP_TLS_CERTIFICATE and _KEY set; a "
        "misspelt name is only a warning in its log",
        locus=tls.peer,
    )


def _spoke_tls(tls: TlsFact) -> bool:
    return tls.stage == "done" or bool(tls.chain)


def _asks_for_https(answer: HttpFact) -> bool:
    """Whether a TLS server says so to plain HTTP: Go's, nginx's and Apache's words."""
    return answer.status == _BAD_REQUEST and "HTTP" in answer.body.upper()
