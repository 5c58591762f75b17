"""A plan and what became of it, for reading: what, where, at which risk, and the diff."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TextIO

from gapcheck.record import Round
from gapcheck.remediations.plan import Plan, PlannedChange
from gapcheck.reports.terminal import Line, write_lines
from gapcheck.reports.wording import counted

_DIFF_COLOURS = {"+": "green", "-": "red", "@": "cyan"}


def write_plan(plan: Plan, out: TextIO, *, colour: bool = False) -> None:
    """Write `plan` with every diff, in the order its changes would run."""
    write_lines(plan_lines(plan), out, colour=colour)


def write_results(done: Round, out: TextIO, *, colour: bool = False) -> None:
    """Write what became of each change of a round."""
    write_lines(result_lines(done), out, colour=colour)


def plan_lines(plan: Plan) -> Iterator[Line]:
    """The plan, change by change."""
    if not plan.changes:
        yield Line(f"round {plan.round}: nothing to change", "bold")
    else:
        what = counted(len(plan.changes), "change")
        yield Line(f"round {plan.round}: {what}, risk {plan.risk.value}", "bold")
    for number, planned in enumerate(plan.changes, 1):
        yield from _change_lines(number, planned)
    for left in plan.unplanned:
        yield Line(f"  not planned  {left.cause}: {left.why}", "yellow")


def _change_lines(number: int, planned: PlannedChange) -> Iterator[Line]:
    change = planned.change
    where = f"{change.target} {changed_place(planned)}".rstrip()
    yield Line("")
    yield Line(f"  {number}. {change_kind(planned)}  {where}  ({change.risk.value})", "bold")
    yield Line(f"     repairs {', '.join(map(str, planned.causes))}")
    if planned.note:
        yield Line(f"     note: {planned.note}")
    for line in planned.diff.splitlines():
        yield Line(f"     {line}", _DIFF_COLOURS.get(line[:1], ""), whole=True)


def changed_place(planned: PlannedChange) -> str:
    """The file, unit or object that is changed on the target; '' where it is all of it."""
    change = planned.change
    return getattr(change, "path", "") or getattr(change, "unit", "") or getattr(change, "name", "")


def change_kind(planned: PlannedChange) -> str:
    """What kind of change it is, in words: "edit toml"."""
    name = type(planned.change).__name__
    return "".join(f" {c.lower()}" if c.isupper() else c for c in name).strip()


def result_lines(done: Round) -> Iterator[Line]:
    """What became of each change; where nothing was planned, why it was not."""
    if not done.plan.changes:
        for left in done.plan.unplanned:
            yield Line(f"  not planned  {left.cause}: {left.why}", "yellow", whole=True)
    for result in done.results:
        detail = f": {result.detail}" if result.detail else ""
        style = "red" if result.state == "failed" else ""
        yield Line(f"  {result.state:<10} {result.target} {result.id}{detail}", style)
    if done.repaired:
        yield Line(f"  repaired   {', '.join(map(str, done.repaired))}", "green")
