"""What a plan was based on, and what of that is different when it is to be applied. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

import msgspec

from gapcheck.engine import Evaluation
from gapcheck.fixtures.facts import FactSet
from gapcheck.model import CLUSTER, SITE, Cause, Status, SubjectId
from gapcheck.remediations.plan import (
    AnyChange,
    FileChange,
    IssueCertificate,
    Output,
    PatchObject,
    Plan,
    PlannedChange,
    SwitchCertificate,
    UpgradeRelease,
    WriteFile,
)
from gapcheck.remediations.planner import measured_file

ABSENT = "absent"


class Base(msgspec.Struct, frozen=True, kw_only=True):
    """One thing as it was measured: a file's `path` or an object, and its `state`.

    `state` is sha256:HEX of a file's content, `absent`, version:VERSION/UID of an object, or
    version:REVISION of a release.
    """

    target: SubjectId
    what: str
    state: str


def bases_of(changes: Sequence[PlannedChange], facts: FactSet) -> tuple[Base, ...]:
    """What `changes` were based on, each once; the issuer's certificate is as `facts` have it."""
    found: dict[Base, None] = {}
    for planned in changes:
        for base in _bases(planned.change, facts):
            found[base] = None
    return tuple(found)


def _bases(change: AnyChange, facts: FactSet) -> Iterator[Base]:
    match change:
        case FileChange():
            yield _file(change.target, change.path, change.before_sha256)
        case SwitchCertificate():
            yield _file(change.target, change.certificate_path, change.certificate_before_sha256)
            yield _file(change.target, change.key_path, change.key_before_sha256)
        case IssueCertificate(issuer_certificate=path):
            known = measured_file(facts, SITE, path)
            yield _file(SITE, path, known.sha256 if known else None)
        case PatchObject():
            what = f"{change.kind} {change.namespace}/{change.name}"
            version = f"version:{change.resource_version}/{change.uid}"
            yield Base(target=change.target, what=what, state=ABSENT if change.creates else version)
        case UpgradeRelease(revision=revision, chart=chart):
            what = f"release {change.namespace}/{change.name}"
            yield Base(target=change.target, what=what, state=f"version:{revision}")
            yield Base(
                target=change.target, what=f"chart {chart.path}", state=f"sha256:{chart.sha256}"
            )
            yield from (_file(SITE, each.path, each.sha256) for each in change.values)
        case _:
            return


def _file(target: SubjectId, path: str, sha256: str | None) -> Base:
    return Base(target=target, what=path, state=f"sha256:{sha256}" if sha256 else ABSENT)


def differences(
    plan: Plan, based_on: Sequence[Base], *, fresh: Plan, evaluation: Evaluation
) -> tuple[str, ...]:
    """What is not as it was when `plan` was made, a line each; () = it still fits.

    It fits where all it is based on is unchanged and each of its changes is planned again, by
    `fresh`, from what `evaluation` measured now.
    """
    facts = evaluation.facts
    gone = _unmeasured(plan, facts)
    lines = [f"{target} could not be measured: {why}" for target, why in gone.items()]
    used = {(each.target, each.what) for each in bases_of(plan.changes, facts)}
    lines += _moved([b for b in based_on if (b.target, b.what) in used], fresh, facts, gone)
    known = {likeness(each.change) for each in fresh.changes}
    odd = [each for each in plan.changes if likeness(each.change) not in known]
    if odd and not lines:
        passing = _passing({cause for each in odd for cause in each.causes}, evaluation)
        lines += [f"{cause} passes now" for cause in passing]
        lines += [_odd(each) for each in odd if not passing or not {*each.causes} <= {*passing}]
    return tuple(lines)


def _unmeasured(plan: Plan, facts: FactSet) -> dict[SubjectId, str]:
    said = {gap.subject: gap.reason for gap in facts.gaps}
    targets = dict.fromkeys(each.change.target for each in plan.changes)
    gone = {each: said.get(each, "it is not in the site") for each in targets}
    return {each: why for each, why in gone.items() if each not in facts.by_subject}


def _moved(
    based_on: Sequence[Base], fresh: Plan, facts: FactSet, gone: Collection[SubjectId]
) -> Iterator[str]:
    now = {(each.target, each.what): each.state for each in bases_of(fresh.changes, facts)}
    for base in based_on:
        if base.target in gone:
            continue
        state = now.get((base.target, base.what))
        if state is None and base.target != CLUSTER:
            known = measured_file(facts, base.target, base.what)
            state = f"sha256:{known.sha256}" if known else ABSENT
        if state is not None and state != base.state:
            yield f"{base.target} {base.what}: was {_short(base.state)}, is {_short(state)}"


def _passing(causes: Collection[Cause], evaluation: Evaluation) -> list[Cause]:
    """Those of `causes` that no longer fail."""
    judged = {each.cause: each.status for each in evaluation.all()}
    good = (Status.PASS, Status.WAIVED, Status.NOT_APPLICABLE)
    return sorted(cause for cause in causes if judged.get(cause) in good)


def _odd(planned: PlannedChange) -> str:
    change = planned.change
    what = getattr(change, "path", "") or getattr(change, "unit", "") or getattr(change, "name", "")
    kind = type(change).__name__
    return f"{kind} {change.target} {what}".rstrip() + ": would not be planned like this now"


def _short(state: str) -> str:
    kind, _, value = state.partition(":")
    return f"{kind} {value[:12]}" if value else state


def likeness(change: AnyChange) -> str:
    """Id of `change` without what only the moment of planning decides.

    A certificate's first moment moves with the clock, and with it the ids that refer to it.
    """
    match change:
        case IssueCertificate():
            change = msgspec.structs.replace(change, not_before="", days=0)
        case SwitchCertificate():
            change = msgspec.structs.replace(change, issue="")
        case WriteFile(content=Output(name=name)):
            change = msgspec.structs.replace(change, content=Output("", name))
        case _:
            pass
    return change.id


def narrowed(plan: Plan, kept: Collection[str]) -> Plan:
    """`plan` with the changes of these ids and what they need."""
    by_id = {each.id: each for each in plan.changes}
    wanted = set(kept)
    for each in plan.changes:
        if each.id in wanted:
            wanted |= {need for need in _needs(each.change) if need in by_id}
    changes = tuple(each for each in plan.changes if each.id in wanted)
    return msgspec.structs.replace(plan, changes=changes)


def _needs(change: AnyChange) -> Iterator[str]:
    if isinstance(change, SwitchCertificate):
        yield change.issue
    if isinstance(change, WriteFile) and isinstance(change.content, Output):
        yield change.content.change
