"""Undo of a run: planned and shown first, every file verified before the first is touched.

An undo is a run of its own, with a journal and a backup, so it can be undone as well. A place
that was put back stays so: where an undo ends early, another does the rest.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, replace
from functools import partial

from gapcheck.errors import RepairFailed, RepairRefused, TargetError, UsageError
from gapcheck.model import SubjectId, is_named
from gapcheck.record import ChangeResult
from gapcheck.remediations.apply import UNIT_WAIT_S, execute, no_hook
from gapcheck.remediations.foreign import Foreign, foreign
from gapcheck.remediations.heartbeat import Heartbeat
from gapcheck.remediations.journal import Entry, FileState, Journal
from gapcheck.remediations.machines.base import Holder, Machine, give_free
from gapcheck.remediations.operation import Operation, Write
from gapcheck.remediations.recovery import (
    CORDON,
    REFRESH,
    UNCORDON,
    PathChange,
    path_changes,
    remove_folders,
    restarts,
)
from gapcheck.remediations.rolling import Pace, in_batches
from gapcheck.remediations.runs import Runs
from gapcheck.remediations.side_by_side import side_by_side
from gapcheck.state import State

log = logging.getLogger(__name__)

GONE = "what was removed for good is not put back"
_TREE_FILE = "files that the trust tool generates"


def nobody_hears(result: ChangeResult) -> None:
    """A result that nobody waits for."""
    del result


@dataclass(frozen=True, slots=True, kw_only=True)
class UndoPlan:
    """What undoing `run` does: one line each, in the order in which it is done.

    `kept` are lines about what stays as it is; `only` the places it is limited to, () = all.
    """

    run: str
    entries: tuple[Entry, ...]
    lines: tuple[str, ...]
    kept: tuple[str, ...]
    only: tuple[SubjectId, ...] = ()

    @property
    def targets(self) -> tuple[SubjectId, ...]:
        """The places to put back, last changed first."""
        return tuple(dict.fromkeys(entry.target for entry in reversed(self.entries)))


def plan_undo(
    run_id: str, state: State, *, targets: Sequence[str] = (), force: bool = False
) -> UndoPlan:
    """What undoing `run_id` would do; nothing is asked of a target.

    `targets` (globs) limit it to some places. Raises UsageError where there is no such run,
    nothing of it stands, a later run built on it and has to be undone first, or (unless
    `force`) others rely on what is to be undone.
    """
    state.known(run_id)
    runs = Runs(state)
    by = runs.undone_by(run_id)
    if by:
        raise UsageError(f"run {run_id} was undone by run {by}")
    standing = runs.standing(run_id)
    if not standing:
        raise UsageError(f"run {run_id} changed nothing that still stands")
    entries = _chosen(standing, targets)
    if len(entries) < len(standing) and not force:
        _refuse_where_relied_on(run_id, standing, entries)
    _refuse_where_built_on(runs, run_id, entries)
    changes = path_changes(entries, None)
    lines = [_line(each) for each in reversed(changes) if not each.final]
    lines += [_effect_line(each) for each in reversed(entries) if each.effect]
    kept = [f"{each.target} {each.before.path}: {GONE}" for each in changes if each.final]
    kept += [
        f"{each.target} container {each.effect['put_back']}: gapcheck fix makes it anew"
        for each in entries
        if "put_back" in each.effect
    ]
    if runs.is_torn(run_id):
        kept.append("the last line of the journal was cut off: the step it names was not begun")
    return UndoPlan(
        run=run_id,
        entries=entries,
        lines=tuple(dict.fromkeys(line for line in lines if line)),
        kept=tuple(kept),
        only=tuple(dict.fromkeys(each.target for each in entries)) if targets else (),
    )


def _chosen(standing: Sequence[Entry], targets: Sequence[str]) -> tuple[Entry, ...]:
    """The entries of the places that `targets` name; UsageError where one names none."""
    known = dict.fromkeys(each.target for each in standing)
    named: set[SubjectId] = set()
    for pattern in targets:
        found = {each for each in known if is_named(pattern, each)}
        if not found:
            raise UsageError(
                f"--target {pattern}: the run changed nothing there that still stands",
                f"it changed: {', '.join(known)}",
            )
        named |= found
    return tuple(each for each in standing if not targets or each.target in named)


_TRUST = ("WriteFile", "EditToml", "RefreshTrustStore", "IssueCertificate")


def _refuse_where_relied_on(
    run_id: str, standing: Sequence[Entry], entries: Sequence[Entry]
) -> None:
    """Refuse to take from clients what makes them trust a certificate that stays in service."""
    stays = [e for e in standing if e.kind == "SwitchCertificate" and e not in entries]
    taken = [e for e in entries if e.kind in _TRUST]
    if stays and taken:
        raise UsageError(
            f"{stays[0].target} serves the certificate that run {run_id} issued, and "
            f"{taken[0].target} trusts it by what would be undone",
            "undo all of the run, or say --force",
        )


def _refuse_where_built_on(runs: Runs, run_id: str, entries: Sequence[Entry]) -> None:
    mine = {(each.target, each.before.path) for each in path_changes(entries, None)}
    for later in reversed(runs.later(run_id)):
        undoes = runs.head(later).undoes
        if undoes == run_id or _is_undone_undo(runs, undoes):
            continue
        theirs = path_changes(runs.standing(later), None)
        shared = [c.before.path for c in theirs if (c.target, c.before.path) in mine]
        if shared:
            raise UsageError(
                f"run {later} built on run {run_id} (it changed {shared[0]} as well)",
                f"undo that one first: gapcheck undo {later}",
            )


def _is_undone_undo(runs: Runs, undoes: str) -> bool:
    """Whether this run undid another run that therefore stands for nothing any more."""
    return bool(undoes) and undoes in runs.ids() and bool(runs.undone_by(undoes))


def _line(change: PathChange) -> str:
    where = f"{change.target} {change.before.path}"
    if change.before.kind == "absent":
        return f"{where}: removed, as it was not there"
    if change.before.kind == "link":
        return f"{where}: link to {change.before.link} put back"
    return f"{where}: content {change.before.sha256[:12]}, mode {change.before.mode:04o} put back"


def _effect_line(entry: Entry) -> str:
    words = _effect_words(entry)
    return f"{entry.target} {words}" if words else ""


def _effect_words(entry: Entry) -> str:
    words = ""
    match entry.effect:
        case {"trees": _} if entry.step != "applied":
            words = f"{_TREE_FILE} put back"
        case effect if CORDON in effect:
            words = f"node {effect[CORDON]} uncordoned, where the run cordoned it"
        case effect if REFRESH in effect:
            words = "trust store rebuilt: the former one held a private key"
        case {"container": name, "policy": was} | {"recreated": name, "old": was}:
            what = "restart policy" if "policy" in entry.effect else "the former one,"
            words = f"container {name}: {what} {was[:12]}"
        case {"object": name, "revision": revision}:
            words = f"{name}: helm rollback to revision {revision}"
        case {"object": name}:
            words = "" if entry.final else f"{name} put back"
        case {"unit": name} | {"restart": name}:
            words = f"{name} restarted"
    return words


def undo_run(  # noqa: PLR0913 - the parts of a run, all by name
    plan: UndoPlan,
    *,
    machines: Callable[[SubjectId], Machine],
    journal: Journal,
    holder: Holder,
    accepted: Collection[Foreign] | None = None,
    hook: Callable[[str], None] = no_hook,
    wait_s: float = UNIT_WAIT_S,
    pace: Pace | None = None,
    parallel: int = 1,
    said: Callable[[ChangeResult], None] = nobody_hears,
) -> tuple[ChangeResult, ...]:
    """Put everything back, nodes in batches of `pace`; what became of each place.

    The places of a batch, at most `parallel`, are put back side by side; `said` hears of each
    when its batch is done.

    Raises RepairRefused, with nothing touched anywhere, where a place is held by another run
    or something is not as the run left it, and is not among `accepted`: what is, is
    overwritten and kept in this run's backup. Where a place fails, later batches are not begun,
    and `undo` continues later.
    """
    held: dict[SubjectId, Machine] = {}
    lost: dict[SubjectId, str] = {}
    heartbeat = Heartbeat(lambda: held, lost.setdefault, parallel=parallel)
    begin = Entry(step="begin", run=journal.run, site=journal.site, undoes=plan.run, only=plan.only)
    journal.append(begin)

    def hold(target: SubjectId) -> str:
        machine = machines(target)
        word = machine.lock(holder)
        held[target] = machine
        return word

    try:
        first, *rest = plan.targets  # the first alone, as in Applier.begin
        for some in ((first,), rest):
            for target, word in side_by_side(some, hold, parallel=parallel).items():
                if word.result():
                    log.warning("%s: %s", target, word.result())
        heartbeat.start()
        undo = _Undo(plan, journal, hook=hook, wait_s=wait_s, lost=lost)
        accept = frozenset(accepted or ())
        found = side_by_side(
            plan.targets, lambda each: undo.verified(held[each], accept), parallel=parallel
        )
        changes = {target: verified.result() for target, verified in found.items()}
        results = undo.places(held, changes, pace or Pace(), parallel, said)
    finally:
        heartbeat.stop()
        give_free(held.values(), parallel=parallel)
    if all(each.state != "failed" for each in results):
        journal.append(Entry(step="end", run=journal.run, detail="done"))
    return results


class _Undo:
    def __init__(
        self,
        plan: UndoPlan,
        journal: Journal,
        *,
        hook: Callable[[str], None],
        wait_s: float,
        lost: Mapping[SubjectId, str],
    ) -> None:
        self._lost = lost
        self._plan = plan
        self._journal = journal
        self._hook = hook
        self._wait_s = wait_s

    def _entries(self, target: SubjectId) -> tuple[Entry, ...]:
        return tuple(each for each in self._plan.entries if each.target == target)

    def verified(
        self, machine: Machine, accepted: Collection[Foreign]
    ) -> tuple[tuple[PathChange, FileState], ...]:
        """The changes of one place with what stands there now, if that is still ours."""
        entries = self._entries(machine.target)
        changes = path_changes(entries, machine)
        now = machine.states([each.before.path for each in changes])
        pairs = tuple(zip(changes, now, strict=True))
        others = [each for each in foreign(entries, machine) if each not in accepted]
        if others:
            raise RepairRefused(
                str(machine.target),
                f"changed by someone else after run {self._plan.run}: "
                f"{'; '.join(map(str, others))}"
                " (--force overwrites it and keeps it in the backup of the undo)",
            )
        return pairs

    def places(
        self,
        held: Mapping[SubjectId, Machine],
        changes: Mapping[SubjectId, tuple[tuple[PathChange, FileState], ...]],
        pace: Pace,
        parallel: int,
        said: Callable[[ChangeResult], None],
    ) -> tuple[ChangeResult, ...]:
        """Put the places back, batch after batch, until one of them goes wrong."""
        results: list[ChangeResult] = []
        stopped = ""

        def put_back(target: SubjectId) -> ChangeResult:
            return self._place(held[target], changes[target])

        for batch in in_batches(self._plan.targets, pace):
            if stopped:
                done = [self._result(each, "skipped", stopped) for each in batch]
            else:
                found = side_by_side(batch, put_back, parallel=parallel)
                done = [self._outcome(*each) for each in found.items()]
                bad = [each.target for each in done if each.state == "failed"]
                stopped = f"{', '.join(bad)} failed" if bad else ""
            for each in done:
                said(each)
            results += done
        return tuple(results)

    def _outcome(self, target: SubjectId, done: Future[ChangeResult]) -> ChangeResult:
        try:
            return done.result()
        except (RepairRefused, RepairFailed, TargetError) as failed:
            again = f"gapcheck undo {self._plan.run} continues"
            return self._result(target, "failed", f"{failed}; {again}")

    def _place(
        self, machine: Machine, changes: Sequence[tuple[PathChange, FileState]]
    ) -> ChangeResult:
        target, entries = machine.target, self._entries(machine.target)
        if target in self._lost:
            raise RepairRefused(str(target), self._lost[target])
        machine.sweep([change.before.path for change, _ in changes])
        words = [
            f"{change.before.path}: {GONE}"
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
        self._journal.append(Entry(step="undone", target=target))
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
    for entry in reversed(entries):
        yield from _settings(entry, machine, wait_s)
    for effect, act in restarts(entries, machine, wait_s):
        yield _operation(machine, effect, act)


def _settings(entry: Entry, machine: Machine, wait_s: float) -> Iterator[Operation]:
    """What one step did beside files and restarts, put back."""
    effect = entry.effect
    if "container" in effect:
        name, policy = effect["container"], effect["policy"]
        back = {"container": name, "policy": effect["was_set"], "was_set": policy}
        yield _operation(machine, back, partial(machine.set_restart_policy, name, policy))
    if "recreated" in effect:
        former = partial(machine.restore_container, effect, timeout_s=wait_s)
        yield _operation(machine, {"put_back": effect["recreated"]}, former)
    if "object" in effect and not entry.final:
        yield _operation(machine, effect, partial(machine.restore_object, effect))
    if CORDON in effect:
        name, run = effect[CORDON], effect["run"]
        free = partial(machine.uncordon_node, name, run)
        yield _operation(machine, {UNCORDON: name, "run": run}, free)
    if REFRESH in effect:
        again = partial(machine.refresh_trust_store, effect[REFRESH], fresh=True)
        yield _operation(machine, effect, again)


def _operation(
    machine: Machine, effect: Mapping[str, str], act: Callable[[], str | dict[str, str]]
) -> Operation:
    return Operation(id="", kind="Undo", machine=machine, effect=effect, act=act)
