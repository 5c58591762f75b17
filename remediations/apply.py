"""Executes a plan: journal, backup, compare, write, journal. The one place that repairs.

Every step is on disk before the next begins, so that a run that is cut off anywhere can be
undone, and a new run starts from what really stands there.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from concurrent.futures import Future
from datetime import datetime

import msgspec

from gapcheck.errors import EditRefused, LockHeld, RepairFailed, RepairRefused, TargetError
from gapcheck.model import CLUSTER, SITE, SubjectId
from gapcheck.record import ChangeResult
from gapcheck.remediations.draining import place_of
from gapcheck.remediations.heartbeat import EVERY_S, Heartbeat
from gapcheck.remediations.journal import Entry, FileState, Journal
from gapcheck.remediations.machines.base import Holder, Machine, give_free
from gapcheck.remediations.operation import Operation, Workshop, Write
from gapcheck.remediations.plan import (
    AnyChange,
    DrainNode,
    IssueCertificate,
    Plan,
    PlannedChange,
)
from gapcheck.remediations.recovery import remove_folders, restore, unfinished
from gapcheck.remediations.side_by_side import side_by_side

log = logging.getLogger(__name__)

UNIT_WAIT_S = 120.0
_EXPECTED = (RepairRefused, RepairFailed, EditRefused, TargetError)


def no_hook(step: str) -> None:
    """A boundary between two steps that nobody watches."""
    del step


class Applier:
    """Applies the plans of one run, round after round. `hook` is called between any two steps.

    `machines` opens the place of a subject; it is asked once for each. At most `parallel` places
    are held, or nodes of one batch changed, at a time.
    """

    def __init__(  # noqa: PLR0913 - the parts of a run, all by name
        self,
        *,
        machines: Callable[[SubjectId], Machine],
        journal: Journal,
        holder: Holder,
        now: datetime,
        hook: Callable[[str], None] = no_hook,
        wait_s: float = UNIT_WAIT_S,
        parallel: int = 1,
        beat_s: float = EVERY_S,
    ) -> None:
        self._beat_s = beat_s
        self._open = machines
        self._parallel = parallel
        self._ended = False
        self._journal = journal
        self._holder = holder
        self._hook = hook
        self._held: dict[SubjectId, Machine] = {}
        self._stopped: dict[SubjectId, str] = {}
        self._done: list[tuple[str, Operation]] = []
        self._results: dict[str, ChangeResult] = {}
        self._refusing: SubjectId | None = None
        self._round = 0
        self._workshop = Workshop(run=journal.run, machines=self._machine, now=now, wait_s=wait_s)
        self._journal.append(Entry(step="begin", run=journal.run, site=journal.site))
        self._heartbeat = self._new_heartbeat()

    def apply(self, plan: Plan) -> tuple[ChangeResult, ...]:
        """Execute the changes of `plan` in their order; what became of each.

        A change that fails ends the round for its target: what the round did there is rolled
        back, later changes there are skipped, other targets go on.
        """
        try:
            self.begin(plan)
            return self.part(plan.changes)
        finally:
            self.release()

    def begin(self, plan: Plan) -> None:
        """Begin a round: hold every place that `plan` changes.

        Where another run holds one of them, or the rights to hold it are missing, all of them
        are given free and nothing of the round is done. A place that cannot be reached fails
        by itself, at its first change.
        """
        self._round = plan.round
        self._refusing = None
        self._stopped.clear()
        self._done.clear()
        self._results.clear()
        self._workshop.written.clear()
        targets = dict.fromkeys(each.change.target for each in plan.changes)
        if any(isinstance(each.change, IssueCertificate) for each in plan.changes):
            targets[SITE] = None  # the issuer's pair lies there
        for target, held in self._hold(targets, plan):
            try:
                self._say(target, held.result())
            except RepairRefused as refused:
                self.release()
                why = "is held by another run" if isinstance(refused, LockHeld) else "refuses"
                self._stopped.update(dict.fromkeys(targets, f"{target} {why}"))
                self._stopped[target] = str(refused)
                self._refusing = target
                return
            except _EXPECTED as failed:
                log.info("%s", failed)
        self._heartbeat = self._new_heartbeat()
        self._heartbeat.start()

    def _new_heartbeat(self) -> Heartbeat:
        return Heartbeat(
            lambda: self._held,
            self._stopped.setdefault,
            parallel=self._parallel,
            every_s=self._beat_s,
        )

    def _hold(
        self, targets: Iterable[SubjectId], plan: Plan
    ) -> Iterator[tuple[SubjectId, Future[str]]]:
        """Hold `targets` and ask for rights there; what came of each, in order.

        The first is taken before the rest are, side by side: of two runs that begin at the same
        moment with the same places, one has them all.
        """

        def take(target: SubjectId) -> str:
            word = self._take(target)
            self._refuse_without_rights(target, plan)
            return word

        first, *rest = targets
        yield from side_by_side((first,), take, parallel=1).items()
        yield from side_by_side(rest, take, parallel=self._parallel).items()

    def _refuse_without_rights(self, target: SubjectId, plan: Plan) -> None:
        """Refuse where a right is missing that the plan needs on `target`."""
        changes = [each.change for each in plan.changes if each.change.target == target]
        missing = self._held[target].missing_rights(changes)
        if missing:
            raise RepairRefused(
                str(target),
                f"the account lacks rights that this needs: {'; '.join(missing)} "
                "(gapcheck export rbac --for fix prints them)",
            )

    def part(self, changes: Sequence[PlannedChange]) -> tuple[ChangeResult, ...]:
        """Execute some changes of the round that is under way; what became of each of them.

        Where all of them are of nodes, the nodes are changed side by side, each in its order.
        """
        found: dict[SubjectId, list[PlannedChange]] = {}
        for planned in changes:
            place = place_of(planned.change) if _of_nodes(changes) else SITE
            found.setdefault(place, []).append(planned)
        try:
            done = side_by_side(
                found, lambda each: self._in_order(found[each]), parallel=self._parallel
            )
        except BaseException:
            self._ended = True
            raise
        for each in done.values():
            each.result()
        if any(self._results[each.id].state == "failed" for each in changes):
            self._mark_rolled_back()
        return tuple(self._results[each.id] for each in changes)

    def _in_order(self, changes: Iterable[PlannedChange]) -> None:
        for planned in changes:
            if self._ended:
                return
            self._results[planned.id] = self._one(planned)

    def take_back(self, targets: Collection[SubjectId], why: str) -> tuple[ChangeResult, ...]:
        """Roll back what the round did on `targets`; all results of the round so far."""
        mine = [pair for pair in self._done if pair[1].place in targets]
        if mine:
            self._stopped.update(dict.fromkeys(targets, why))
            log.info("%s", self._roll_back(mine))
            self._mark_rolled_back()
        return tuple(self._results.values())

    def finish(self, detail: str = "done") -> None:
        """Write that the run ended by itself."""
        self._journal.append(Entry(step="end", run=self._journal.run, detail=detail))

    def release(self) -> None:
        """Give every place free."""
        self._heartbeat.stop()
        held, self._held = self._held, {}
        give_free(held.values(), parallel=self._parallel)

    def _machine(self, subject: SubjectId) -> Machine:
        if subject not in self._held:
            self._say(subject, self._take(subject))
        return self._held[subject]

    def _take(self, subject: SubjectId) -> str:
        """Open and hold a place; a word about a lock that was taken over."""
        machine = self._open(subject)
        word = machine.lock(self._holder)
        self._held[subject] = machine
        return word

    @staticmethod
    def _say(subject: SubjectId, word: str) -> None:
        if word:
            log.warning("%s: %s", subject, word)

    def _one(self, planned: PlannedChange) -> ChangeResult:
        why = self._why_not(planned.change)
        if why:
            state = "failed" if planned.change.target == self._refusing else "skipped"
            return self._result(planned, state, why)
        try:
            operations = self._workshop.operations(planned)
            words = [self._run(planned, each) for each in operations]
        except _EXPECTED as failed:
            return self._failed(planned, failed)
        if not operations:
            return self._result(planned, "unchanged", "")
        return self._result(planned, "applied", "; ".join(word for word in words if word))

    def _why_not(self, change: AnyChange) -> str:
        """What stopped the place of a change before, ''.

        A node that is not drained is not changed. One that is drained is uncordoned, whatever
        became of other objects of the cluster.
        """
        place, target = place_of(change), change.target
        if target == self._refusing:
            return self._stopped[target]
        why = self._stopped.get(place, "")
        if isinstance(change, DrainNode) and not why and target in self._stopped:
            why = self._stopped[place] = self._stopped[target]
        return why

    @staticmethod
    def _result(planned: PlannedChange, state: str, detail: str) -> ChangeResult:
        return ChangeResult(id=planned.id, target=planned.change.target, state=state, detail=detail)

    def _run(self, planned: PlannedChange, operation: Operation) -> str:
        entry = execute(
            operation, journal=self._journal, round_=self._round, hook=self._hook, done=self._done
        )
        if isinstance(planned.change, IssueCertificate) and operation.outputs:
            self._workshop.outputs[planned.id] = operation.outputs
        return entry.detail

    def _failed(self, planned: PlannedChange, failed: Exception) -> ChangeResult:
        place = place_of(planned.change)
        detail = str(failed)
        self._stopped[place] = f"{planned.id} failed there"
        mine = [pair for pair in tuple(self._done) if pair[1].place == place]
        if isinstance(planned.change, IssueCertificate):
            issuer = f"{planned.id}/issuer"
            mine += [pair for pair in self._done if pair[0] == issuer and pair not in mine]
        if mine:
            detail += f"; {self._roll_back(mine)}"
        return self._result(planned, "failed", detail)

    def _roll_back(self, mine: Iterable[tuple[str, Operation]]) -> str:
        operations = list(mine)
        ids = {op_id for op_id, _ in operations}
        entries = [
            each
            for each in unfinished(self._journal.folder)
            if each.op in ids and each.round == self._round
        ]
        words: list[str] = []
        try:
            machines = {op.machine.target: op.machine for _, op in operations}
            for target in sorted(machines, key=lambda each: each == CLUSTER):  # uncordoned last
                each, own = machines[target], [e for e in entries if e.target == target]
                words += restore(
                    own, machine=each, run=self._journal.run, wait_s=self._workshop.wait_s
                )
        except _EXPECTED as again:
            return f"it could not be rolled back ({again}); gapcheck undo {self._journal.run}"
        for pair in operations:
            self._done.remove(pair)
        try:
            for op_id in sorted(ids):
                self._journal.append(Entry(step="rolled_back", round=self._round, op=op_id))
        except RepairFailed as unwritable:
            words.append(str(unwritable))
        return "; ".join(("what this round had changed there was rolled back", *words))

    def _mark_rolled_back(self) -> None:
        kept = {op_id.partition("/")[0] for op_id, _ in self._done}
        for change_id, result in self._results.items():
            if result.state == "applied" and change_id not in kept:
                self._results[change_id] = msgspec.structs.replace(
                    result, state="undone", detail="rolled back"
                )


def _of_nodes(changes: Iterable[PlannedChange]) -> bool:
    return all(place_of(each.change).startswith("node/") for each in changes)


def execute(
    operation: Operation,
    *,
    journal: Journal,
    round_: int,
    hook: Callable[[str], None],
    done: list[tuple[str, Operation]],
) -> Entry:
    """Do one operation between its journal entries; the last of them.

    It stands in `done` from the moment on at which it may have changed something.
    """
    machine = operation.machine
    entry = Entry(
        step="planned",
        round=round_,
        op=operation.id,
        kind=operation.kind,
        target=machine.target,
    )
    journal.append(entry)
    hook(f"planned {operation.id}")
    before = _save(operation, journal.run)
    hook(f"saved {operation.id}")
    effect = dict(operation.effect)
    if operation.trees:
        effect["trees"] = ":".join(operation.trees)
    begun = _with(entry, operation, before, effect)
    journal.append(begun)
    pair = (operation.id, operation)
    done.append(pair)
    hook(f"backed up {operation.id}")
    after: list[FileState] = []
    word: str | dict[str, str] = ""
    try:
        for each in operation.writes:
            after.append(_one_file(operation, each, journal.run))
            hook(f"wrote {each.wanted.path}")
        if operation.act is not None:
            word = operation.act()
    except RepairRefused:
        if not after:  # nothing of it was done, so there is nothing to put back
            with contextlib.suppress(*_EXPECTED):
                remove_folders((begun,), machine)
            done.remove(pair)
            journal.append(msgspec.structs.replace(entry, step="rolled_back"))
        raise
    hook(f"acted {operation.id}")
    if isinstance(word, dict):
        effect.update(word)
        word = word.get("word", "")
    if operation.trees:
        after += _differences(before, machine.tree(operation.trees))
    applied = msgspec.structs.replace(
        entry, step="applied", after=tuple(after), effect=effect, detail=word
    )
    journal.append(applied)
    hook(f"applied {operation.id}")
    return applied


def _save(operation: Operation, run: str) -> tuple[FileState, ...]:
    """What stands there before, with the contents that will change in the backup."""
    machine = operation.machine
    tree = machine.tree(operation.trees) if operation.trees else ()
    if not operation.final:
        changing = [w.expect for w in operation.writes if w.wanted.sha256 != w.expect.sha256]
        machine.save(run, (*changing, *operation.keep, *tree))
    return (*(each.expect for each in operation.writes), *operation.keep, *tree)


def _with(
    entry: Entry, operation: Operation, before: tuple[FileState, ...], effect: dict[str, str]
) -> Entry:
    return msgspec.structs.replace(
        entry,
        step="backed_up",
        before=before,
        intended=tuple(each.wanted for each in operation.writes),
        dirs=operation.dirs,
        loose=operation.in_place,
        in_place=operation.in_place,
        final=operation.final,
        effect=effect,
    )


def _one_file(operation: Operation, write: Write, run: str) -> FileState:
    machine, in_place = operation.machine, operation.in_place
    if write.from_backup:
        backup = operation.backup_of or run
        return machine.restore(backup, write.wanted, expect=write.expect, in_place=in_place)
    return machine.put(write.wanted, write.content, expect=write.expect, in_place=in_place)


def _differences(before: Iterable[FileState], after: Iterable[FileState]) -> tuple[FileState, ...]:
    old = {each.path: each for each in before}
    new = {each.path: each for each in after}
    changed = [state for path, state in new.items() if old.get(path) != state]
    return (*changed, *(FileState(path=path) for path in old if path not in new))


def apply_plan(  # noqa: PLR0913 - the parts of a run, all by name
    plan: Plan,
    *,
    machines: Callable[[SubjectId], Machine],
    journal: Journal,
    holder: Holder,
    now: datetime,
    hook: Callable[[str], None] = no_hook,
    wait_s: float = UNIT_WAIT_S,
) -> tuple[ChangeResult, ...]:
    """Apply one plan as a run of its own round; see `Applier`."""
    applier = Applier(
        machines=machines, journal=journal, holder=holder, now=now, hook=hook, wait_s=wait_s
    )
    return applier.apply(plan)
