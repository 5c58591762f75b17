"""Repair in rounds: judge, plan, ask, apply, measure again, until a round plans nothing."""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Callable, Iterable

import msgspec

from gapcheck.errors import UsageError
from gapcheck.exits import Exit
from gapcheck.fixtures.gather import gather, gather_nodes, related
from gapcheck.fixtures.targets import open_target
from gapcheck.model import REGISTRY, Cause, Risk, Status, SubjectId, Verdict, node_subject
from gapcheck.record import ChangeResult, Round
from gapcheck.remediations.apply import Applier
from gapcheck.remediations.journal import Journal
from gapcheck.remediations.machines.base import Holder, Machine
from gapcheck.remediations.machines.opening import open_machines
from gapcheck.remediations.plan import Plan
from gapcheck.remediations.planner import Wanted, build_plan
from gapcheck.remediations.undo import list_runs, plan_undo, undo_run
from gapcheck.site import Site
from gapcheck.site_file import LoadedSite
from gapcheck.state import State, state_folder
from gapcheck.suite import FixOptions, Prepared, clock, targets

log = logging.getLogger(__name__)

MOST_ROUNDS = 8


def first_plan(prepared: Prepared, options: FixOptions) -> Plan:
    """What the first round would do; nothing is touched."""
    return build_plan(prepared.evaluation, round=1, wanted=_wanted(prepared, options, ()))


def repair(prepared: Prepared, options: FixOptions) -> None:
    """Repair what `prepared` shows, and leave in it the facts measured afterwards.

    Raises UsageError where a target that is asked for can only be read.
    """
    _refuse_read_only(prepared)
    run = _Run(prepared, options)
    try:
        run.rounds()
    except KeyboardInterrupt:
        if run.journal is not None:
            log.warning("what was changed so far stands; gapcheck undo %s", prepared.run_id)
        raise
    finally:
        run.close()


class _Run:
    """The rounds of one repair, one journal for all of them."""

    def __init__(self, prepared: Prepared, options: FixOptions) -> None:
        self.prepared = prepared
        self.options = options
        self.state = _state()
        loaded = prepared.request.loaded
        assert loaded is not None
        self.loaded = loaded
        self.machines = open_machines(prepared.site, base=loaded.base, state=self.state)
        self.journal: Journal | None = None
        self.applier: Applier | None = None
        self.done: set[str] = set()

    def rounds(self) -> None:
        """Go on until a round plans nothing, is refused, or has not helped."""
        prepared = self.prepared
        prepared.before = tuple(prepared.evaluation.all())
        for number in range(1, MOST_ROUNDS + 1):
            plan = self._plan(number)
            if not plan.changes:
                self._ended(plan)
                return
            if not self.options.consent(plan):
                prepared.notes = (*prepared.notes, "the plan was declined; nothing more was done")
                return
            if not self._round(plan):
                prepared.repair = Exit.REPAIR
                self._undo_where_worse()
                return
        prepared.repair = Exit.REPAIR
        prepared.notes = (*prepared.notes, f"not finished after {MOST_ROUNDS} rounds")

    def close(self) -> None:
        """End the journal."""
        if self.journal is not None:
            self.journal.close()

    def _plan(self, number: int) -> Plan:
        wanted = _wanted(self.prepared, self.options, self.done)
        return build_plan(self.prepared.evaluation, round=number, wanted=wanted)

    def _ended(self, plan: Plan) -> None:
        """The last plan, which changes nothing, says what is left and why."""
        prepared = self.prepared
        prepared.rounds = (*prepared.rounds, Round(plan=plan))
        self.options.finished(prepared.rounds[-1])
        if any("applied in this run already" in each.why for each in plan.unplanned):
            prepared.repair = Exit.REPAIR
        self._undo_where_worse()
        if self.applier is not None:
            self.applier.finish()

    def _round(self, plan: Plan) -> bool:
        """Apply, measure and judge again; whether everything went as planned."""
        prepared = self.prepared
        failing = _failing(prepared.evaluation.all())
        self._keep_plan(plan)
        results = self._applier().apply(plan)
        self.done |= {each.id for each in results if each.state in ("applied", "unchanged")}
        written = {each.target for each in results if each.state != "skipped"}
        self._measure_again(written)
        repaired: tuple[Cause, ...] = ()
        if any(each.state == "applied" for each in results):  # else another run did it
            repaired = tuple(sorted(failing - _failing(prepared.evaluation.all())))
        done = Round(plan=plan, results=results, repaired=repaired)
        prepared.rounds = (*prepared.rounds, done)
        self.options.finished(done)
        return all(each.state in ("applied", "unchanged") for each in results)

    def _applier(self) -> Applier:
        if self.applier is None:
            self.journal = Journal(self.state.new_run(self.prepared.run_id), clock)
            self.applier = Applier(
                machines=self.machines,
                journal=self.journal,
                holder=_holder(self.prepared.run_id),
                now=self.prepared.now,
            )
        return self.applier

    def _keep_plan(self, plan: Plan) -> None:
        folder = self.state.new_run(self.prepared.run_id)
        path = folder / f"plan-{plan.round}.json"
        path.write_bytes(msgspec.json.encode(plan))
        path.chmod(0o600)

    def _measure_again(self, written: Iterable[SubjectId]) -> None:
        prepared = self.prepared
        prepared.site, prepared.facts = gather(
            self.loaded,
            taken_at=prepared.facts.taken_at,
            progress=prepared.request.progress,
            previous=prepared.facts,
            only=related(written, prepared.site),
        )
        prepared.judge_again()

    def _undo_where_worse(self) -> None:
        """Take everything back where more fails than before: exit 7."""
        prepared = self.prepared
        worse = len(_failing(prepared.evaluation.all())) - len(_failing(prepared.before))
        if worse <= 0 or self.journal is None:
            return
        prepared.repair = Exit.REPAIR
        results = _undo(prepared.run_id, self.state, self.machines, force=False)
        said = "; ".join(f"{each.target} {each.state}" for each in results)
        note = f"{worse} more checks failed than before: the run was undone ({said})"
        prepared.notes = (*prepared.notes, note)
        self._measure_again({each.target for each in results})


