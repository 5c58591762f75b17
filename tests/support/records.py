"""Records with every status in them, for the tests of reports."""

from __future__ import annotations

from typing import Any

from support.certs import NOW

from gapcheck.model import (
    Cause,
    CheckId,
    Evidence,
    Finding,
    Gap,
    RemedyInfo,
    Risk,
    Severity,
    Status,
    SubjectId,
    Verdict,
)
from gapcheck.record import Description, Record, RunInfo

SAN = Cause(CheckId("CERT-SAN-001"), SubjectId("registry"))


def verdict(check: str, subject: str, status: Status, **given: Any) -> Verdict:
    return Verdict(
        check=CheckId(check),
        subject=SubjectId(subject),
        status=status,
        **{"severity": Severity.CRITICAL, **given},
    )


def finding(problem: str, **given: Any) -> Finding:
    return Finding(problem=problem, **given)


def run_info(**given: Any) -> RunInfo:
    defaults: dict[str, Any] = {
        "id": "R1", "version": "0.0", "site": "example", "front_end": "cli", "started": NOW,
        "finished": NOW, "taken_at": NOW, "now": NOW, "exit": 1, "site_file": "site.yaml",
    }  # fmt: skip
    return RunInfo(**{**defaults, **given})


def every_status() -> Record:
    """One verdict of each status, a gap, a note, and text that a careless writer breaks on."""
    hostile = "<b>&\"'\x00\x1b[31m]]>\ud800 ÄÖ"
    verdicts = (
        verdict(
            "CERT-SAN-001", "registry", Status.FAIL,
            findings=(
                finding(
                    "the served certificate names no host at all",
                    evidence=(Evidence("subject", "CN=registry.local", "handshake"),),
                    consequence="x509: certificate relies on legacy Common Name field",
                    remedy_hint="reissue it",
                ),
                finding(f"second finding {hostile}"),
            ),
            remedy=RemedyInfo(risk=Risk.RESTART),
        ),
        verdict(
            "REG-TLS-001", "registry", Status.FAIL, root_causes=(SAN,),
            findings=(finding("a Go client refuses the registry"),),
            remedy=RemedyInfo(risk=Risk.MANUAL, why_not="repair its root"),
        ),
        verdict("NODE-CLOCK-001", "node/n1", Status.ERROR, reason="the clock could not be read"),
        verdict(
            "NODE-TRUST-001", "node/n1", Status.BLOCKED, reason=f"blocked by {SAN}",
            root_causes=(SAN,),
        ),
        verdict(
            "NODE-TRUST-006", "node/n1", Status.WARN, severity=Severity.INFO,
            findings=(finding("curl and git refuse"),),
        ),
        verdict(
            "CERT-CA-001", "registry", Status.WAIVED, waived_by="known (until 2026-12-31, ops)",
            findings=(finding("it is a CA"),),
        ),
        verdict(
            "REG-NET-001", "registry", Status.PASS,
            evidence=(Evidence("connected", "10.0.0.2:443"),),
        ),
        verdict("REG-RUN-001", "registry", Status.NOT_APPLICABLE, reason="no container named"),
    )  # fmt: skip
    ids = {each.check for each in verdicts}
    return Record(
        run=run_info(),
        verdicts=verdicts,
        gaps=(Gap(subject=SubjectId("node/n1"), stage="clock", reason="no date"),),
        notes=("a note",),
        catalogue={
            each: Description(title=f"title of {each}", doc="doc", step=1, fault=("C01",))
            for each in sorted(ids)
        },
    )
