"""The one use case: measure or read a bundle, judge, repair where asked, record.

Both front ends call this and nothing else; neither judges anything itself.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import msgspec

import gapcheck
from gapcheck.certificate_life import certificate_lives
from gapcheck.engine import Evaluation
from gapcheck.errors import UsageError
from gapcheck.exits import Exit, of_verdicts, worst
from gapcheck.fixtures.facts import FactSet, SiteFacts
from gapcheck.model import SITE, CheckId, RemedyInfo, Risk, Status, SubjectId, Verdict, is_named
from gapcheck.record import Description, Record, Round, RunInfo
from gapcheck.registry import Check, catalogue
from gapcheck.remediations.draining import Drain
from gapcheck.remediations.rolling import Pace
from gapcheck.site import Site

if TYPE_CHECKING:
    from gapcheck.fixtures.bundle import Judged
    from gapcheck.fixtures.gather import Progress
    from gapcheck.plan_file import PlanFile
    from gapcheck.remediations.plan import Plan
    from gapcheck.site_file import LoadedSite

FrontEnd = Literal["cli", "pytest"]


def nobody_watches(done: int, total: int, subject: str) -> None:
    """Progress that is not shown."""


def clock() -> datetime:
    """The time: read here and nowhere else."""
    return datetime.now(UTC)


def always(plan: Plan) -> bool:
    """The flag that asked for repair is the consent."""
    del plan
    return True


@dataclass(frozen=True, slots=True, kw_only=True)
class Given:
    """A plan that was made before, and where it lies; `again` is the command that plans anew."""

    path: Path
    file: PlanFile
    again: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FixOptions:
    """How far a repair may go. `consent` is shown each round's plan and says whether to do it.

    `pace` says how many nodes are changed together; with `given`, only that plan is made. With
    `drain`, nodes that restart are drained around their changes.
    """

    max_risk: Risk | None = None
    with_roots: bool = False
    pace: Pace = field(default_factory=Pace)
    given: Given | None = None
    drain: Drain | None = None
    consent: Callable[[Plan], bool] = always
    finished: Callable[[Round], None] = lambda _: None


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What a front end wants. `select` and `targets` are globs over check ids and subjects."""

    front_end: FrontEnd
    loaded: LoadedSite | None = None
    bundle: Path | None = None
    now: datetime | None = None
    fix: FixOptions | None = None
    select: tuple[str, ...] = ()
    targets: tuple[str, ...] = ()
    fail_on_warn: bool = False
    progress: Progress = nobody_watches

    @property
    def inputs(self) -> tuple[Path, ...]:
        """The files of this machine that the run reads: no output may take their place."""
        found = [self.bundle] if self.bundle is not None else []
        if self.loaded is not None:
            site, loaded = self.loaded.site, self.loaded
            named = [site.registry.ca_file, site.cluster and site.cluster.kubeconfig]
            named += site.release.values if site.release else ()
            found += [loaded.path, *(loaded.resolve(each) for each in named if each)]
        return tuple(found)


@dataclass(slots=True, kw_only=True)
class Prepared:
    """Final facts, ready to be judged, and what a repair did on the way there.

    `judged` is what a bundle says of an earlier judgement of them.
    """

    request: Request
    run_id: str
    started: datetime
    site: Site
    facts: FactSet
    now: datetime
    rounds: tuple[Round, ...] = ()
    before: tuple[Verdict, ...] = ()
    repair: Exit = Exit.OK
    notes: tuple[str, ...] = ()
    judged: Judged | None = None
    _evaluation: Evaluation | None = field(default=None, repr=False)

    @property
    def evaluation(self) -> Evaluation:
        """The judgement of these facts, made once."""
        if self._evaluation is None:
            self._evaluation = Evaluation(self.site, self.facts, catalogue(), now=self.now)
        return self._evaluation

    def judge_again(self) -> None:
        """Forget the judgement: the facts have changed."""
        self._evaluation = None


def prepare(request: Request) -> Prepared:
    """Measure (or read the bundle), and repair where asked, up to the final facts."""
    started = clock()
    check_patterns(request.select)  # before anything is asked
    if request.loaded is not None:
        check_waivers(request.loaded)
    run_id = f"{started:%Y%m%dT%H%M%SZ}-{secrets.token_hex(3)}"
    if request.bundle is not None:
        return _from_bundle(request, run_id, started)
    if request.loaded is None:
        raise UsageError("nothing to check", "name a HOST, --site FILE or --bundle FILE")
    from gapcheck.fixtures.gather import gather

    site, facts = gather(request.loaded, taken_at=started, progress=request.progress)
    prepared = Prepared(
        request=request,
        run_id=run_id,
        started=started,
        site=site,
        facts=facts,
        now=request.now or started,
        notes=_unread(facts),
    )
    check_selection(request, site)
    if request.fix is not None:
        from gapcheck.repair import repair

        repair(prepared, request.fix)
    return prepared


def _from_bundle(request: Request, run_id: str, started: datetime) -> Prepared:
    from gapcheck.fixtures.bundle import bundle_site_overrides, open_bundle

    assert request.bundle is not None
    if request.fix is not None:
        raise UsageError("a bundle cannot be repaired", "use --site to repair the site itself")
    opened = open_bundle(request.bundle)
    site, facts = opened.site, opened.facts
    if request.loaded is not None:
        site = bundle_site_overrides(site, request.loaded.site)
    check_selection(request, site)
    judged_for = opened.judged.now if opened.judged else facts.taken_at
    return Prepared(
        request=request,
        run_id=run_id,
        started=started,
        site=site,
        facts=facts,
        now=request.now or judged_for,
        notes=_unread(facts),
        judged=opened.judged,
    )