def undo(
    run_id: str, loaded: LoadedSite, *, consent: Callable[[list[str]], bool], force: bool
) -> int:
    """Undo a run after showing what that does; the exit code."""
    state = _state()
    plan = plan_undo(run_id, state)
    lines = [*plan.lines, *(f"{line} (final)" for line in plan.kept)]
    if not consent(lines):
        return Exit.INTERRUPTED
    machines = open_machines(_with_nodes(loaded), base=loaded.base, state=state)
    results = _undo(run_id, state, machines, force=force)
    for each in results:
        log.info("%s %s %s", each.target, each.state, each.detail)
    failed = [each for each in results if each.state != "undone"]
    for each in failed:
        log.error("%s %s: %s", each.target, each.state, each.detail)
    return Exit.REPAIR if failed else Exit.OK


def _undo(
    run_id: str,
    state: State,
    machines: Callable[[SubjectId], Machine],
    *,
    force: bool,
) -> tuple[ChangeResult, ...]:
    own = f"{clock():%Y%m%dT%H%M%SZ}-undo-{run_id[-6:]}"
    journal = Journal(state.new_run(own), clock)
    try:
        return undo_run(
            plan_undo(run_id, state),
            machines=machines,
            journal=journal,
            holder=_holder(own),
            force=force,
        )
    finally:
        journal.close()


def run_lines() -> list[str]:
    """One line a run, oldest first."""
    found = list_runs(_state())
    return [
        f"{each.id}  {each.state:<15} {each.changes:>3} changes  {', '.join(each.targets)}"
        + (f"  undoes {each.undoes}" if each.undoes else "")
        for each in found
    ] or ["no run has changed anything"]


def _with_nodes(loaded: LoadedSite) -> Site:
    """The site with its nodes named, where they are discovered."""
    site, gaps = gather_nodes(loaded)
    for gap in gaps:
        raise UsageError(f"the nodes are not known: {gap.reason}")
    return site


def _refuse_read_only(prepared: Prepared) -> None:
    """Refuse a run whose targets can only be read, before anything is planned."""
    loaded = prepared.request.loaded
    assert loaded is not None
    site = prepared.site
    hostspecs = {node_subject(node.name): (node.target, node.sudo) for node in site.node_list}
    if site.registry.target:
        hostspecs[REGISTRY] = (site.registry.target, False)
    for subject, (hostspec, sudo) in hostspecs.items():
        patterns = prepared.request.targets
        if patterns and not any(targets(each, subject) for each in patterns):
            continue
        if subject not in prepared.facts.by_subject:
            continue  # it was not reached, so nothing is planned there
        why = open_target(hostspec, base=loaded.base, sudo=sudo).read_only
        if why:
            raise UsageError(
                f"{subject}: {hostspec} is only read: {why}", "leave it out with --target"
            )


def _wanted(prepared: Prepared, options: FixOptions, done: Iterable[str]) -> Wanted:
    request = prepared.request
    return Wanted(
        max_risk=options.max_risk or Risk(prepared.site.policy.max_risk),
        select=request.select,
        targets=request.targets,
        with_roots=options.with_roots,
        done=frozenset(done),
    )


def _failing(verdicts: Iterable[Verdict]) -> frozenset[Cause]:
    return frozenset(each.cause for each in verdicts if each.status is Status.FAIL)


def _holder(run_id: str) -> Holder:
    since = clock().isoformat(timespec="seconds")
    return Holder(run=run_id, pid=os.getpid(), host=socket.gethostname(), since=since)


def _state() -> State:
    return State(state_folder(os.environ, uid=os.geteuid()))
