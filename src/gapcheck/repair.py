"""Repair in rounds: judge, plan, ask, apply, measure again, until a round plans nothing.

A plan that was made before is one round, made only while it still fits the site.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence

import msgspec

from gapcheck.applying import asked_by, still_fitting
from gapcheck.counting import counted
from gapcheck.engine import Evaluation
from gapcheck.errors import UsageError
from gapcheck.exits import Exit
from gapcheck.fixtures.gather import gather, related
from gapcheck.fixtures.targets import open_target
from gapcheck.model import REGISTRY, Cause, Risk, Status, SubjectId, is_named, node_subject
from gapcheck.plan_file import Asked
from gapcheck.record import ChangeResult, Round
from gapcheck.remediations.apply import Applier
from gapcheck.remediations.draining import left_cordoned, place_of
from gapcheck.remediations.journal import Journal
from gapcheck.remediations.machines.helm import helm_program
from gapcheck.remediations.machines.opening import open_machines
from gapcheck.remediations.plan import Plan
from gapcheck.remediations.planner import Wanted, build_plan
from gapcheck.remediations.rolling import Part, parts
from gapcheck.remediations.runs import Runs
from gapcheck.suite import FixOptions, Given, Prepared, clock
from gapcheck.undoing import holder_of, own_state, take_back

log = logging.getLogger(__name__)

MOST_ROUNDS = 8


def first_plan(prepared: Prepared, options: FixOptions) -> tuple[Plan, Asked]:
    """What the first round would do, and what that was asked for; nothing is touched."""
    wanted = _wanted(prepared, options, ())
    return build_plan(prepared.evaluation, round=1, wanted=wanted), asked_by(wanted)


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
        self.state = own_state()
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
        if self.options.given is not None:
            self._given(self.options.given)
            return
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

    def _given(self, given: Given) -> None:
        """Make exactly the changes of a plan that was made before; raises PlanOutdated."""
        prepared = self.prepared
        plan = still_fitting(given, prepared, helm=bool(helm_program()))
        if not plan.changes:
            self._ended(plan)
            return
        if not self.options.consent(plan):
            prepared.notes = (*prepared.notes, "the plan was declined; nothing was done")
            return
        if not self._round(plan):
            prepared.repair = Exit.REPAIR
        self._undo_where_worse()
        if prepared.repair is Exit.OK:
            more = self._plan(plan.round + 1).changes
            if more:
                note = f"{counted(len(more), 'more change')} can be planned now: {given.again}"
                prepared.notes = (*prepared.notes, note)
            self._applier().finish()

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
        for node, run in left_cordoned(prepared.facts).items():
            note = f"node {node} is cordoned by run {run}"
            note += f"; where that run has ended, gapcheck undo {run} uncordons it"
            prepared.notes = (*prepared.notes, note)
        if self.applier is not None:
            self.applier.finish()

    def _round(self, plan: Plan) -> bool:
        """Apply, measure and judge again; whether everything went as planned."""
        prepared = self.prepared
        before = statuses(prepared.evaluation)
        self._keep_plan(plan)
        results = self._in_parts(plan)
        self.done |= {each.id for each in results if each.state in ("applied", "unchanged")}
        written = {each.target for each in results if each.state != "skipped"}
        self._measure_again(written)
        repaired: tuple[Cause, ...] = ()
        if any(each.state == "applied" for each in results):  # else another run did it
            repaired = tuple(sorted(failing(before) - failing(statuses(prepared.evaluation))))
        done = Round(plan=plan, results=results, repaired=repaired)
        prepared.rounds = (*prepared.rounds, done)
        self.options.finished(done)
        return all(each.state in ("applied", "unchanged") for each in results)

    def _in_parts(self, plan: Plan) -> tuple[ChangeResult, ...]:
        """Apply the parts of a round one after another, until one of them goes wrong.

        A batch of nodes that fails, or after which a check of one of its nodes fails that did
        not, is rolled back; the rest is not begun.
        """
        applier = self._applier()
        results: dict[str, ChangeResult] = {}
        todo = parts(plan, self.options.pace)
        try:
            applier.begin(plan)
            for number, part in enumerate(todo):
                before = statuses(self.prepared.evaluation)
                done = applier.part(part.changes)
                results.update((each.id, each) for each in done)
                rest = todo[number + 1 :]
                why = self._went_wrong(part, done, before)
                if why:
                    if part.nodes:
                        taken = applier.take_back(part.nodes, why)
                        results.update((each.id, each) for each in taken)
                    results.update(self._left(part, rest, why))
                    break
        finally:
            applier.release()
        return tuple(results[each.id] for each in plan.changes)

    def _went_wrong(
        self, part: Part, done: Iterable[ChangeResult], before: Mapping[Cause, Status]
    ) -> str:
        """What went wrong with a part, ''; its nodes are measured again."""
        places = {each.id: place_of(each.change) for each in part.changes}
        bad = dict.fromkeys(places[each.id] for each in done if each.state == "failed")
        if bad:
            return f"{part.name} failed ({', '.join(bad)})"
        if not part.nodes:
            return ""
        self._measure_again(part.nodes)
        broken = regressed(before, statuses(self.prepared.evaluation), part.nodes)
        return f"{part.name} broke {', '.join(map(str, broken))}" if broken else ""

    def _left(self, part: Part, rest: Sequence[Part], why: str) -> dict[str, ChangeResult]:
        """The results of what is not begun, and a note that names the nodes."""
        if not rest:
            self.prepared.notes = (*self.prepared.notes, why)
            return {}
        nodes = list(dict.fromkeys(n for each in rest for n in each.nodes if n not in part.nodes))
        left = f"not begun: {', '.join(nodes)}" if nodes else "what comes after it was not begun"
        self.prepared.notes = (*self.prepared.notes, f"{why}; {left}")
        return {
            planned.id: ChangeResult(
                id=planned.id, target=planned.change.target, state="skipped", detail=why
            )
            for each in rest
            for planned in each.changes
        }

    def _applier(self) -> Applier:
        if self.applier is None:
            folder = self.state.new_run(self.prepared.run_id)
            site = str(self.loaded.path.absolute()) if self.loaded.path.name else ""
            self.journal = Journal(folder, clock, site=site)
            self.applier = Applier(
                machines=self.machines,
                journal=self.journal,
                holder=holder_of(self.prepared.run_id),
                now=self.prepared.now,
                parallel=self.prepared.site.policy.max_parallel,
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
        before = {each.cause: each.status for each in prepared.before}
        now = failing(statuses(prepared.evaluation))
        # What was blocked before was not seen to work: failing now, it is only in the open.
        open_now = {each for each in now if before.get(each) is Status.BLOCKED}
        worse = len(now - open_now) - len(failing(before))
        if worse <= 0 or self.journal is None:
            return
        prepared.repair = Exit.REPAIR
        if not Runs(self.state).standing(prepared.run_id):
            return  # every change of it was rolled back already, which is said
        results = take_back(
            prepared.run_id,
            self.state,
            self.machines,
            pace=self.options.pace,
            parallel=prepared.site.policy.max_parallel,
        )
        said = "; ".join(f"{each.target} {each.state}" for each in results)
        note = f"{counted(worse, 'more check')} failed than before: the run was undone ({said})"
        prepared.notes = (*prepared.notes, note)
        self._measure_again({each.target for each in results})


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
        if patterns and not any(is_named(each, subject) for each in patterns):
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
        drain=options.drain,
        helm=bool(helm_program()),
    )


def statuses(evaluation: Evaluation) -> dict[Cause, Status]:
    """What every check says of every subject."""
    return {each.cause: each.status for each in evaluation.all()}


def failing(found: Mapping[Cause, Status]) -> frozenset[Cause]:
    """Those that fail."""
    return frozenset(cause for cause, status in found.items() if status is Status.FAIL)


def regressed(
    before: Mapping[Cause, Status], now: Mapping[Cause, Status], subjects: Iterable[SubjectId]
) -> tuple[Cause, ...]:
    """Checks of `subjects` that were seen to work before and fail now."""
    of = frozenset(subjects)
    worked = (Status.PASS, Status.WARN)
    return tuple(
        sorted(each for each in failing(now) if each.subject in of and before.get(each) in worked)
    )
