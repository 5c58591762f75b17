"""The runs of a state folder: what each did, what of it still stands, and who took it back."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

import msgspec

from gapcheck.counting import counted
from gapcheck.errors import RepairFailed
from gapcheck.model import SubjectId
from gapcheck.remediations.journal import Entry, is_torn, read_journal
from gapcheck.remediations.plan import Plan, PlannedChange
from gapcheck.remediations.recovery import CORDON, still_standing
from gapcheck.state import State


@dataclass(frozen=True, slots=True, kw_only=True)
class RunSummary:
    """One run as `gapcheck runs` lists it.

    `state` is done, cut off, partly undone, undone, nothing changed or damaged; `began` is ISO
    8601, `site` the site file that it was asked with.
    """

    id: str
    began: str
    state: str
    undoes: str
    targets: tuple[SubjectId, ...]
    changes: int
    site: str = ""


@dataclass(slots=True)
class Runs:
    """The runs of one state folder; each journal is read once."""

    state: State
    _read: dict[str, tuple[Entry, ...]] = field(default_factory=dict)

    def ids(self) -> tuple[str, ...]:
        """Every run, oldest first."""
        return self.state.runs()

    def entries(self, run_id: str) -> tuple[Entry, ...]:
        """The journal of a run; RepairFailed where it is damaged."""
        if run_id not in self._read:
            self._read[run_id] = read_journal(self.state.run_folder(run_id))
        return self._read[run_id]

    def head(self, run_id: str) -> Entry:
        """The first entry: whom the run undoes, and of which targets alone."""
        return next(iter(self.entries(run_id)), Entry(step="begin"))

    def finished(self, run_id: str) -> bool:
        """Whether the run ended by itself."""
        return any(each.step == "end" for each in self.entries(run_id))

    def later(self, run_id: str) -> tuple[str, ...]:
        """The runs after this one that can be read, oldest first."""
        runs = self.ids()
        found = runs[runs.index(run_id) + 1 :] if run_id in runs else ()
        return tuple(each for each in found if self._is_readable(each))

    def _is_readable(self, run_id: str) -> bool:
        try:
            self.entries(run_id)
        except RepairFailed:
            return False
        return True

    def targets(self, run_id: str) -> tuple[SubjectId, ...]:
        """The places that the run changed."""
        return tuple(dict.fromkeys(e.target for e in still_standing(self.entries(run_id))))

    def covered(self, run_id: str) -> dict[SubjectId, str]:
        """The places where the run was undone, by a run that was not itself undone there."""
        found: dict[SubjectId, str] = {}
        for later in self.later(run_id):
            if self.head(later).undoes == run_id:
                undone = set(self._put_back(later, run_id)) - self.covered(later).keys()
                found.update(dict.fromkeys(sorted(undone), later))
        return found

    def _put_back(self, undo_id: str, run_id: str) -> Iterable[SubjectId]:
        """The places where `undo_id` came to its end in undoing `run_id`."""
        if self.finished(undo_id):
            return self.head(undo_id).only or self.targets(run_id)
        return [each.target for each in self.entries(undo_id) if each.step == "undone"]

    def standing(self, run_id: str) -> tuple[Entry, ...]:
        """The changes of a run that nobody took back."""
        gone = self.covered(run_id)
        return tuple(e for e in still_standing(self.entries(run_id)) if e.target not in gone)

    def undone_by(self, run_id: str) -> str:
        """The last of the runs that undid all of this one; '' where some of it stands."""
        gone = self.covered(run_id)
        whole = gone and all(target in gone for target in self.targets(run_id))
        return max(gone.values(), key=self.ids().index) if whole else ""

    def summary(self, run_id: str) -> RunSummary:
        """The run in one line."""
        try:
            head = self.head(run_id)
            changed = still_standing(self.entries(run_id))
        except RepairFailed:
            return RunSummary(
                id=run_id, began="", state="damaged", undoes="", targets=(), changes=0
            )
        return RunSummary(
            id=run_id,
            began=head.at,
            state=self._state(run_id),
            undoes=head.undoes,
            targets=tuple(dict.fromkeys(each.target for each in changed)),
            changes=len(changed),
            site=head.site,
        )

    def _state(self, run_id: str) -> str:
        if not self.targets(run_id):
            return "nothing changed"
        if self.undone_by(run_id):
            return "undone"
        if self.covered(run_id):
            return "partly undone"
        return "done" if self.finished(run_id) else "cut off"

    def plans(self, run_id: str) -> tuple[Plan, ...]:
        """The plans that the run kept, round by round; those that cannot be read are left out."""
        found = []
        for path in sorted(self.state.run_folder(run_id).glob("plan-*.json")):
            try:
                found.append(msgspec.json.decode(path.read_bytes(), type=Plan))
            except (OSError, msgspec.DecodeError, UnicodeDecodeError):
                continue
        return tuple(found)

    def planned(self, run_id: str) -> dict[str, PlannedChange]:
        """The changes that the run planned, by id."""
        return {each.id: each for plan in self.plans(run_id) for each in plan.changes}

    def is_torn(self, run_id: str) -> bool:
        """Whether the last line of the journal was cut off."""
        return is_torn(self.state.run_folder(run_id))


def list_runs(state: State) -> tuple[RunSummary, ...]:
    """Every run of this state folder, oldest first."""
    runs = Runs(state)
    return tuple(runs.summary(each) for each in runs.ids())


def run_table(found: Sequence[RunSummary]) -> list[str]:
    """One line a run with what an operator looks for first; '' cells are dashes."""
    if not found:
        return ["no run has changed anything"]
    head = ("RUN", "BEGAN (UTC)", "STATE", "CHANGES", "WHERE")
    rows = [head, *(_row(each) for each in found)]
    widths = [max(len(row[at]) for row in rows) for at in range(len(head) - 1)]
    return [
        "  ".join((*(cell.ljust(width) for cell, width in zip(row, widths, strict=False)), row[-1]))
        for row in rows
    ]


def _row(run: RunSummary) -> tuple[str, ...]:
    where = places(run.targets) or "-"
    return (
        run.id,
        run.began[:19].replace("T", " ") or "-",
        run.state,
        str(run.changes),
        f"{where}  (undoes {run.undoes})" if run.undoes else where,
    )


_FRACTION = re.compile(r"\.\d+")
_MOST_NAMED = 4


def places(targets: Iterable[SubjectId]) -> str:
    """The targets in a few words: many of them are counted."""
    names = list(targets)
    if len(names) <= _MOST_NAMED:
        return ", ".join(names)
    shown = ", ".join(names[: _MOST_NAMED - 1])
    return f"{shown} and {len(names) - _MOST_NAMED + 1} more"


def run_lines(runs: Runs, run_id: str) -> Iterator[str]:
    """What one run did, step by step, and what can be done about it."""
    run = runs.summary(run_id)
    yield f"run {run.id}: {run.state}, {counted(run.changes, 'change')}"
    if run.undoes:
        yield f"  undoes run {run.undoes}"
    if run.site:
        yield f"  site {run.site}"
    yield f"  began {_FRACTION.sub('', run.began) or '?'}"
    planned = runs.planned(run_id)
    for entry in still_standing(runs.entries(run_id)):
        yield from _entry_lines(entry, planned.get(entry.op.partition("/")[0]))
    taken_back = [each for each in runs.entries(run_id) if each.step == "rolled_back"]
    for entry in taken_back:
        yield f"  rolled back  {entry.op}"
    if runs.is_torn(run_id):
        yield "  the last line of its journal was cut off: the step it names was not begun"
    by = sorted(set(runs.covered(run_id).values()))
    yield from (f"  undone by run {each}" for each in by)
    if run.changes and not runs.undone_by(run_id):
        site = f" --site {run.site}" if run.site else ""
        yield f"undo with: gapcheck undo {run.id}{site}"


def _entry_lines(entry: Entry, planned: PlannedChange | None) -> Iterator[str]:
    begun = "" if entry.step == "applied" else "  (was under way when the run ended)"
    paths = [each.path for each in (entry.after or entry.intended)]
    effect = entry.effect
    kinds = (CORDON, "unit", "restart", "container", "recreated", "put_back")
    named = next((effect[each] for each in kinds if each in effect), "")
    what = named or effect.get("object") or ", ".join(paths[:1])
    more = f" and {counted(len(paths) - 1, 'more file')}" if len(paths) > 1 else ""
    yield f"  {entry.at[11:19]}  {entry.kind}  {entry.target} {what}{more}{begun}".rstrip()
    if entry.detail:
        yield f"            {entry.detail}"
    if planned is not None and planned.causes:
        yield f"            for {', '.join(map(str, planned.causes))}"
    if entry.final:
        yield "            final: not undone"
