"""Undo of a run: planned and shown first, every file verified before the first is touched.

An undo is a run of its own, with a journal and a backup, so it can be undone as well. One
that was cut off is simply asked for again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

from gapcheck.errors import RepairFailed, RepairRefused, TargetError, UsageError
from gapcheck.model import SubjectId
from gapcheck.record import ChangeResult
from gapcheck.remediations.apply import UNIT_WAIT_S, execute, no_hook
from gapcheck.remediations.journal import Entry, FileState, Journal, read_journal
from gapcheck.remediations.machines.base import Holder, Machine, give_free
from gapcheck.remediations.operation import Operation, Write
from gapcheck.remediations.recovery import (
    RESTARTS,
    PathChange,
    path_changes,
    remove_folders,
    unfinished,
)
from gapcheck.state import State

WAS_DOWN = "was not active before"
_TREE_FILE = "files that the trust tool generates"


@dataclass(frozen=True, slots=True, kw_only=True)
class UndoPlan:
    """What undoing `run` does: one line each, in the order in which it is done.

    `kept` are lines about what stays as it is.
    """

    run: str
    entries: tuple[Entry, ...]
    lines: tuple[str, ...]
    kept: tuple[str, ...]

    @property
    def targets(self) -> tuple[SubjectId, ...]:
        """The places to put back, last changed first."""
        return tuple(dict.fromkeys(entry.target for entry in reversed(self.entries)))


@dataclass(frozen=True, slots=True, kw_only=True)
class RunSummary:
    """One run as `gapcheck runs` lists it. `state` is done, cut off, undone or nothing changed."""

    id: str
    began: str
    state: str
    undoes: str
    targets: tuple[SubjectId, ...]
    changes: int


def list_runs(state: State) -> tuple[RunSummary, ...]:
    """Every run of this state folder, oldest first."""
    return tuple(_summary(state, run_id) for run_id in state.runs())


def _summary(state: State, run_id: str) -> RunSummary:
    entries = read_journal(state.run_folder(run_id))
    standing = unfinished(state.run_folder(run_id))
    if not standing:
        what = "nothing changed"
    elif undone_by(state, run_id):
        what = "undone"
    else:
        what = "done" if any(each.step == "end" for each in entries) else "cut off"
    return RunSummary(
        id=run_id,
        began=entries[0].at if entries else "",
        state=what,
        undoes=_undoes(entries),
        targets=tuple(dict.fromkeys(each.target for each in standing)),
        changes=len(standing),
    )


def _undoes(entries: Iterable[Entry]) -> str:
    return next((each.undoes for each in entries if each.step == "begin" and each.undoes), "")


def undone_by(state: State, run_id: str) -> str:
    """The finished run that undid `run_id` and was not itself undone; '' where there is none."""
    for later in _later(state, run_id):
        entries = read_journal(state.run_folder(later))
        finished = any(each.step == "end" for each in entries)
        if _undoes(entries) == run_id and finished and not undone_by(state, later):
            return later
    return ""


def _later(state: State, run_id: str) -> tuple[str, ...]:
    runs = state.runs()
    return runs[runs.index(run_id) + 1 :] if run_id in runs else ()


def plan_undo(run_id: str, state: State) -> UndoPlan:
    """What undoing `run_id` would do; nothing is asked of a target.

    Raises UsageError where there is no such run, nothing of it stands, or a later run built
    on it and has to be undone first.
    """
    folder = state.known(run_id)
    by = undone_by(state, run_id)
    if by:
        raise UsageError(f"run {run_id} was undone by run {by}")
    entries = unfinished(folder)
    if not entries:
        raise UsageError(f"run {run_id} changed nothing that still stands")
    _refuse_where_built_on(state, run_id, entries)
    changes = path_changes(entries, None)
    lines = [_line(each) for each in reversed(changes) if not each.final]
    lines += [_effect_line(each) for each in reversed(entries) if each.effect]
    kept = [
        f"{each.target} {each.before.path}: what was removed for good is not put back"
        for each in changes
        if each.final
    ]
    return UndoPlan(
        run=run_id,
        entries=entries,
        lines=tuple(dict.fromkeys(line for line in lines if line)),
        kept=tuple(kept),
    )


def _refuse_where_built_on(state: State, run_id: str, entries: Sequence[Entry]) -> None:
    mine = {(each.target, each.before.path) for each in path_changes(entries, None)}
    for later in reversed(_later(state, run_id)):
        journal = read_journal(state.run_folder(later))
        if _undoes(journal) == run_id or undone_by(state, later) or _is_undone_undo(state, journal):
            continue
        theirs = path_changes(unfinished(state.run_folder(later)), None)
        shared = [c.before.path for c in theirs if (c.target, c.before.path) in mine]
        if shared:
            raise UsageError(
                f"run {later} built on run {run_id} (it changed {shared[0]} as well)",
                f"undo that one first: gapcheck undo {later}",
            )


def _is_undone_undo(state: State, journal: Sequence[Entry]) -> bool:
    """Whether this run undid another run that therefore stands for nothing any more."""
    undoes = _undoes(journal)
    return bool(undoes) and undoes in state.runs() and bool(undone_by(state, undoes))


def _line(change: PathChange) -> str:
    where = f"{change.target} {change.before.path}"
    if change.before.kind == "absent":
        return f"{where}: removed, as it was not there"
    if change.before.kind == "link":
        return f"{where}: link to {change.before.link} put back"
    return f"{where}: content {change.before.sha256[:12]}, mode {change.before.mode:04o} put back"


def _effect_line(entry: Entry) -> str:
    effect = entry.effect
    if "trees" in effect and entry.step != "applied":
        return f"{entry.target} {_TREE_FILE} put back"
    if "container" in effect:
        return f"{entry.target} container {effect['container']}: restart policy {effect['policy']}"
    if "object" in effect:
        return f"{entry.target} {effect['object']} put back" if not entry.final else ""
    name = effect.get("unit") or effect.get("restart")
    return f"{entry.target} {name} restarted" if name else ""


def undo_run(  # noqa: PLR0913 - the parts of a run, all by name
    plan: UndoPlan,
    *,
    machines: Callable[[SubjectId], Machine],
    journal: Journal,
    holder: Holder,
    force: bool = False,
    hook: Callable[[str], None] = no_hook,
    wait_s: float = UNIT_WAIT_S,
) -> tuple[ChangeResult, ...]:
    """Put everything back; what became of each place.

    Raises RepairRefused, with nothing touched anywhere, where a place is held by another run
    or something is not as the run left it (`force`: it is overwritten, and kept in this run's
    backup). Where a place fails, the rest is not begun, and `undo` continues later.
    """
    held: dict[SubjectId, Machine] = {}
    journal.append(Entry(step="begin", run=journal.run, undoes=plan.run))
    try:
        for target in plan.targets:
            held[target] = machines(target)
            held[target].lock(holder)
        undo = _Undo(plan, journal, hook=hook, wait_s=wait_s)
        changes = {target: undo.verified(machine, force=force) for target, machine in held.items()}
        results = undo.places(held, changes)
    finally:
        give_free(held.values())
    if all(each.state != "failed" for each in results):
        journal.append(Entry(step="end", run=journal.run, detail="done"))
    return results


class _Undo:
    def __init__(
        self, plan: UndoPlan, journal: Journal, *, hook: Callable[[str], None], wait_s: float
    ) -> None:
        self._plan = plan
        self._journal = journal
        self._hook = hook
        self._wait_s = wait_s

    def _entries(self, target: SubjectId) -> tuple[Entry, ...]:
        return tuple(each for each in self._plan.entries if each.target == target)

    def verified(
        self, machine: Machine, *, force: bool
    ) -> tuple[tuple[PathChange, FileState], ...]:
        """The changes of one place with what stands there now, if that is still ours."""
        changes = path_changes(self._entries(machine.target), machine)
        now = machine.states([each.before.path for each in changes])
        pairs = tuple(zip(changes, now, strict=True))
        others = [_foreign(change, state) for change, state in pairs if not change.is_ours(state)]
        left = {
            entry.effect["object"]: entry for entry in _of_objects(self._entries(machine.target))
        }
        foreign = (machine.foreign_object(entry.effect) for entry in left.values())
        others += [word for word in foreign if word]
        if others and not force:
            raise RepairRefused(
                str(machine.target),
                f"changed by someone else after run {self._plan.run}: {'; '.join(others)}"
                " (--force overwrites it and keeps it in the backup of the undo)",
            )
        return pairs

    def places(
        self,
        held: dict[SubjectId, Machine],
        changes: dict[SubjectId, tuple[tuple[PathChange, FileState], ...]],
    ) -> tuple[ChangeResult, ...]:
        """Put the places back, one after another."""
        results: list[ChangeResult] = []
        stopped = ""
        for target, machine in held.items():
            if stopped:
                results.append(self._result(target, "skipped", stopped))
                continue
            try:
                results.append(self._place(machine, changes[target]))
            except (RepairRefused, RepairFailed, TargetError) as failed:
                again = f"gapcheck undo {self._plan.run} continues"
                results.append(self._result(target, "failed", f"{failed}; {again}"))
                stopped = f"{target} failed"
        return tuple(results)

    def _place(
        self, machine: Machine, changes: Sequence[tuple[PathChange, FileState]]
    ) -> ChangeResult:
        target, entries = machine.target, self._entries(machine.target)
        words = [
            f"{change.before.path}: what was removed for good is not put back"
            for change, state in changes
            if change.final and not state.like(change.before)
        ]
        for number, (change, state) in enumerate(reversed(changes)):
            if not change.final and not state.like(change.before):
                self._path(machine, change, state, number)
        words += remove_folders(entries, machine)
        for number, operation in enumerate(_effects(entries, machine, self._wait_s)):
            named = replace(operation, id=f"undo-{target}-effect-{number}")
            words.append(self._execute(named))
        return self._result(target, "undone", "; ".join(word for word in words if word))

    def _path(self, machine: Machine, change: PathChange, now: FileState, number: int) -> None:
        wanted = change.before
        moves = wanted.kind == "file" and wanted.sha256 != now.sha256
        self._execute(
            Operation(
                id=f"undo-{machine.target}-{number}",
                kind="Undo",
                machine=machine,
                writes=(Write(expect=now, wanted=wanted, from_backup=moves),),
                backup_of=self._plan.run,
                in_place=change.in_place,
            )
        )

    def _execute(self, operation: Operation) -> str:
        done = execute(operation, journal=self._journal, round_=1, hook=self._hook, done=[])
        return done.detail

    @staticmethod
    def _result(target: SubjectId, state: str, detail: str) -> ChangeResult:
        return ChangeResult(id=f"undo-{target}", target=target, state=state, detail=detail)


def _effects(entries: Sequence[Entry], machine: Machine, wait_s: float) -> Iterator[Operation]:
    """What is put back beside files: settings and objects, then each restart once."""
    restarts: dict[tuple[str, str], str] = {}
    for entry in reversed(entries):
        effect = entry.effect
        if "container" in effect:
            name, policy = effect["container"], effect["policy"]
            back = {"container": name, "policy": effect["was_set"], "was_set": policy}
            yield _operation(machine, back, partial(machine.set_restart_policy, name, policy))
        if "object" in effect and not entry.final:
            yield _operation(machine, effect, partial(machine.restore_object, effect))
        for kind in RESTARTS:
            if kind in effect:
                restarts[kind, effect[kind]] = entry.detail  # in the end, that of the first
    for (kind, name), detail in restarts.items():
        restart = machine.restart_unit if kind == "unit" else machine.restart_container
        again = partial(restart, name, timeout_s=wait_s)
        act = partial(_as_before, again, name) if WAS_DOWN in detail else again
        yield _operation(machine, {kind: name}, act)


def _as_before(restart: Callable[[], str], name: str) -> str:
    """Restart what did not run before the run either: that it does not now is no failure."""
    try:
        return restart()
    except RepairFailed as down:
        return f"{name} does not run, as before ({down.why})"


def _of_objects(entries: Iterable[Entry]) -> Iterator[Entry]:
    """The entries whose objects have to be as they left them."""
    for entry in entries:
        if "object" in entry.effect and entry.step == "applied" and not entry.final:
            yield entry


def _operation(
    machine: Machine, effect: Mapping[str, str], act: Callable[[], str | dict[str, str]]
) -> Operation:
    return Operation(id="", kind="Undo", machine=machine, effect=effect, act=act)


def _foreign(change: PathChange, now: FileState) -> str:
    left = change.after[0] if change.after else change.before
    return f"{change.before.path} (left as {_short(left)}, is now {_short(now)})"


def _short(state: FileState) -> str:
    if state.kind == "file":
        return f"{state.sha256[:12]} mode {state.mode:04o}"
    return f"link to {state.link}" if state.kind == "link" else state.kind
