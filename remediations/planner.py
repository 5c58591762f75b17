"""From verdicts to one round's plan: what repairs them, in the order that breaks nothing. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase

from gapcheck.counting import counted
from gapcheck.engine import Evaluation
from gapcheck.errors import CannotPlan, EditRefused, Unmeasured
from gapcheck.fixtures.fact_set import FactSet
from gapcheck.fixtures.facts import FileFact, NodeFacts, Observed, Present, RegistryFacts, SiteFacts
from gapcheck.fixtures.kube_facts import ClusterFacts, ReleaseFacts
from gapcheck.model import (
    CLUSTER,
    REGISTRY,
    RELEASE,
    SITE,
    Cause,
    Risk,
    Status,
    SubjectId,
    Verdict,
    is_named,
)
from gapcheck.registry import Remedy
from gapcheck.remediations.diff import container_diff, container_note, file_diff
from gapcheck.remediations.draining import Drain, undrainable, with_drains
from gapcheck.remediations.merge import Draft, merged
from gapcheck.remediations.plan import (
    AnyChange,
    Change,
    EditBlock,
    EditJson,
    EditToml,
    EditYaml,
    FileChange,
    IssueCertificate,
    PatchObject,
    Plan,
    PlannedChange,
    RecreateContainer,
    RefreshTrustStore,
    RemoveFile,
    RestartContainer,
    RestartUnit,
    SetContainer,
    SetMode,
    Stage,
    SwitchCertificate,
    Unplanned,
    UpgradeRelease,
    WriteFile,
)
from gapcheck.remediations.release.upgrade import by_hand, upgrade_diff


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Which verdicts are planned for. `select` and `targets` are globs; () = all.

    Every failing check counts; one that only warns counts where `select` names it. `done` are
    ids of changes this run has applied; `with_roots` plans for selected verdicts' roots as
    well. `read_only` says, by target, why it cannot be written. With `drain`, nodes that restart
    are drained around their changes. `helm`: there is a helm program here that can be run.
    """

    max_risk: Risk = Risk.RESTART
    select: Sequence[str] = ()
    targets: Sequence[str] = ()
    with_roots: bool = False
    done: Collection[str] = ()
    read_only: Mapping[SubjectId, str] = field(default_factory=dict)
    drain: Drain | None = None
    helm: bool = False


def build_plan(evaluation: Evaluation, *, round: int = 1, wanted: Wanted | None = None) -> Plan:  # noqa: A002 - the plan's own word
    """One round's changes for `evaluation`, and why the rest of its failures is left."""
    wanted = wanted or Wanted()
    drafts: list[Draft] = []
    unplanned: list[Unplanned] = []
    for verdict in _considered(evaluation, wanted):
        found, left = _plan_verdict(evaluation, verdict, wanted)
        drafts += found
        unplanned += left
    kept, conflicts = merged(drafts)
    unplanned += conflicts
    allowed: list[Draft] = []
    new = {draft.change.target for draft in kept if draft.change.id not in wanted.done}
    for draft in kept:
        if _is_repeated(draft.change, wanted, new):
            why = f"{draft.change.id} was applied in this run already and did not help"
            unplanned += (Unplanned(cause=cause, why=why) for cause in draft.causes)
        else:
            allowed.append(draft)
    allowed, orphans = _without_orphans(allowed)
    allowed, early = _upgrade_last(allowed)
    unplanned += orphans + early
    changes: list[PlannedChange] = []
    for draft in sorted(allowed, key=_order):
        try:
            changes.append(_planned(draft, evaluation.facts))
        except EditRefused as refused:
            unplanned += (Unplanned(cause=cause, why=str(refused)) for cause in draft.causes)
    return Plan(
        round=round,
        changes=with_drains(changes, wanted.drain, evaluation.facts),
        unplanned=tuple(dict.fromkeys(unplanned)),
    )


