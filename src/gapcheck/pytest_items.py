"""Checks as pytest items: a file of checks, a check, a check of one subject (or of them all)."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, Literal

import pytest

from gapcheck.counting import counted
from gapcheck.model import Status, SubjectId, Verdict
from gapcheck.registry import Check, catalogue
from gapcheck.reports.wording import evidence_line, reason_of

Outcome = Literal["passed", "failed", "skipped"]

_ORDER = (
    Status.FAIL,
    Status.ERROR,
    Status.BLOCKED,
    Status.WAIVED,
    Status.WARN,
    Status.PASS,
    Status.NOT_APPLICABLE,
)
_SHOWN = 20
GROUPED = "all"


@cache
def _folder() -> Path:
    return Path(next(iter(importlib.import_module("gapcheck.checks").__path__))).resolve()


def module_of(path: Path) -> str | None:
    """Name of the module of gapcheck.checks that `path` is, however it was reached."""
    found = path.resolve()
    if not found.is_relative_to(_folder()):
        return None
    return ".".join(("gapcheck.checks", *found.relative_to(_folder()).with_suffix("").parts))


def item_name(subject: SubjectId) -> str:
    """The subject as an item's name: without its kind, and without pytest's separator."""
    return (subject.partition("/")[2] or subject).replace("::", "%3A%3A")


class CheckFile(pytest.File):
    """One file of checks."""

    def collect(self) -> Iterator[CheckNode]:
        """Its checks, in catalogue order; nothing is asked of any target."""
        module = module_of(self.path)
        for check in catalogue().checks.values():
            if check.judge.__module__ == module:
                yield CheckNode.from_parent(self, name=check.id, check=check)


class CheckNode(pytest.Collector):
    """One check."""

    def __init__(self, *, check: Check, **given: Any) -> None:  # noqa: ANN401 - pytest's own arguments
        super().__init__(**given)
        self.check = check

    def collect(self) -> Iterator[CheckItem]:
        """One item a subject, or one for all of them where there would be too many."""
        from gapcheck.plugin import run_of

        run = run_of(self.config)
        assert run is not None
        subjects = [s for s in run.subjects(self.check) if run.wants(self.check, s)]
        if run.grouped and subjects:
            yield CheckItem.from_parent(
                self, name=GROUPED, check=self.check, subjects=tuple(subjects)
            )
            return
        for subject in subjects:
            yield CheckItem.from_parent(
                self, name=item_name(subject), check=self.check, subjects=(subject,)
            )


class CheckItem(pytest.Item):
    """One verdict, or the worst of a check's verdicts."""

    def __init__(self, *, check: Check, subjects: tuple[SubjectId, ...], **given: Any) -> None:  # noqa: ANN401 - pytest's own arguments
        super().__init__(**given)
        self.check = check
        self.subjects = subjects

    def runtest(self) -> None:
        """Not used: `report` judges."""

    def reportinfo(self) -> tuple[Path, int, str]:
        """Where the check stands."""
        return self.path, self.check.line - 1, f"{self.check.id}::{self.name}"

    def report(self) -> pytest.TestReport:
        """The verdict as pytest reads it."""
        from gapcheck.plugin import run_of

        run = run_of(self.config)
        assert run is not None
        verdicts = [run.verdict(self.check.id, subject) for subject in self.subjects]
        worst = min(verdicts, key=lambda verdict: _ORDER.index(verdict.status))
        outcome, when = _outcome(worst.status)
        report = pytest.TestReport(
            nodeid=self.nodeid,
            location=self.location,
            keywords=dict.fromkeys(self.keywords, 1),
            outcome=outcome,
            longrepr=self._text(outcome, worst, verdicts),
            when=when,
            user_properties=[
                ("check", self.check.id),
                ("subjects", "\n".join(self.subjects)),
                ("status", worst.status.value),
                ("severity", worst.severity.value),
            ],
        )
        if worst.status is Status.WAIVED:
            report.wasxfail = reason_of(worst)
        return report

    def _text(self, outcome: Outcome, worst: Verdict, verdicts: list[Verdict]) -> Any:  # noqa: ANN401 - pytest takes text or a place
        if outcome == "passed":
            return None
        if outcome == "skipped":
            reason = f"{worst.status.value.replace('_', ' ')}: {reason_of(worst)}"
            return str(self.path), self.check.line, reason
        bad = [v for v in verdicts if v.status is worst.status]
        lines = [line for verdict in bad[:_SHOWN] for line in _lines(verdict)]
        more = len(bad) - _SHOWN
        return "\n".join([*lines, *([f"and {counted(more, 'more subject')}"] if more > 0 else [])])


def _outcome(status: Status) -> tuple[Outcome, Literal["setup", "call"]]:
    match status:
        case Status.PASS | Status.WARN:
            return "passed", "call"
        case Status.FAIL:
            return "failed", "call"
        case Status.ERROR:
            return "failed", "setup"
        case Status.BLOCKED | Status.WAIVED | Status.NOT_APPLICABLE:
            return "skipped", "call"


def _lines(verdict: Verdict) -> Iterator[str]:
    head = f"{verdict.check} {verdict.severity.value}  {verdict.subject}"
    for finding in verdict.findings:
        yield f"{head}: {finding.problem}"
        yield from (f"  evidence     {evidence_line(each)}" for each in finding.evidence)
        if finding.consequence:
            yield f"  consequence  {finding.consequence}"
    if verdict.reason:
        yield f"{head}: {verdict.reason}"
    if verdict.root_causes:
        yield f"  root cause   {', '.join(map(str, verdict.root_causes))}"
