"""A plan and what became of it, for reading: what, where, at which risk, and the diff.

What is the same on many nodes is shown once, with the nodes named below it.
"""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Hashable, Iterable, Iterator
from typing import TextIO, TypeVar

from gapcheck.counting import counted
from gapcheck.model import Cause, SubjectId
from gapcheck.record import ChangeResult, Round
from gapcheck.remediations.plan import Plan, PlannedChange
from gapcheck.reports.groups import in_order, ranges
from gapcheck.reports.terminal import Line, write_lines

_DIFF_COLOURS = {"+": "green", "-": "red", "@": "cyan"}
_NODE = "node/"
_WIDTH = 100
T = TypeVar("T")


def write_plan(plan: Plan, out: TextIO, *, colour: bool = False) -> None:
    """Write `plan` with every diff, in the order its changes would run."""
    write_lines(plan_lines(plan), out, colour=colour)


def write_results(done: Round, out: TextIO, *, colour: bool = False) -> None:
    """Write what became of each change of a round."""
    write_lines(result_lines(done), out, colour=colour)


def plan_lines(plan: Plan) -> Iterator[Line]:
    """The plan, change by change; those that differ by their node alone are one."""
    if not plan.changes:
        yield Line(f"round {plan.round}: nothing to change", "bold")
    else:
        what = counted(len(plan.changes), "change")
        yield Line(f"round {plan.round}: {what}, risk {plan.risk.value}", "bold")
    for number, group in enumerate(_grouped(plan.changes, _alike), 1):
        yield from _change_lines(number, group)
    yield from _left_lines(plan)


def _alike(planned: PlannedChange) -> Hashable:
    """What two changes have in common where only their node differs."""
    change = planned.change
    if not change.target.startswith(_NODE):
        return planned.id
    causes = tuple(
        (each.check, "" if each.subject == change.target else each.subject)
        for each in planned.causes
    )
    return (
        change_kind(planned),
        changed_place(planned),
        change.risk,
        causes,
        planned.note,
        planned.diff,
    )


def _grouped(items: Iterable[T], key: Callable[[T], Hashable]) -> list[list[T]]:
    """`items` of equal key together, groups in the order of their first ones."""
    found: dict[Hashable, list[T]] = {}
    for each in items:
        found.setdefault(key(each), []).append(each)
    return list(found.values())


def _change_lines(number: int, group: list[PlannedChange]) -> Iterator[Line]:
    first, *others = group
    where = f"{first.change.target} {changed_place(first)}".rstrip()
    yield Line("")
    yield Line(f"  {number}. {change_kind(first)}  {where}  ({first.change.risk.value})", "bold")
    yield Line(f"     repairs {', '.join(map(str, first.causes))}")
    if first.note:
        yield Line(f"     note: {first.note}")
    for line in first.diff.splitlines():
        yield Line(f"     {line}", _DIFF_COLOURS.get(line[:1], ""), whole=True)
    if others:
        count = counted(len(others), "more node", "more nodes")
        yield from _wrapped(f"the same on {count}: {_nodes(e.change.target for e in others)}")


def _nodes(targets: Iterable[SubjectId]) -> str:
    return ranges(in_order(each.removeprefix(_NODE) for each in targets))


def _wrapped(text: str) -> Iterator[Line]:
    for line in textwrap.wrap(
        text, _WIDTH, initial_indent="     ", subsequent_indent="       ", break_long_words=False
    ):
        yield Line(line, "cyan", whole=True)


def _left_lines(plan: Plan) -> Iterator[Line]:
    """What is left and why, once for all subjects of one reason."""
    for group in _grouped(plan.unplanned, lambda left: (left.cause.check, left.why)):
        causes = _causes(each.cause for each in group)
        yield Line(f"  not planned  {causes}: {group[0].why}", "yellow", whole=not plan.changes)


def _causes(causes: Iterable[Cause]) -> str:
    """Verdicts of one check in a few words, all of them covered."""
    found = list(causes)
    if len(found) == 1 or any(not each.subject.startswith(_NODE) for each in found):
        return ", ".join(map(str, found))
    return f"{found[0].check}::node/ of {_nodes(each.subject for each in found)}"


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
        yield from _left_lines(done.plan)
    planned = {each.id: each for each in done.plan.changes}

    def alike(result: ChangeResult) -> Hashable:
        of = planned.get(result.id)
        if of is None or not result.target.startswith(_NODE):
            return result.id
        return result.state, result.detail, change_kind(of), changed_place(of)

    for group in _grouped(done.results, alike):
        first = group[0]
        detail = f": {first.detail}" if first.detail else ""
        of = planned.get(first.id)
        what = f"{change_kind(of)} {changed_place(of)}".rstrip() if of else first.id
        where = first.target if len(group) == 1 else f"{len(group)} nodes"
        style = "red" if first.state == "failed" else ""
        yield Line(f"  {first.state:<10} {where} {what}{detail}", style)
        if len(group) > 1:
            yield from _wrapped(_nodes(each.target for each in group))
    for same in _grouped(done.repaired, lambda cause: cause.check):
        yield Line(f"  repaired   {_causes(same)}", "green")