def _considered(evaluation: Evaluation, wanted: Wanted) -> Iterator[Verdict]:
    chosen: dict[Cause, Verdict] = {}
    for verdict in evaluation.all():
        if _counts(verdict, wanted):
            chosen[verdict.cause] = verdict
    if wanted.with_roots and (wanted.select or wanted.targets):
        for verdict in tuple(chosen.values()):
            for root in verdict.root_causes:
                chosen.setdefault(root, evaluation.verdict(root.check, root.subject))
    yield from (verdict for verdict in chosen.values() if verdict.findings)


def _counts(verdict: Verdict, wanted: Wanted) -> bool:
    named = any(
        fnmatchcase(verdict.check, each) or verdict.check.startswith(f"{each}-")
        for each in wanted.select
    )
    if wanted.select and not named:
        return False
    if wanted.targets and not any(is_named(each, verdict.subject) for each in wanted.targets):
        return False
    return verdict.status is Status.FAIL or (verdict.status is Status.WARN and named)


def _plan_verdict(
    evaluation: Evaluation, verdict: Verdict, wanted: Wanted
) -> tuple[list[Draft], list[Unplanned]]:
    remedy = evaluation.catalogue.remedies.get(verdict.check)
    if remedy is None:
        why = evaluation.catalogue.checks[verdict.check].manual
        return [], [Unplanned(cause=verdict.cause, why=why)]
    if remedy.after_roots and verdict.root_causes:
        roots = ", ".join(f"{each.check}::{each.subject}" for each in verdict.root_causes)
        return [], [Unplanned(cause=verdict.cause, why=f"once its root is repaired: {roots}")]
    drafts: list[Draft] = []
    left: list[Unplanned] = []
    for finding in verdict.findings:
        try:
            changes = tuple(remedy.plan(finding, evaluation.view(verdict.subject)))
        except (CannotPlan, Unmeasured) as cannot:
            left.append(Unplanned(cause=verdict.cause, why=str(cannot)))
            continue
        why = "its remedy has nothing to change here"
        if changes:
            facts = evaluation.facts
            why = _refused(changes, wanted, remedy) or _dangling(changes, facts)
            why = why or undrainable(changes, wanted.drain, wanted.max_risk, facts)
        if why:
            left.append(Unplanned(cause=verdict.cause, why=why))
        else:
            drafts += (_draft(each, verdict, remedy) for each in changes)
    return drafts, left


def _draft(change: Change, verdict: Verdict, remedy: Remedy) -> Draft:
    return Draft(change=change, causes=(verdict.cause,), risk=remedy.risk)  # type: ignore[arg-type] # planners yield the closed union


def _is_repeated(change: AnyChange, wanted: Wanted, new: Collection[SubjectId]) -> bool:
    """Whether this run did just that already, with nothing new on its target since."""
    if change.id not in wanted.done:
        return False
    loads = isinstance(change, RestartUnit | RestartContainer | RefreshTrustStore)
    return not (loads and change.target in new)


def _refused(changes: Sequence[Change], wanted: Wanted, remedy: Remedy) -> str:
    """Why a finding is not repaired, '' where it is: all of its changes are made, or none.

    A file without the restart that loads it would be half a repair.
    """
    risks = [remedy.risk] if remedy.withdraws else [change.risk for change in changes]
    costliest = max(risks, key=lambda risk: risk.rank)
    why = ""
    if costliest.rank > wanted.max_risk.rank:
        why = f"needs --max-risk {costliest.value}"
    for change in changes:
        if isinstance(change, UpgradeRelease):
            return _left_to_a_person(change, wanted, why)
    if why:
        return why
    for change in changes:
        why = wanted.read_only.get(change.target, "")
        if why:
            return f"{change.target} is read-only: {why}"
    return ""


