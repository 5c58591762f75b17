"""Undo of a run, and the list of runs: planned, shown, asked, done."""

from __future__ import annotations

import logging
import os
import secrets
import socket
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby

from gapcheck.errors import EditedSince, UsageError
from gapcheck.exits import Exit
from gapcheck.fixtures.gather import gather_nodes
from gapcheck.model import SubjectId
from gapcheck.record import ChangeResult
from gapcheck.remediations.foreign import Foreign, foreign, foreign_diff
from gapcheck.remediations.journal import Journal
from gapcheck.remediations.machines.base import Holder, Machine
from gapcheck.remediations.machines.opening import open_machines
from gapcheck.remediations.rolling import Pace, in_batches
from gapcheck.remediations.runs import Runs, list_runs, run_lines, run_table
from gapcheck.remediations.side_by_side import side_by_side
from gapcheck.remediations.undo import UndoPlan, nobody_hears, plan_undo, undo_run
from gapcheck.site import Site
from gapcheck.site_file import LoadedSite
from gapcheck.state import State, state_folder
from gapcheck.suite import clock

log = logging.getLogger(__name__)

Opener = Callable[[SubjectId], Machine]


@dataclass(frozen=True, slots=True, kw_only=True)
class UndoRequest:
    """What is to be undone: a run, `targets` (globs; () = everywhere) of it.

    `force` overwrites what someone edited since, after it was shown. `consent` is shown the
    lines of the plan and says whether to do it; `said` hears what became of each place. `pace`
    says how many nodes are put back together.
    """

    run: str
    loaded: LoadedSite
    consent: Callable[[Sequence[str]], bool]
    targets: tuple[str, ...] = ()
    force: bool = False
    pace: Pace = field(default_factory=Pace)
    said: Callable[[ChangeResult], None] = field(default=lambda _: None)


def undo(request: UndoRequest) -> int:
    """Undo a run after showing what that does, and what of others it would lose; the exit code.

    Raises EditedSince, with the difference, where someone edited after the run.
    """
    state = own_state()
    plan = plan_undo(request.run, state, targets=request.targets, force=request.force)
    site = _with_nodes(request.loaded)
    machines = open_machines(site, base=request.loaded.base, state=state)
    parallel = site.policy.max_parallel
    found = tuple(_edits(plan, state, machines, parallel))
    if found and not request.force:
        raise EditedSince(request.run, tuple(_edit_lines(found)))
    lines = [*plan.lines, *(f"{line} (final)" for line in plan.kept)]
    lines += [*_batch_lines(plan, request.pace), *_lost(found)]
    if not request.consent(lines):
        return Exit.INTERRUPTED
    undoing = _Undoing(
        site=_shown(request.loaded), pace=request.pace, parallel=parallel, said=request.said
    )
    results = _undo(plan, state, machines, [each for each, _ in found], undoing)
    return Exit.REPAIR if any(each.state != "undone" for each in results) else Exit.OK


def take_back(
    run_id: str, state: State, machines: Opener, *, pace: Pace, parallel: int
) -> tuple[ChangeResult, ...]:
    """Undo a run of this process that did not help; what became of each place."""
    undoing = _Undoing(pace=pace, parallel=parallel)
    return _undo(plan_undo(run_id, state), state, machines, (), undoing)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Undoing:
    """How an undo goes about it: how many places at a time, and who hears of them."""

    site: str = ""
    pace: Pace
    parallel: int
    said: Callable[[ChangeResult], None] = nobody_hears


def _batch_lines(plan: UndoPlan, pace: Pace) -> Iterator[str]:
    """How many nodes are put back together, where there are several batches."""
    batches = [each for each in in_batches(plan.targets, pace) if each[0].startswith("node/")]
    if len(batches) > 1:
        sizes = (f"{len(list(same))} x {size}" for size, same in groupby(map(len, batches)))
        yield f"nodes in {len(batches)} batches, one after another ({', '.join(sizes)})"


def _edits(
    plan: UndoPlan, state: State, machines: Opener, parallel: int
) -> Iterator[tuple[Foreign, tuple[str, ...]]]:
    """Everything that someone changed after the run, with the lines of its difference."""
    runs = Runs(state)
    planned, undoes = runs.planned(plan.run), runs.head(plan.run).undoes

    def of(target: SubjectId) -> list[tuple[Foreign, tuple[str, ...]]]:
        machine = machines(target)
        entries = tuple(each for each in plan.entries if each.target == target)
        found = []
        for each in foreign(entries, machine):
            diff = foreign_diff(
                each, entries, machine, run=plan.run, undoes=undoes, planned=planned
            )
            found.append((each, tuple(diff.splitlines())))
        return found

    for found in side_by_side(plan.targets, of, parallel=parallel).values():
        yield from found.result()


def _edit_lines(found: Sequence[tuple[Foreign, tuple[str, ...]]]) -> Iterator[str]:
    for each, diff in found:
        yield f"{each.target} {each}"
        yield from (f"  {line}" for line in diff)


def _lost(found: Sequence[tuple[Foreign, tuple[str, ...]]]) -> Iterator[str]:
    for each, diff in found:
        yield f"LOST: {each.target} {each}"
        yield from (f"    {line}" for line in diff)


def _undo(
    plan: UndoPlan,
    state: State,
    machines: Opener,
    accepted: Sequence[Foreign],
    undoing: _Undoing,
) -> tuple[ChangeResult, ...]:
    short = plan.run.rpartition("-")[2]
    own = f"{clock():%Y%m%dT%H%M%SZ}-undo-{short}-{secrets.token_hex(2)}"
    journal = Journal(state.new_run(own), clock, site=undoing.site)
    try:
        return undo_run(
            plan,
            machines=machines,
            journal=journal,
            holder=holder_of(own),
            accepted=accepted,
            pace=undoing.pace,
            parallel=undoing.parallel,
            said=undoing.said,
        )
    finally:
        journal.close()


def runs_lines() -> list[str]:
    """The runs as a table, oldest first."""
    return run_table(list_runs(own_state()))


def one_run_lines(run_id: str) -> list[str]:
    """What one run did; raises UsageError where there is none of this name."""
    state = own_state()
    state.known(run_id)
    return list(run_lines(Runs(state), run_id))


def _with_nodes(loaded: LoadedSite) -> Site:
    """The site with its nodes named, where they are discovered."""
    site, gaps = gather_nodes(loaded)
    for gap in gaps:
        raise UsageError(f"the nodes are not known: {gap.reason}")
    return site


def _shown(loaded: LoadedSite) -> str:
    return str(loaded.path.absolute()) if loaded.path.name else ""


def holder_of(run_id: str) -> Holder:
    """This process as the holder of the places that `run_id` changes."""
    since = clock().isoformat(timespec="seconds")
    return Holder(run=run_id, pid=os.getpid(), host=socket.gethostname(), since=since)


def own_state() -> State:
    """The state folder of this user and environment."""
    return State(state_folder(os.environ, uid=os.geteuid()))
