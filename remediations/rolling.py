"""In which parts a round is applied: one node first, then batches of nodes. Pure.

What the whole site needs before (names, a new certificate, staged) comes before the nodes,
what relies on all of them (the switch to it) after the last of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

from gapcheck.errors import UsageError
from gapcheck.model import SubjectId
from gapcheck.remediations.draining import place_of
from gapcheck.remediations.plan import Plan, PlannedChange, Stage

_NODE = "node/"
_WHOLE = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """`canary` nodes first (0 = none), then batches of `batch` nodes, or of `percent` of all."""

    canary: int = 1
    batch: int = 0
    percent: int = 10

    def sizes(self, nodes: int) -> Iterator[int]:
        """Sizes of the batches that `nodes` nodes make, at least one node each."""
        size = self.batch or max(1, nodes * self.percent // _WHOLE)
        left = nodes
        if self.canary and left > self.canary:
            yield self.canary
            left -= self.canary
        while left > 0:
            yield min(size, left)
            left -= size


def parse_pace(canary: int | None, batch: str | None, *, drains: bool = False) -> Pace:
    """The pace that `--canary` and `--batch` ask for; raises UsageError where they make none.

    Nodes that are drained go one at a time unless `--batch` says otherwise.
    """
    made = Pace() if canary is None else Pace(canary=canary)
    if batch is None:
        return Pace(canary=made.canary, batch=1) if drains else made
    number = batch.removesuffix("%")
    value = int(number) if number.isascii() and number.isdigit() else 0
    if not value or (batch.endswith("%") and value > _WHOLE):
        raise UsageError(f"--batch {batch}: not a number of nodes", "as in 5, or 10%")
    if batch.endswith("%"):
        return Pace(canary=made.canary, percent=value)
    return Pace(canary=made.canary, batch=value)


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """Changes that are made and judged together; `nodes` () where they are of the whole site."""

    name: str
    changes: tuple[PlannedChange, ...]
    nodes: tuple[SubjectId, ...] = ()


def parts(plan: Plan, pace: Pace) -> tuple[Part, ...]:
    """The parts of `plan`, in the order in which they are applied.

    Where at most one node is changed, all of it is one part.
    """
    nodes = _nodes(plan.changes)
    if len(nodes) <= 1:
        return (Part(name="all", changes=plan.changes, nodes=nodes),) if plan.changes else ()
    early, middle, late, last = _sorted(plan.changes)
    found = [
        Part(name="what comes before the nodes", changes=early),
        *_batches(middle, pace),
        Part(name="what relies on all nodes", changes=late),
        *_batches(last, pace),
    ]
    return tuple(each for each in found if each.changes)


def _nodes(changes: Sequence[PlannedChange]) -> tuple[SubjectId, ...]:
    found = dict.fromkeys(place_of(each.change) for each in changes)
    return tuple(each for each in found if each.startswith(_NODE))


def _sorted(changes: Sequence[PlannedChange]) -> tuple[tuple[PlannedChange, ...], ...]:
    """Before the nodes, on them, after them, and on them after that."""
    groups: tuple[list[PlannedChange], ...] = ([], [], [], [])
    for each in changes:
        if place_of(each.change).startswith(_NODE):
            groups[1 if each.stage <= Stage.RESTART else 3].append(each)
        else:
            groups[0 if each.stage < Stage.TRUST else 2].append(each)
    return tuple(map(tuple, groups))


def _batches(changes: Sequence[PlannedChange], pace: Pace) -> Iterator[Part]:
    batches = list(_batched(_nodes(changes), pace))
    for number, batch in enumerate(batches, 1):
        chosen = tuple(each for each in changes if place_of(each.change) in batch)
        yield Part(name=f"batch {number} of {len(batches)}", changes=chosen, nodes=batch)


def _batched(nodes: Sequence[SubjectId], pace: Pace) -> Iterator[tuple[SubjectId, ...]]:
    first = 0
    for size in pace.sizes(len(nodes)):
        yield tuple(nodes[first : first + size])
        first += size


def in_batches(targets: Iterable[SubjectId], pace: Pace) -> Iterator[tuple[SubjectId, ...]]:
    """`targets` in their order: nodes that follow one another in batches, each other one alone."""
    for of_nodes, group in groupby(targets, key=lambda each: each.startswith(_NODE)):
        named = tuple(group)
        yield from _batched(named, pace) if of_nodes else ((each,) for each in named)