def _left_to_a_person(change: UpgradeRelease, wanted: Wanted, why: str) -> str:
    """The command that a person has to run, '' where gapcheck runs it itself."""
    if not wanted.helm:
        why = "no helm program is on PATH"
    return str(by_hand(change, change.keeps, change.unset, why)) if why else ""


def _dangling(changes: Sequence[Change], facts: FactSet) -> str:
    """Why a change would write through a link that leads nowhere, '' where none would."""
    for change in changes:
        if isinstance(change, RemoveFile) or not isinstance(change, FileChange):
            continue
        known = facts.by_subject.get(change.target)
        if change.before_sha256 is None and isinstance(known, NodeFacts):
            to = _dead_link(known, change.path)
            if to is not None:
                return (
                    f"{change.path} is a link{to}, which leads nowhere, and nothing is written "
                    "through such a link: remove it, or make what it points at"
                )
    return ""


def _dead_link(node: NodeFacts, path: str) -> str | None:
    """Where the link at `path` was to lead (" to X"), None where none stands there."""
    folder, _, name = path.rpartition("/")
    listed = node.dirs.get(folder)
    if isinstance(node.files.get(path), Present) or not isinstance(listed, Present):
        return None
    for entry in listed.value:
        if entry.name == name and entry.kind == "link":
            return f" to {entry.link}" if entry.link else ""
    return None


def _without_orphans(drafts: list[Draft]) -> tuple[list[Draft], list[Unplanned]]:
    """Leave out changes whose content an issuing change makes that is itself left out."""
    ids = {draft.change.id for draft in drafts}
    kept: list[Draft] = []
    left: list[Unplanned] = []
    for draft in drafts:
        needs = draft.needs
        if needs and needs not in ids:
            left += (Unplanned(cause=c, why=f"apply {needs} first") for c in draft.causes)
        else:
            kept.append(draft)
    return kept, left


def _upgrade_last(drafts: list[Draft]) -> tuple[list[Draft], list[Unplanned]]:
    """Leave an upgrade out of a round that still changes what it reads or rolls out."""
    kept: list[Draft] = []
    left: list[Unplanned] = []
    for draft in drafts:
        if isinstance(draft.change, UpgradeRelease) and any(
            _comes_first(each.change, draft.change) for each in drafts
        ):
            why = "left for a later round: helm upgrade comes after what this one changes"
            left += (Unplanned(cause=cause, why=why) for cause in draft.causes)
        else:
            kept.append(draft)
    return kept, left


def _comes_first(change: AnyChange, upgrade: UpgradeRelease) -> bool:
    if isinstance(change, FileChange):
        return change.path in {each.path for each in upgrade.values}
    in_release = isinstance(change, PatchObject) and change.namespace == upgrade.namespace
    return in_release and stage_of(change) >= Stage.RELEASE


_STAGES: Mapping[type[Change], Stage] = {
    EditBlock: Stage.NAMES,
    IssueCertificate: Stage.ISSUE,
    RefreshTrustStore: Stage.TRUST,
    RemoveFile: Stage.TRUST,
    SetMode: Stage.TRUST,
    EditToml: Stage.RUNTIME,
    EditJson: Stage.RUNTIME,
    RestartUnit: Stage.RESTART,
    SwitchCertificate: Stage.LEAF,
    SetContainer: Stage.REGISTRY,
    RestartContainer: Stage.REGISTRY,
    RecreateContainer: Stage.REGISTRY,
    UpgradeRelease: Stage.RELEASE,
}


def stage_of(change: AnyChange) -> Stage:
    """Where `change` stands in the order over the whole site."""
    match change:
        case WriteFile(stage=stage):
            return stage
        case RestartUnit(target=target) if target == REGISTRY:
            return Stage.REGISTRY
        case EditYaml():
            return Stage.SECRET if change.final else Stage.RELEASE
        case PatchObject(rolls_out=True):
            return Stage.ROLLOUT
        case PatchObject(kind=kind):
            return {"ConfigMap": Stage.NAMES, "Secret": Stage.SECRET}.get(kind, Stage.RELEASE)
        case _:
            return _STAGES[type(change)]


