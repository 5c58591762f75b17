"""Whether the registry sends a certificate, and the one that lies in its file."""

from __future__ import annotations

from gapcheck.counting import counted
from gapcheck.fixtures.served import (
    certificate_file,
    file_certificates,
    measured_at,
    served_leaf,
)
from gapcheck.model import CheckId, Evidence, Finding, Scope, Severity
from gapcheck.registry import Judgement, Source, check
from gapcheck.view import RegistryView


@check(
    "CERT-SERVED-001",
    scope=Scope.REGISTRY,
    severity=Severity.MAJOR,
    after=("CERT-SERVED-002", "CERT-KEY-001"),
    source=Source(step=1),
)
def file_is_what_is_served(view: RegistryView) -> Judgement:
    """The certificate in the registry's file is the one it serves: no restart is pending."""
    file = certificate_file(view)
    certs = file_certificates(view)
    leaf = served_leaf(view)
    path = file.path if file else ""
    yield Evidence("served", leaf.named, measured_at(view))
    if not certs or certs[0].fingerprint == leaf.fingerprint:
        return
    yield Finding(
        problem="the registry serves another certificate than its file holds: it was not "
        "restarted since the file changed",
        evidence=(
            Evidence("served", leaf.named, measured_at(view)),
            Evidence("in the file", certs[0].named, path),
        ),
        consequence="clients meet the old certificate until the registry is restarted",
        remedy_hint="restart the registry",
        locus=path,
    )


@check(
    "CERT-SERVED-002",
    scope=Scope.REGISTRY,
    severity=Severity.CRITICAL,
    after=("REG-NET-001", "REG-HTTP-001"),
    source=Source(step=2, fault=("R03",)),
    manual="the server ends the handshake before it sends a certificate: its log says why (no pair "
    "that it can load, no protocol or cipher in common), or another program answers there.",
)
def a_certificate_is_sent(view: RegistryView) -> Judgement:
    """The handshake with the registry comes as far as its certificate."""
    tls = view.facts.tls
    if tls.chain:
        yield Evidence("served", counted(len(tls.chain), "certificate"), measured_at(view))
        return
    yield Finding(
        problem=f"no certificate was sent, the handshake ended with: {tls.error or 'no error'}",
        evidence=(Evidence("handshake", tls.error or tls.stage, measured_at(view)),),
        consequence="every client fails with these words",
        remedy_hint="read the registry's log",
        locus=measured_at(view),
        because=(CheckId("CERT-KEY-001"),),
    )
