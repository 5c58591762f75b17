"""The JUnit report as Jenkins and GitLab read it: a suite a subject, a case a check."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import TextIO
from xml.sax.saxutils import escape, quoteattr

from gapcheck.model import Finding, Status, SubjectId, Verdict
from gapcheck.record import Record
from gapcheck.reports.wording import evidence_line, headline, reason_of

# XML 1.0 section 2.2 allows no other characters, not even escaped.
_FORBIDDEN = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_SKIPPED = (Status.BLOCKED, Status.WAIVED, Status.NOT_APPLICABLE)


def write(record: Record, out: TextIO) -> None:
    """Write `record`; subjects in the order they first appear."""
    out.writelines(parts(record))


def parts(record: Record) -> Iterator[str]:
    """The report in pieces, one test case at a time."""
    by_subject: dict[SubjectId, list[Verdict]] = {}
    for verdict in record.verdicts:
        by_subject.setdefault(verdict.subject, []).append(verdict)
    yield '<?xml version="1.0" encoding="UTF-8"?>\n'
    yield f"<testsuites name={_attr(record.run.site or 'gapcheck')}{_totals(record.verdicts)}>\n"
    for subject, verdicts in by_subject.items():
        yield from _suite(subject, verdicts, record)
    yield "</testsuites>\n"


def _suite(subject: SubjectId, verdicts: Sequence[Verdict], record: Record) -> Iterator[str]:
    skipped = sum(v.status in _SKIPPED for v in verdicts)
    stamp = record.run.taken_at.strftime("%Y-%m-%dT%H:%M:%S")
    yield (
        f'  <testsuite name={_attr(subject)}{_totals(verdicts)} skipped="{skipped}"'
        f' time="0" timestamp="{stamp}">\n'
    )
    for verdict in verdicts:
        yield from _case(verdict, record)
    gaps = [f"{gap.stage}: {gap.reason}" for gap in record.gaps if gap.subject == subject]
    if gaps:
        yield f"    <system-err>{_escape('not measured: ' + '; '.join(gaps))}</system-err>\n"
    yield "  </testsuite>\n"


def _case(verdict: Verdict, record: Record) -> Iterator[str]:
    described = record.catalogue.get(verdict.check)
    title = f"{verdict.check} {described.title}" if described else verdict.check
    start = f'    <testcase name={_attr(title)} classname={_attr(verdict.subject)} time="0"'
    body = "".join(_outcome(verdict))
    yield f"{start}>\n{body}    </testcase>\n" if body else f"{start}/>\n"


def _outcome(verdict: Verdict) -> Iterator[str]:
    match verdict.status:
        case Status.FAIL:
            yield _element("failure", verdict, headline(verdict), _details(verdict))
        case Status.ERROR:
            yield _element("error", verdict, reason_of(verdict), _details(verdict))
        case Status.WARN:
            yield f"      <system-out>{_escape(_details(verdict))}</system-out>\n"
        case Status.BLOCKED | Status.WAIVED | Status.NOT_APPLICABLE:
            message = f"{verdict.status.value}: {reason_of(verdict)}"
            yield f"      <skipped message={_attr(message)}/>\n"
        case Status.PASS:
            return


def _element(tag: str, verdict: Verdict, message: str, text: str) -> str:
    kind = _attr(f"{verdict.check}.{verdict.severity.value}")
    return f"      <{tag} type={kind} message={_attr(message)}>{_escape(text)}</{tag}>\n"


def _details(verdict: Verdict) -> str:
    lines = [line for finding in verdict.findings for line in _finding_lines(finding)]
    if verdict.root_causes:
        lines.append(f"root cause: {', '.join(map(str, verdict.root_causes))}")
    if verdict.reason:
        lines.append(verdict.reason)
    return "\n".join(lines)


def _finding_lines(finding: Finding) -> Iterator[str]:
    yield finding.problem
    for evidence in finding.evidence:
        yield f"  evidence: {evidence_line(evidence)}"
    if finding.consequence:
        yield f"  consequence: {finding.consequence}"
    if finding.remedy_hint:
        yield f"  remedy: {finding.remedy_hint}"


def _totals(verdicts: Sequence[Verdict]) -> str:
    failures = sum(v.status is Status.FAIL for v in verdicts)
    errors = sum(v.status is Status.ERROR for v in verdicts)
    return f' tests="{len(verdicts)}" failures="{failures}" errors="{errors}"'


def _escape(text: str) -> str:
    return escape(_FORBIDDEN.sub("\ufffd", text))


def _attr(text: str) -> str:
    return quoteattr(_FORBIDDEN.sub("\ufffd", text))