def _order(draft: Draft) -> tuple[int, int, str, str]:
    change = draft.change
    stage = stage_of(change)
    # Anchors are written before the store is rebuilt from them.
    rank = 1 if isinstance(change, RefreshTrustStore) else 0
    return stage, rank, change.target, getattr(change, "path", "")


def _planned(draft: Draft, facts: FactSet) -> PlannedChange:
    change = draft.change
    diff = ""
    if isinstance(change, FileChange):
        fact = measured_file(facts, change.target, change.path)
        content = None if fact is None else facts.blobs.get(fact.blob)
        if fact is None or content is not None or isinstance(change, SetMode | WriteFile):
            diff = file_diff(change, content, redacted=bool(fact and fact.redacted))
        else:
            diff = f"(no diff: the content of {change.path} was not taken)\n"
    elif isinstance(change, RecreateContainer):
        diff = container_diff(change, facts)
    if isinstance(change, UpgradeRelease):
        diff = upgrade_diff(change, facts)
    return PlannedChange(
        id=change.id,
        change=change,
        stage=_order(draft)[0],
        causes=draft.causes,
        diff=diff,
        note=_note(change, facts),
        was_down=_was_down(change, facts),
    )


def _was_down(change: AnyChange, facts: FactSet) -> bool:
    """Whether a restart is of a unit that was seen not to run.

    Asking when it is restarted would be too late: systemd may have started it anew by then, by
    itself, with the file that was written just before.
    """
    node = facts.by_subject.get(change.target)
    if not isinstance(change, RestartUnit) or not isinstance(node, NodeFacts):
        return False
    unit = node.units.get(change.unit)
    return isinstance(unit, Present) and unit.value.active_state not in ("active", "reloading")


def _note(change: AnyChange, facts: FactSet) -> str:
    node = facts.by_subject.get(change.target)
    if isinstance(change, RestartUnit) and isinstance(node, NodeFacts) and not node.running:
        return "takes effect at the next boot"
    if getattr(change, "final", False):
        return _final_note(change)
    if isinstance(change, RecreateContainer):
        return container_note(change)
    if isinstance(change, UpgradeRelease):
        return (
            f"helm upgrade of revision {change.revision}; pods start anew, hooks of the chart run"
        )
    if isinstance(change, IssueCertificate):
        names = ", ".join((*change.names, *change.addresses))
        life = counted(change.days, "day")
        return f"certificate for {names}, {life}; keys are made when it is applied"
    return ""


def _final_note(change: AnyChange) -> str:
    if isinstance(change, RefreshTrustStore):
        return (
            "final: a private key leaked into the store; no copy of it is kept, and an undo "
            "rebuilds the store instead of putting it back"
        )
    return (
        "final: the private key in it counts as leaked; it is not kept and not put back. "
        "Where it still signs or serves anything, issue another"
    )


def measured_file(facts: FactSet, target: SubjectId, path: str) -> FileFact | None:
    """The measured file at `path` of `target`, None where none was seen there."""
    for files in _file_tables(facts, target):
        observed = files.get(path)
        if isinstance(observed, Present):
            return observed.value
    return None


def _file_tables(facts: FactSet, target: SubjectId) -> Iterator[Mapping[str, Observed[FileFact]]]:
    subjects = (SITE, CLUSTER, RELEASE) if target == SITE else (target,)
    for subject in subjects:
        match facts.by_subject.get(subject):
            case (
                SiteFacts(files=files)
                | ClusterFacts(files=files)
                | ReleaseFacts(files=files)
                | NodeFacts(files=files)
            ):
                yield files
            case RegistryFacts(machine=Present(value=machine)):
                yield machine.files
                for each in (machine.certificate, machine.key):
                    if isinstance(each, Present):
                        yield {each.value.path: each}
            case _:
                continue
