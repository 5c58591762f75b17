"""Sentences that the TLS checks of the registry and of other services share. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from gapcheck.counting import counted
from gapcheck.fixtures import pki
from gapcheck.fixtures.facts import TlsFact
from gapcheck.fixtures.gotls.refusal import Reason
from gapcheck.fixtures.gotls.verdict import GoVerdict
from gapcheck.fixtures.openssl import Outcome
from gapcheck.fixtures.trust_roots import Roots
from gapcheck.model import CheckId, Evidence
from gapcheck.view import View

ROOT_CHECKS: dict[Reason, tuple[str, ...]] = {
    "resolve": ("DNS-NAME-001",),
    "connect": ("REG-NET-001",),
    "handshake": ("REG-NET-001", "REG-HTTP-001", "CERT-STRENGTH-001", "CERT-KEY-001"),
    "unknown-authority": ("CERT-CHAIN-001",),
    "name": ("CERT-SAN-001",),
    "no-san": ("CERT-SAN-001",),
    "expired": ("CERT-LIFE-001",),
    "not-yet-valid": ("CERT-LIFE-001",),
    "ca-constraint": ("CERT-CHAIN-001", "CERT-USAGE-001"),
    "name-constraint": ("CERT-CHAIN-001",),
    "eku": ("CERT-USAGE-001",),
    "parse": ("CERT-CHAIN-001",),
    "signature": ("CERT-CHAIN-001",),
    "weak": ("CERT-STRENGTH-001",),
    "unhandled-critical": ("CERT-USAGE-001", "CERT-CHAIN-001"),
    "policy": ("CERT-CHAIN-001",),
}
"""Checks of the registry that find the root of a refusal, by its class."""


def named(tls: TlsFact) -> str:
    """host:port as a URL writes it."""
    host = f"[{tls.host}]" if ":" in tls.host else tls.host
    return f"{host}:{tls.port}"


def roots_of(verdict: GoVerdict, roots: Roots, of_file: int) -> tuple[CheckId, ...]:
    """Checks that may know why `verdict` refuses; `of_file` certificates were loaded."""
    names = ROOT_CHECKS.get(verdict.reason, ())
    if roots.is_file and (not of_file or verdict.reason in {"unknown-authority", "expired"}):
        names = ("CERT-FILE-001", *names)
    return tuple(CheckId(each) for each in names)


def demand(tls: TlsFact) -> str:
    """What a Go client without a certificate reads first from a server that demands one, or ''.

    By TLS 1.3 the handshake is over for the client before the server looks for a certificate.
    """
    return tls.alert_after if tls.alert_after.startswith("remote error: ") else ""


def consequence(tls: TlsFact, error: str) -> str:
    """What the user of a Go client reads."""
    host = named(tls).removesuffix(":443")
    return f'every pull fails with: Get "https://{host}/v2/": {error}'


def evidence(
    view: View[Any], tls: TlsFact, roots: Roots, chain: Sequence[bytes]
) -> tuple[Evidence, ...]:
    """What was served, by which protocol, and which roots were counted."""
    loaded = len(pki.pool(roots.pem).certificates)
    spoken = f", {tls.protocol}" if tls.protocol else ""
    where = tls.peer or named(tls)
    listed = [Evidence("roots", f"{loaded} that Go loads", roots.named)]
    for place, der in enumerate(chain):
        listed.append(Evidence(f"served {place}", _shown(der), f"{where}{spoken}"))
    if not chain:
        listed.append(Evidence("served", "no certificate", where))
    if tls.asks_certificate:
        said = tls.alert_after or "nothing yet"
        listed.append(Evidence("asks for a client certificate", f"without one: {said}", where))
    listed.append(Evidence("judged at", view.now.isoformat(timespec="seconds"), "the clock here"))
    return tuple(listed)


def openssl_evidence(outcomes: Sequence[Outcome]) -> tuple[Evidence, ...]:
    """What each OpenSSL client says."""
    return tuple(
        Evidence(each.client, each.error or "accepts", "OpenSSL, offline") for each in outcomes
    )


def _shown(der: bytes) -> str:
    try:
        cert = pki.read_certificate(der)
    except ValueError:
        return f"{counted(len(der), 'octet')}, no readable certificate"
    return f"{cert.named}, issued by {cert.issuer or '(empty name)'}, to {cert.not_after:%F %TZ}"
