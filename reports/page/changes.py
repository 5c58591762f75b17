"""What a repair changes, as diffs whose lines know their kind; equal changes are one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from gapcheck.model import Cause, CheckId
from gapcheck.record import Round
from gapcheck.remediations.plan import PlannedChange
from gapcheck.reports.page.subjects import Names, Who
from gapcheck.reports.plan import change_kind, changed_place
from gapcheck.reports.wording import cut

_MOST_CHANGES = 200
_MOST_LINES = 300
_LONGEST = 2_000
_HEADER_LINES = 2
OPEN_LINES = 25
_KINDS = {"+": "added", "-": "removed", "@": "place"}


@dataclass(frozen=True, slots=True)
class DiffLine:
    """One line of a diff; `kind` is added, removed, place or ''."""

    kind: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """Equal changes of one or more targets. `state` is '' where nothing was done yet."""

    id: str
    kind: str
    place: str
    who: Who
    risk: str
    state: str
    detail: str
    note: str
    checks: tuple[CheckId, ...]
    lines: tuple[DiffLine, ...]
    more_lines: int

    @property
    def is_short(self) -> bool:
        """Whether its diff is shown without being asked for."""
        return len(self.lines) <= OPEN_LINES


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownRound:
    """One round: its changes, what was not planned and why, what it repaired."""

    number: int
    done: bool
    risk: str
    changes: tuple[Shown, ...]
    more_changes: int
    unplanned: tuple[tuple[str, Who], ...]
    repaired: int


def rounds(of: Sequence[Round], names: Names) -> Iterator[ShownRound]:
    """Every round of a repair, or the one that is planned."""
    for each in of:
        found = list(_changes(each, names))
        yield ShownRound(
            number=each.plan.round,
            done=bool(each.results),
            risk=each.plan.risk.value,
            changes=tuple(found[:_MOST_CHANGES]),
            more_changes=max(0, len(found) - _MOST_CHANGES),
            unplanned=tuple(_unplanned(each, names)),
            repaired=len(each.repaired),
        )


def _changes(of: Round, names: Names) -> Iterator[Shown]:
    results = {result.id: result for result in of.results}
    groups: dict[tuple[str, ...], list[PlannedChange]] = {}
    for planned in of.plan.changes:
        result = results.get(planned.id)
        state, detail = (result.state, result.detail) if result else ("", "")
        key = (change_kind(planned), changed_place(planned), planned.change.risk.value, state,
               detail, planned.diff, planned.note)  # fmt: skip
        groups.setdefault(key, []).append(planned)
    for (kind, place, risk, state, detail, diff, note), group in groups.items():
        lines = diff.splitlines()
        yield Shown(
            id=f"change.{of.plan.round}.{group[0].id}",
            kind=kind,
            place=place,
            who=names.who([planned.change.target for planned in group]),
            risk=risk,
            state=state,
            detail=cut(detail, _LONGEST),
            note=cut(note, _LONGEST),
            checks=tuple(dict.fromkeys(c.check for planned in group for c in planned.causes)),
            lines=tuple(
                DiffLine(_kind(line, index), cut(line, _LONGEST))
                for index, line in enumerate(lines[:_MOST_LINES])
            ),
            more_lines=max(0, len(lines) - _MOST_LINES),
        )


def _kind(line: str, index: int) -> str:
    """What a line of a diff is; the two names in front of it are neither added nor removed."""
    if index < _HEADER_LINES and line.startswith(("--- ", "+++ ")):
        return "place"
    return _KINDS.get(line[:1], "")


def _unplanned(of: Round, names: Names) -> Iterator[tuple[str, Who]]:
    groups: dict[tuple[str, str], list[Cause]] = {}
    for left in of.plan.unplanned:
        groups.setdefault((left.cause.check, left.why), []).append(left.cause)
    for (check, why), causes in groups.items():
        who = names.who([cause.subject for cause in causes])
        yield f"{check}: {cut(why, _LONGEST)}", who
