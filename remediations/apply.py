"""Executes a plan: journal, backup, compare, write, journal. The one place that repairs.

Every step is on disk before the next begins, so that a run that is cut off anywhere can be
undone, and a new run starts from what really stands there.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from datetime import datetime

import msgspec

from gapcheck.errors import EditRefused, RepairFailed, RepairRefused, TargetError
from gapcheck.model import SubjectId
from gapcheck.record import ChangeResult
from gapcheck.remediations.journal import Entry, FileState, Journal
from gapcheck.remediations.machines.base import Holder, Machine, give_free
from gapcheck.remediations.operation import Operation, Workshop, Write
from gapcheck.remediations.plan import IssueCertificate, Plan, PlannedChange
from gapcheck.remediations.recovery import restore, unfinished

log = logging.getLogger(__name__)

UNIT_WAIT_S = 120.0
_EXPECTED = (RepairRefused, RepairFailed, EditRefused, TargetError)


def no_hook(step: str) -> None:
    """A boundary between two steps that nobody watches."""
    del step


class Applier:
    """Applies the plans of one run, round after round. `hook` is called between any two steps.

    `machines` opens the place of a subject; it is asked once for each.
    """

    def __init__(
        self,
        *,
        machines: Callable[[SubjectId], Machine],
        journal: Journal,
        holder: Holder,
        now: datetime,
        hook: Callable[[str], None] = no_hook,
        wait_s: float = UNIT_WAIT_S,
    ) -> None:
        self._open = machines
        self._journal = journal
        self._holder = holder
        self._hook = hook
        self._held: dict[SubjectId, Machine] = {}
        self._stopped: dict[SubjectId, str] = {}
        self._done: list[tuple[str, Operation]] = []
        self._workshop = Workshop(run=journal.run, machines=self._machine, now=now, wait_s=wait_s)
        self._journal.append(Entry(step="begin", run=journal.run))

    def apply(self, plan: Plan) -> tuple[ChangeResult, ...]:
        """Execute the changes of `plan` in their order; what became of each.

        A change that fails ends the round for its target: what the round did there is rolled
        back, later changes there are skipped, other targets go on.
        """
        self._stopped.clear()
        self._done.clear()
        self._workshop.written.clear()
        results: dict[str, ChangeResult] = {}
        try:
            for planned in plan.changes:
                results[planned.id] = self._one(plan.round, planned)
                self._mark_rolled_back(plan.changes, results)
        finally:
            self.release()
        return tuple(results.values())

    def finish(self, detail: str = "done") -> None:
        """Write that the run ended by itself."""
        self._journal.append(Entry(step="end", run=self._journal.run, detail=detail))

    def release(self) -> None:
        """Give every place free."""
        held, self._held = self._held, {}
        give_free(held.values())

    def _machine(self, subject: SubjectId) -> Machine:
        held = self._held.get(subject)
        if held is None:
            held = self._open(subject)
            word = held.lock(self._holder)
            if word:
                log.warning("%s: %s", subject, word)
            self._held[subject] = held
        return held

    def _one(self, round_: int, planned: PlannedChange) -> ChangeResult:
        target = planned.change.target
        if target in self._stopped:
            return self._result(planned, "skipped", self._stopped[target])
        try:
            operations = self._workshop.operations(planned.id, planned.change)
            words = [self._run(round_, planned, each) for each in operations]
        except _EXPECTED as failed:
            return self._failed(planned, failed)
        if not operations:
            return self._result(planned, "unchanged", "")
        return self._result(planned, "applied", "; ".join(word for word in words if word))

    @staticmethod
    def _result(planned: PlannedChange, state: str, detail: str) -> ChangeResult:
        return ChangeResult(id=planned.id, target=planned.change.target, state=state, detail=detail)

    def _run(self, round_: int, planned: PlannedChange, operation: Operation) -> str:
        entry = execute(
            operation, journal=self._journal, round_=round_, hook=self._hook, done=self._done
        )
        if isinstance(planned.change, IssueCertificate) and operation.outputs:
            self._workshop.outputs[planned.id] = operation.outputs
        return entry.detail

    def _failed(self, planned: PlannedChange, failed: Exception) -> ChangeResult:
        target = planned.change.target
        detail = str(failed)
        self._stopped[target] = f"{planned.id} failed there"
        mine = [(op_id, op) for op_id, op in self._done if op.machine.target == target]
        if isinstance(planned.change, IssueCertificate):
            issuer = f"{planned.id}/issuer"
            mine += [pair for pair in self._done if pair[0] == issuer and pair not in mine]
        if mine:
            detail += f"; {self._roll_back(mine)}"
        return self._result(planned, "failed", detail)

    def _roll_back(self, mine: Iterable[tuple[str, Operation]]) -> str:
        operations = list(mine)
        ids = {op_id for op_id, _ in operations}
        entries = [each for each in unfinished(self._journal.folder) if each.op in ids]
        words: list[str] = []
        try:
            for each in {op.machine.target: op.machine for _, op in operations}.values():
                own = [entry for entry in entries if entry.target == each.target]
                words += restore(
                    own, machine=each, run=self._journal.run, wait_s=self._workshop.wait_s
                )
        except _EXPECTED as again:
            return f"it could not be rolled back ({again}); gapcheck undo {self._journal.run}"
        self._done = [pair for pair in self._done if pair[0] not in ids]
        try:
            for op_id in sorted(ids):
                self._journal.append(Entry(step="rolled_back", op=op_id))
        except RepairFailed as unwritable:
            words.append(str(unwritable))
        return "; ".join(("what this round had changed there was rolled back", *words))

    def _mark_rolled_back(
        self, changes: Iterable[PlannedChange], results: dict[str, ChangeResult]
    ) -> None:
        kept = {op_id.partition("/")[0] for op_id, _ in self._done}
        for planned in changes:
            result = results.get(planned.id)
            if result and result.state == "applied" and planned.id not in kept:
                results[planned.id] = self._result(planned, "undone", "rolled back")


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
    journal.append(_with(entry, operation, before, effect))
    done.append((operation.id, operation))
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
            done.pop()
            journal.append(Entry(step="rolled_back", op=operation.id, target=machine.target))
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