def _unread(facts: FactSet) -> tuple[str, ...]:
    found = facts.by_subject.get(SITE)
    keys = found.unread_keys if isinstance(found, SiteFacts) else ()
    return tuple(f"read by nothing in the site file: {key}" for key in keys)


def wanted(check: Check, subject: SubjectId, request: Request) -> bool:
    """Whether `--select` and `--target` let this verdict through."""
    if request.select and not any(selects(each, check.id) for each in request.select):
        return False
    return not request.targets or any(is_named(each, subject) for each in request.targets)


def selects(pattern: str, check: CheckId) -> bool:
    """Whether `pattern` (an id, a family or topic in front of it, or a glob) names `check`."""
    return fnmatchcase(check, pattern) or check.startswith(f"{pattern}-")


def check_patterns(patterns: Iterable[str]) -> None:
    """Raise UsageError where a pattern of `--select` names no check."""
    for pattern in patterns:
        if not any(selects(pattern, each) for each in catalogue().checks):
            raise UsageError(f"--select {pattern}: no such check", "ids: gapcheck list")


def check_waivers(loaded: LoadedSite) -> None:
    """Raise UsageError where a waiver names no check: what it was to accept goes on failing."""
    for waiver in loaded.site.waivers:
        if waiver.check not in catalogue().checks:
            raise UsageError(
                f"{loaded.path}: waivers: {waiver.check}: no such check", "ids: gapcheck list"
            )


def check_selection(request: Request, site: Site) -> None:
    """Raise UsageError where `--select` or `--target` names nothing: a typo must not pass."""
    check_patterns(request.select)
    known = catalogue()
    subjects = {s for check in known.checks.values() for s in site.subjects(check.scope)}
    for pattern in request.targets:
        if not any(is_named(pattern, subject) for subject in subjects):
            shown = ", ".join(sorted(subjects)[:10])
            raise UsageError(f"--target {pattern}: no such subject", f"subjects: {shown}")


def judge(prepared: Prepared) -> tuple[Verdict, ...]:
    """Every verdict that the request asks for, and the roots that explain them."""
    request, evaluation = prepared.request, prepared.evaluation
    if not request.select and not request.targets:
        return tuple(evaluation.all())
    kept = [
        evaluation.verdict(check.id, subject)
        for check in catalogue().checks.values()
        for subject in evaluation.subjects(check)
        if wanted(check, subject, request)
    ]
    have = {verdict.cause for verdict in kept}
    roots = {cause for verdict in kept for cause in verdict.root_causes} - have
    return (*kept, *(evaluation.verdict(each.check, each.subject) for each in sorted(roots)))


def make_record(
    prepared: Prepared, verdicts: Sequence[Verdict], *, narrowed: bool = False
) -> Record:
    """The record of a finished run over `verdicts`; its exit code is in `run.exit`.

    Where the front end or the request `narrowed` what is judged, other subjects' gaps are
    left out as their verdicts are.
    """
    request = prepared.request
    narrowed = narrowed or bool(request.select or request.targets)
    applied = any(r.state == "applied" for done in prepared.rounds for r in done.results)
    marked = tuple(_mark_fixed(verdicts, prepared.before if applied else ()))
    subjects = {verdict.subject for verdict in marked}
    gaps = tuple(gap for gap in prepared.facts.gaps if not narrowed or gap.subject in subjects)
    code = worst([of_verdicts(marked, gaps, fail_on_warn=request.fail_on_warn), prepared.repair])
    run = RunInfo(
        id=prepared.run_id,
        version=gapcheck.__version__,
        site=prepared.site.name or prepared.site.registry.netloc,
        front_end=request.front_end,
        started=prepared.started,
        finished=clock(),
        taken_at=prepared.facts.taken_at,
        now=prepared.now,
        bundle=str(request.bundle or ""),
        site_file=_shown_path(request.loaded),
        namespace=prepared.site.release.namespace if prepared.site.release else "",
        fix=request.fix is not None,
        exit=code,
    )
    return Record(
        run=run,
        verdicts=marked,
        gaps=gaps,
        notes=prepared.notes,
        rounds=prepared.rounds,
        before=prepared.before,
        catalogue=describe(verdict.check for verdict in marked),
        certificates=certificate_lives(prepared.facts),
    )


def _shown_path(loaded: LoadedSite | None) -> str:
    return str(loaded.path) if loaded and loaded.path.name else ""


def _mark_fixed(verdicts: Iterable[Verdict], before: Iterable[Verdict]) -> Iterable[Verdict]:
    was_bad = {each.cause for each in before if each.status in (Status.FAIL, Status.WARN)}
    for verdict in verdicts:
        repaired = verdict.status is Status.PASS and verdict.cause in was_bad
        yield msgspec.structs.replace(verdict, fixed=True) if repaired else verdict


def describe(checks: Iterable[CheckId]) -> dict[str, Description]:
    """What reports say of these checks beside their verdicts, in catalogue order."""
    known = catalogue()
    asked = frozenset(checks)
    return {
        check.id: Description(
            title=check.title,
            doc=check.doc,
            step=check.source.step,
            fault=check.source.fault,
            remedy=remedy_info(check),
        )
        for check in known.checks.values()
        if check.id in asked
    }


def remedy_info(check: Check) -> RemedyInfo:
    """What can be done where `check` fails."""
    found = catalogue().remedies.get(check.id)
    if found is None:
        return RemedyInfo(risk=Risk.MANUAL, why_not=check.manual)
    return RemedyInfo(risk=found.risk)
