import io
import json
from typing import Any

import msgspec
from support.records import every_status

from gapcheck.record import Record
from gapcheck.reports import json as json_report


def data(record: Record | None = None) -> Any:
    out = io.StringIO()
    json_report.write(record or every_status(), out)
    return json.loads(out.getvalue())


def test_schema_and_summary_come_first() -> None:
    report = data()
    assert report["schema"] == "gapcheck/1"
    assert report["summary"]["fail"] == 2
    assert report["summary"]["root_causes"] == [
        {"check": "CERT-SAN-001", "subject": "registry"},
        {"check": "NODE-CLOCK-001", "subject": "node/n1"},
    ]


def test_verdict_has_the_documented_keys() -> None:
    verdict = data()["verdicts"][1]
    assert set(verdict) == {
        "check", "title", "subject", "status", "severity", "findings", "evidence", "reason",
        "root_causes", "waived_by", "remedy", "fixed",
    }  # fmt: skip
    assert verdict["root_causes"] == [{"check": "CERT-SAN-001", "subject": "registry"}]
    assert verdict["remedy"] == {"risk": "manual", "planned": False, "why_not": "repair its root"}


def test_finding_has_the_documented_keys() -> None:
    finding = data()["verdicts"][0]["findings"][0]
    assert set(finding) == {"problem", "evidence", "consequence", "remedy_hint", "locus"}
    assert finding["evidence"] == [
        {"label": "subject", "value": "CN=registry.local", "source": "handshake"}
    ]


def test_gaps_and_notes_are_in_it() -> None:
    report = data()
    assert report["gaps"] == [{"subject": "node/n1", "stage": "clock", "reason": "no date"}]
    assert report["notes"] == ["a note"]


def test_what_differs_between_equal_runs_is_in_run_alone() -> None:
    first, second = data(), data(msgspec.structs.replace(
        every_status(), run=msgspec.structs.replace(every_status().run, id="R2", front_end="pytest")
    ))  # fmt: skip
    first.pop("run")
    second.pop("run")
    assert first == second
