"""The SARIF 2.1.0 report: a rule a check, a result a finding; equal facts give equal bytes.

What differs between two runs over equal facts stands in `invocations` and
`automationDetails` alone. A verdict that could not be measured is a result of kind `open`,
which SARIF keeps for "there was not enough information to decide"; a gap is a notification.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping
from typing import Any, TextIO
from urllib.parse import quote

import msgspec

import gapcheck
from gapcheck.exits import Exit
from gapcheck.model import CheckId, Finding, Severity, Status, Verdict
from gapcheck.record import Description, Record
from gapcheck.reports.wording import evidence_line, printable, reason_of

SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"
FINGERPRINT = "gapcheckVerdict/v1"

_LEVELS = {
    Severity.CRITICAL: "error",
    Severity.MAJOR: "error",
    Severity.MINOR: "warning",
    Severity.INFO: "note",
}
_FILE = re.compile(r"(?P<path>/[^:]+|[^/:\s][^:]*\.(?:ya?ml|json|toml|crt|pem))(?::(?P<line>\d+))?")
_FILE_LINE = re.compile(r":\d+$")
_GAP = "GAP"
_NOTE = "NOTE"


def write(record: Record, out: TextIO) -> None:
    """Write `record` as one SARIF log with one run."""
    out.writelines(parts(record))


def parts(record: Record) -> Iterator[str]:
    """The report in pieces, so that no more than one result is held as text."""
    rules = {check: index for index, check in enumerate(record.catalogue)}
    yield f'{{"$schema":{_text(SCHEMA)},"version":"2.1.0","runs":[{{"tool":{{"driver":'
    yield f"{_text(driver(record.catalogue))}}},\n"
    yield '"columnKind":"unicodeCodePoints","results":['
    for index, result in enumerate(results(record, rules)):
        yield ("\n" if index == 0 else ",\n") + _text(result)
    yield f'\n],\n"automationDetails":{_text(automation(record))},\n'
    yield f'"invocations":[{_text(invocation(record))}]}}]}}\n'


def driver(catalogue: Mapping[CheckId, Description] | Mapping[str, Description]) -> dict[str, Any]:
    """The tool and its rules, one a check that was judged."""
    return {
        "name": "gapcheck",
        "version": gapcheck.__version__,
        "rules": [rule(check, described) for check, described in catalogue.items()],
        "notifications": [
            {"id": _GAP, "shortDescription": {"text": "Something was not measured."}},
            {"id": _NOTE, "shortDescription": {"text": "Something is worth attention."}},
        ],
    }


def rule(check: str, described: Description) -> dict[str, Any]:
    """A check with its requirement, and what is done where it fails."""
    step = f"guide step {described.step}" if described.step else "no step of the guide"
    source = ", ".join([step, *described.fault])
    remedy = described.remedy
    help_text = f"Source: {source}."
    if remedy is not None and remedy.why_not:
        help_text += f" Remedy, by hand: {remedy.why_not}"
    elif remedy is not None:
        help_text += f" Remedy: gapcheck fix --select {check} (risk: {remedy.risk.value})."
    return {
        "id": check,
        "name": check.title().replace("-", ""),
        "shortDescription": {"text": _sentence(described.title)},
        "fullDescription": {"text": _sentence(" ".join(described.doc.split()))},
        "help": {"text": help_text},
        "properties": {"tags": [check.partition("-")[0].lower()]},
    }


def results(record: Record, rules: Mapping[str, int]) -> Iterator[dict[str, Any]]:
    """A result for every finding, and for every verdict that could not be measured."""
    for verdict in record.verdicts:
        index = rules.get(verdict.check, -1)
        if verdict.status is Status.ERROR and not verdict.findings:
            yield unmeasured(verdict, index)
        elif verdict.status in (Status.FAIL, Status.WARN, Status.WAIVED, Status.ERROR):
            seen: dict[str, int] = {}
            for finding in verdict.findings:
                place = _FILE_LINE.sub("", finding.locus)
                seen[place] = seen.get(place, -1) + 1
                yield found(verdict, finding, index, f"{place}|{seen[place]}")


def found(verdict: Verdict, finding: Finding, rule_index: int, place: str) -> dict[str, Any]:
    """One finding of a failed, warning or waived verdict."""
    said = ". ".join(text.rstrip(".") for text in (finding.problem, finding.consequence) if text)
    result = {
        **_head(verdict, rule_index, place),
        "level": _LEVELS[finding.severity or verdict.severity],
        "message": {"text": printable(f"{verdict.subject}: {_sentence(said)}")},
        "locations": [location(verdict, finding.locus)],
        "properties": _properties(verdict, finding),
    }
    if verdict.status is Status.WAIVED:
        why = printable(verdict.waived_by)
        result["suppressions"] = [{"kind": "external", "status": "accepted", "justification": why}]
    return result


def unmeasured(verdict: Verdict, rule_index: int) -> dict[str, Any]:
    """A verdict that nobody can give: neither passed nor failed."""
    return {
        **_head(verdict, rule_index, ""),
        "kind": "open",
        "level": "none",
        "message": {"text": printable(_sentence(f"{verdict.subject}: {reason_of(verdict)}"))},
        "locations": [location(verdict, "")],
        "properties": {"status": verdict.status.value, "severity": verdict.severity.value},
    }


def location(verdict: Verdict, locus: str) -> dict[str, Any]:
    """Where a finding stands: its subject, and the file where it is in one."""
    subject = printable(verdict.subject)
    full = f"{subject}/{printable(locus).lstrip('/')}" if locus else subject
    place: dict[str, Any] = {
        "logicalLocations": [{"name": subject, "fullyQualifiedName": full, "kind": "resource"}]
    }
    file = _FILE.fullmatch(locus)
    if file is not None:
        place["physicalLocation"] = _physical(verdict, file["path"], file["line"])
    return place


def _physical(verdict: Verdict, path: str, line: str | None) -> dict[str, Any]:
    # A file of another machine is named below its subject; one beside the site file as it is.
    name = f"{verdict.subject}{path}" if path.startswith("/") else path
    found: dict[str, Any] = {"artifactLocation": {"uri": quote(printable(name), safe="/")}}
    if line:
        found["region"] = {"startLine": max(1, int(line))}
    return found


def automation(record: Record) -> dict[str, Any]:
    """Which series of runs this one belongs to."""
    return {"id": printable(f"gapcheck/{record.run.site}/{record.run.id}")}


def invocation(record: Record) -> dict[str, Any]:
    """The run itself, with everything that was not measured."""
    run = record.run
    done = run.exit not in (Exit.INTERNAL, Exit.USAGE, Exit.INTERRUPTED, Exit.REPAIR)
    gaps = [
        _notification(_GAP, "error", f"{gap.subject}, {gap.stage}: {gap.reason}", gap.subject)
        for gap in record.gaps
    ]
    notes = [_notification(_NOTE, "note", note, "") for note in record.notes]
    return {
        "executionSuccessful": done,
        "exitCode": run.exit,
        "startTimeUtc": f"{run.started:%Y-%m-%dT%H:%M:%SZ}",
        "endTimeUtc": f"{run.finished:%Y-%m-%dT%H:%M:%SZ}",
        "toolExecutionNotifications": gaps + notes,
        "properties": {"judgedFor": run.now.isoformat(), "measuredAt": run.taken_at.isoformat()},
    }


def _notification(descriptor: str, level: str, text: str, subject: str) -> dict[str, Any]:
    said = {
        "descriptor": {"id": descriptor},
        "level": level,
        "message": {"text": printable(_sentence(text))},
    }
    if not subject:
        return said
    name = printable(subject)
    logical = {"name": name, "fullyQualifiedName": name, "kind": "resource"}
    return {**said, "locations": [{"logicalLocations": [logical]}]}


def _head(verdict: Verdict, rule_index: int, place: str) -> dict[str, Any]:
    key = f"{verdict.check}|{verdict.subject}|{place}".encode("utf-8", "surrogatepass")
    head: dict[str, Any] = {"ruleId": verdict.check}
    if rule_index >= 0:
        head["ruleIndex"] = rule_index
    return {**head, "partialFingerprints": {FINGERPRINT: hashlib.sha256(key).hexdigest()[:32]}}


def _properties(verdict: Verdict, finding: Finding) -> dict[str, Any]:
    return {
        "status": verdict.status.value,
        "severity": (finding.severity or verdict.severity).value,
        "evidence": [printable(evidence_line(each)) for each in finding.evidence],
        "remedyHint": printable(finding.remedy_hint),
        "rootCauses": [printable(str(cause)) for cause in verdict.root_causes],
    }


def _sentence(text: str) -> str:
    return text if text.endswith((".", "!", "?")) else f"{text}."


def _text(value: object) -> str:
    return msgspec.json.encode(value).decode()
