"""A plan as a file: what would be done, why, and what it was based on. It holds no secret.

It is made of facts, which hold none, and of specifications: a private key that a plan needs is
made when the plan is applied. Whoever edits the file gets another digest, and nothing is ever
done that is not planned anew, word for word, when it is applied.
"""

from __future__ import annotations

import hashlib
import os
import secrets
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

import gapcheck
from gapcheck.errors import PlanFileError
from gapcheck.model import Cause, CheckId, Risk, SubjectId
from gapcheck.remediations.based_on import Base, bases_of
from gapcheck.remediations.draining import Drain
from gapcheck.remediations.plan import (
    Plan,
    RecreateContainer,
    RestartContainer,
    RestartUnit,
    UpgradeRelease,
)

if TYPE_CHECKING:
    from gapcheck.suite import Prepared

SCHEMA = "gapcheck-plan/1"
_FAMILY = "gapcheck-plan/"
_MOST_BYTES = 1 << 30


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """What the plan was asked for: the options of `gapcheck plan`."""

    max_risk: Risk
    select: tuple[str, ...] = ()
    targets: tuple[str, ...] = ()
    with_roots: bool = False
    drain: Drain | None = None


class Effect(msgspec.Struct, frozen=True, kw_only=True):
    """What is expected of one check: that it passes once `changes` (ids) are made."""

    check: CheckId
    subject: SubjectId
    problem: str
    changes: tuple[str, ...]


class PlanFile(msgspec.Struct, frozen=True, kw_only=True):
    """The first round of a repair. `digest` is the SHA-256 of all the rest, in this form.

    `site` is the site's name, `version` that of the gapcheck that made it, `risk` the costliest
    change, `restarts` what restarts where ("node/a containerd.service").
    """

    schema: str
    version: str
    made: datetime
    site: str
    run: str
    risk: Risk
    restarts: tuple[str, ...]
    effects: tuple[Effect, ...]
    based_on: tuple[Base, ...]
    asked: Asked
    plan: Plan
    digest: str = ""


class _Head(msgspec.Struct, frozen=True):
    """As much of a file as says whether it is a plan at all."""

    schema: str
    version: str = "?"


def make_plan_file(prepared: Prepared, plan: Plan, asked: Asked) -> PlanFile:
    """The file of `plan`, which was made from what `prepared` measured."""
    made = PlanFile(
        schema=SCHEMA,
        version=gapcheck.__version__,
        made=prepared.facts.taken_at,
        site=site_name(prepared),
        run=prepared.run_id,
        risk=plan.risk,
        restarts=tuple(dict.fromkeys(_restarts(plan))),
        effects=tuple(_effects(prepared, plan)),
        based_on=bases_of(plan.changes, prepared.facts),
        asked=asked,
        plan=plan,
    )
    return msgspec.structs.replace(made, digest=_digest(made))


def site_name(prepared: Prepared) -> str:
    """The name that ties a plan to its site."""
    return prepared.site.name or prepared.site.registry.netloc


def write_plan_file(path: Path, file: PlanFile) -> None:
    """Write `file` whole or not at all, for its owner alone.

    Raises PlanFileError where it cannot be written.
    """
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    text = msgspec.json.format(msgspec.json.encode(file), indent=1) + b"\n"
    try:
        fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(fd, "wb") as out:
            out.write(text)
            out.flush()
            os.fsync(fd)
        temporary.replace(path)
    except OSError as failed:
        raise PlanFileError(
            str(path), f"it cannot be written: {failed.strerror}", "name another with -o"
        ) from failed
    finally:
        temporary.unlink(missing_ok=True)


def read_plan_file(path: Path) -> PlanFile:
    """The plan in `path`, exactly as it was written.

    Raises PlanFileError where it is none, is of a newer gapcheck, or is not as it was written.
    """
    content = _content(path)
    try:
        head = msgspec.json.decode(content, type=_Head)
    except (msgspec.DecodeError, UnicodeDecodeError) as bad:
        raise PlanFileError(str(path), f"it is no plan, or was cut off: {bad}") from bad
    if not head.schema.startswith(_FAMILY):
        raise PlanFileError(
            str(path), f"it is no plan of gapcheck: its schema is {head.schema[:60]!r}"
        )
    if head.schema != SCHEMA:
        raise PlanFileError(
            str(path),
            f"it was made by gapcheck {head.version[:20]} as {head.schema[:60]}; "
            f"this is {gapcheck.__version__}, which reads {SCHEMA}",
            "apply it with the gapcheck that made it, or plan again with this one",
        )
    try:
        file = msgspec.json.decode(content, type=PlanFile)
    except (msgspec.DecodeError, UnicodeDecodeError) as bad:
        raise PlanFileError(str(path), f"it is damaged: {bad}") from bad
    if file.digest != _digest(file) or any(e.id != e.change.id for e in file.plan.changes):
        raise PlanFileError(str(path), "it was damaged or edited since it was made")
    return file


def _content(path: Path) -> bytes:
    try:
        if not path.is_file():
            raise PlanFileError(str(path), "there is no such file")
        if path.stat().st_size > _MOST_BYTES:
            raise PlanFileError(str(path), "it is larger than 1 GiB, so it is no plan")
        return path.read_bytes()
    except OSError as failed:
        raise PlanFileError(str(path), f"it cannot be read: {failed.strerror}") from failed


def _digest(file: PlanFile) -> str:
    bare = msgspec.structs.replace(file, digest="")
    return hashlib.sha256(msgspec.json.encode(bare, order="deterministic")).hexdigest()


def _restarts(plan: Plan) -> Iterator[str]:
    for each in plan.changes:
        change = each.change
        if isinstance(change, RestartUnit) and "next boot" not in each.note:
            yield f"{change.target} {change.unit}"
        elif isinstance(change, RestartContainer):
            yield f"{change.target} container {change.name}"
        elif isinstance(change, RecreateContainer):
            yield f"{change.target} container {change.name}, made anew"
        elif isinstance(change, UpgradeRelease):
            yield f"{change.target} pods of release {_name(change)}"
        elif getattr(change, "rolls_out", False):
            yield f"{change.target} pods of {getattr(change, 'kind', '')} {_name(change)}"


def _name(change: object) -> str:
    return f"{getattr(change, 'namespace', '')}/{getattr(change, 'name', '')}"


def _effects(prepared: Prepared, plan: Plan) -> Iterator[Effect]:
    by_cause: dict[Cause, list[str]] = {}
    for planned in plan.changes:
        for cause in planned.causes:
            by_cause.setdefault(cause, []).append(planned.id)
    for cause, changes in sorted(by_cause.items()):
        findings = prepared.evaluation.verdict(cause.check, cause.subject).findings
        yield Effect(
            check=cause.check,
            subject=cause.subject,
            problem="; ".join(each.problem for each in findings),
            changes=tuple(changes),
        )
