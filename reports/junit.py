"""The JUnit report as Jenkins and GitLab read it: a suite a subject, a case a check."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import cache, partial
from typing import TextIO
from xml.sax.saxutils import escape, quoteattr

from gapcheck.model import CheckId, Finding, Gap, Status, SubjectId, Verdict
from gapcheck.record import Record
from gapcheck.reports.wording import evidence_line, headline, reason_of

# XML 1.0 section 2.2 allows no other characters, not even escaped.
_FORBIDDEN = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
# Most texts hold nothing of this, and finding that out is cheaper than replacing nothing.
_WRITTEN_OTHERWISE = re.compile("[^ !#-%'-;=?-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_SKIPPED = (Status.BLOCKED, Status.WAIVED, Status.NOT_APPLICABLE)


def write(record: Record, out: TextIO) -> None:
    """Write `record`; subjects in the order they first appear."""
    out.writelines(parts(record))


def parts(record: Record) -> Iterator[str]:
    """The report in pieces, one test case at a time."""
    by_subject: dict[SubjectId, list[Verdict]] = {}
    for verdict in record.verdicts:
        by_subject.setdefault(verdict.subject, []).append(verdict)
    gaps: dict[SubjectId, list[Gap]] = {}
    for gap in record.gaps:
        gaps.setdefault(gap.subject, []).append(gap)
    name_of = cache(partial(_case_name, record))
    yield '<?xml version="1.0" encoding="UTF-8"?>\n'
    totals = _totals(Counter(verdict.status for verdict in record.verdicts))
    yield f"<testsuites name={_attr(record.run.site or 'gapcheck')}{totals}>\n"
    for subject, verdicts in by_subject.items():
        yield _suite_start(subject, verdicts, record)
        class_of = cache(partial(_class_name, subject))
        for verdict in verdicts:
            body = "".join(_outcome(verdict))
            name = name_of(verdict.check)
            classname = class_of(verdict.check.partition("-")[0])
            start = f'    <testcase name={name} classname={classname} time="0"'
            yield f"{start}>\n{body}    </testcase>\n" if body else f"{start}/>\n"
        yield from _suite_end(gaps.get(subject, ()))
    yield "</testsuites>\n"


def _suite_start(subject: SubjectId, verdicts: Sequence[Verdict], record: Record) -> str:
    counts = Counter(verdict.status for verdict in verdicts)
    skipped = sum(counts[status] for status in _SKIPPED)
    stamp = record.run.taken_at.strftime("%Y-%m-%dT%H:%M:%S")
    return (
        f'  <testsuite name={_attr(subject)}{_totals(counts)} skipped="{skipped}"'
        f' time="0" timestamp="{stamp}">\n'
    )


def _suite_end(gaps: Sequence[Gap]) -> Iterator[str]:
    if gaps:
        missed = "; ".join(f"{gap.stage}: {gap.reason}" for gap in gaps)
        yield f"    <system-err>{_escape(f'not measured: {missed}')}</system-err>\n"
    yield "  </testsuite>\n"


def _class_name(subject: SubjectId, family: str) -> str:
    """The subject whole, then the family of checks.

    Jenkins takes what stands before the last dot as a package, so that `node/n1.example.org`
    alone would be the class `org` of a package `node/n1.example`.
    """
    return _attr(f"{subject}.{family}")


def _case_name(record: Record, check: CheckId) -> str:
    described = record.catalogue.get(check)
    return _attr(f"{check} {described.title}" if described else check)


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


def _totals(counts: Counter[Status]) -> str:
    failures, errors = counts[Status.FAIL], counts[Status.ERROR]
    return f' tests="{counts.total()}" failures="{failures}" errors="{errors}"'


def _escape(text: str) -> str:
    if _WRITTEN_OTHERWISE.search(text) is None:
        return text
    return escape(_FORBIDDEN.sub("\ufffd", text))


def _attr(text: str) -> str:
    if _WRITTEN_OTHERWISE.search(text) is None:
        return f'"{text}"'
    return quoteattr(_FORBIDDEN.sub("\ufffd", text))
