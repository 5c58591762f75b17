"""What an export is made from: one judgement, planned for, and what it does not carry. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass

from gapcheck.counting import counted
from gapcheck.engine import Evaluation
from gapcheck.exits import Exit, worst
from gapcheck.fixtures.fact_set import FactSet
from gapcheck.model import Cause, CheckId, Status, SubjectId, Verdict
from gapcheck.remediations.plan import IssueCertificate, Plan
from gapcheck.remediations.planner import Wanted, build_plan
from gapcheck.site import Site

Part = Callable[[CheckId, SubjectId], bool]


@dataclass(frozen=True, slots=True, kw_only=True)
class Export:
    """What is printed; `notes` say on stderr what is not in it, and `code` whether any is."""

    text: str
    notes: tuple[str, ...]
    code: Exit


class Recast(Evaluation):
    """The verdicts of one evaluation, planned for another form of the same site.

    A values file that is still to be written, or live objects in the place of a folder.
    """

    def __init__(self, judged: Evaluation, *, site: Site, facts: FactSet) -> None:
        super().__init__(site, facts, judged.catalogue, now=judged.now)
        self._judged = judged

    def all(self) -> Iterator[Verdict]:
        """Every verdict as it was judged."""
        return self._judged.all()

    def verdict(self, check_id: CheckId, subject: SubjectId) -> Verdict:
        """The verdict as it was judged."""
        return self._judged.verdict(check_id, subject)


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A judged site, which verdicts are asked for, and how costly a repair may be."""

    evaluation: Evaluation
    wanted: Wanted
    asked: Part

    def plan(self, evaluation: Evaluation | None = None) -> Plan:
        """The first round of a repair of all that is asked for."""
        return build_plan(evaluation or self.evaluation, wanted=self.wanted)

    def failing(self, part: Part) -> Iterator[Verdict]:
        """The failing verdicts of `part` that are asked for."""
        for each in self._of(part):
            if each.status is Status.FAIL:
                yield each

    def remainder(self, part: Part, plan: Plan) -> Remainder:
        """What an export of `part` leaves: for a person, or unknown."""
        found = Remainder()
        repaired = {cause for each in plan.changes for cause in each.causes}
        for left in plan.unplanned:
            if part(*_key(left.cause)) and not self._follows(left.cause, repaired):
                found.leave(f"{left.cause}: {left.why}")
        verdicts = [*self._of(part)]
        for verdict in verdicts:
            if verdict.status is Status.ERROR:
                found.miss(f"{verdict.cause}: {verdict.reason}")
        waiting = Counter(v.root_causes for v in verdicts if v.status is Status.BLOCKED)
        for roots, count in waiting.items():
            named = ", ".join(map(str, roots))
            who = counted(count, "check")
            verb = "waits" if count == 1 else "wait"
            found.miss(f"{who} {verb} for {named}: repair that, measure and export again")
        subjects = {verdict.subject for verdict in verdicts}
        for gap in (each for each in self.evaluation.facts.gaps if each.subject in subjects):
            found.miss(f"{gap.subject} {gap.stage}: {gap.reason}")
        return found

    def _follows(self, cause: Cause, repaired: Collection[Cause]) -> bool:
        """Whether a verdict only follows from others that are repaired."""
        roots = self.evaluation.verdict(*_key(cause)).root_causes
        return bool(roots) and all(root in repaired for root in roots)

    def _of(self, part: Part) -> Iterator[Verdict]:
        for verdict in self.evaluation.all():
            if part(verdict.check, verdict.subject) and self.asked(verdict.check, verdict.subject):
                yield verdict


def _key(cause: Cause) -> tuple[CheckId, SubjectId]:
    return cause.check, cause.subject


class Remainder:
    """What an export does not carry, as notes and as the exit code that says so."""

    def __init__(self) -> None:
        self._notes: list[str] = []
        self._codes: list[Exit] = [Exit.OK]

    def leave(self, note: str) -> None:
        """Something is left for a person."""
        self._notes.append(f"left: {note}")
        self._codes.append(Exit.FAILED)

    def miss(self, note: str) -> None:
        """Something was not measured, so that nothing could be planned for it."""
        self._notes.append(f"not judged: {note}")
        self._codes.append(Exit.UNMEASURED)

    def first(self, plan: Plan) -> None:
        """Say where a certificate has to be issued before the CA in the export is the right one."""
        for each in plan.changes:
            if isinstance(each.change, IssueCertificate):
                self.leave(
                    f"a certificate is to be issued first ({each.id}); where that makes a new CA, "
                    "do it with gapcheck fix --target registry and export again"
                )

    def export(self, text: str) -> Export:
        """`text` with these notes."""
        notes = tuple(dict.fromkeys(self._notes))
        return Export(text=text, notes=notes, code=worst(self._codes))
