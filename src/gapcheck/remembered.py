"""Verdicts as they are remembered, and a finished run as a snapshot to compare with. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from functools import cache

from gapcheck.drift import Moment, State
from gapcheck.fact_sheet import Sheet, Sheets
from gapcheck.model import CheckId, Finding, Severity, Status, SubjectId, Verdict
from gapcheck.record import Record

_LINE = re.compile(r":\d+$")
_LONGEST = 400
_MOST_NAMES = 40
_PLAIN = frozenset({Status.PASS, Status.NOT_APPLICABLE})


def state_of(verdict: Verdict) -> State:
    """What is remembered of a verdict."""
    if verdict.status in _PLAIN:
        return plain_state(verdict.status, verdict.severity)
    findings = verdict.findings
    return State(
        status=verdict.status,
        severity=verdict.severity,
        loci=_loci(findings),
        said=storable(_said(verdict)),
        named=tuple(dict.fromkeys(storable(each) for each in _named(findings) if each))[
            :_MOST_NAMES
        ],
        roots=verdict.root_causes,
    )


@cache
def plain_state(status: Status, severity: Severity) -> State:
    """A verdict of which nothing more is to be said."""
    return State(status=status, severity=severity)


def _loci(findings: Iterable[Finding]) -> tuple[str, ...]:
    """Where the findings stand, without line numbers; () where that is nowhere in particular."""
    found = tuple(sorted(storable(_LINE.sub("", each.locus)) for each in findings))
    return () if found == ("",) else found


def _said(verdict: Verdict) -> str:
    said = verdict.waived_by or verdict.reason
    if verdict.findings:
        first, *others = (each.problem for each in verdict.findings)
        said = f"{first} (and {len(others)} more)" if others else first
    return said


def _named(findings: Iterable[Finding]) -> Iterable[str]:
    for finding in findings:
        yield from (finding.locus, *(each.source for each in finding.evidence))
        yield from (text for text in finding.data.values() if "/" in text and len(text) < _LONGEST)


def storable(text: str) -> str:
    """`text` as a database and JSON take it: names that are not UTF-8 are escaped."""
    return text.encode("utf-8", "backslashreplace").decode()[:_LONGEST]


class Finished:
    """A run that has just finished, as `compare` reads it."""

    def __init__(self, record: Record, sheets: Sheets) -> None:
        run = record.run
        self.moment = Moment(run=run.id, at=run.started, version=run.version)
        self.measured: Mapping[str, str] = sheets.by_subject
        self._sheets = sheets.contents
        self._by_check: dict[CheckId, list[Verdict]] = {}
        for verdict in record.verdicts:
            self._by_check.setdefault(verdict.check, []).append(verdict)

    def checks(self) -> Sequence[CheckId]:
        """Every check that was judged, in catalogue order."""
        return tuple(self._by_check)

    def states(self, check: CheckId) -> Mapping[SubjectId, State]:
        """What `check` said, by subject; made anew each time, as few are needed at once."""
        return {each.subject: state_of(each) for each in self._by_check.get(check, ())}

    def sheet(self, digest: str) -> Sheet:
        """A fact sheet of this run; {} for ''."""
        return self._sheets.get(digest, {})
