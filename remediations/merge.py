"""Joins the changes of many findings: equal ones once, edits of one file together. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import msgspec

from gapcheck.model import Cause, Risk
from gapcheck.remediations.editing.keys import dotted, same
from gapcheck.remediations.plan import (
    AnyChange,
    EditBlock,
    EditJson,
    EditToml,
    EditYaml,
    FileChange,
    KeyEdit,
    LineEdit,
    Output,
    PatchObject,
    RecreateContainer,
    RefreshTrustStore,
    RemoveFile,
    SetMode,
    SwitchCertificate,
    Unplanned,
    WriteFile,
)

KeyChange = EditToml | EditYaml | EditJson


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """A change with the verdicts it repairs and the risk that its remedy declares."""

    change: AnyChange
    causes: tuple[Cause, ...]
    risk: Risk

    @property
    def needs(self) -> str:
        """Id of the issuing change whose output this one uses, ''."""
        if isinstance(self.change, SwitchCertificate):
            return self.change.issue
        if isinstance(self.change, WriteFile) and isinstance(self.change.content, Output):
            return self.change.content.change
        return ""


class _Contradiction(Exception):
    """Two changes of one file cannot both be made; the text says why."""


def merged(drafts: Iterable[Draft]) -> tuple[list[Draft], list[Unplanned]]:
    """The drafts with equal changes and edits of one file joined, and what contradicts.

    Changes of one file that contradict each other are all left out: a person decides.
    """
    once: dict[str, Draft] = {}
    files: dict[tuple[str, str], list[Draft]] = {}
    contradicted: list[Unplanned] = []
    for draft in drafts:
        if isinstance(draft.change, FileChange):
            files.setdefault((draft.change.target, draft.change.path), []).append(draft)
            continue
        key = _same_key(draft.change)
        known = once.get(key)
        try:
            once[key] = draft if known is None else _joined(known, draft)
        except _Contradiction as both:
            why = f"left for a later round: two remedies of one object, {both}"
            contradicted += (Unplanned(cause=cause, why=why) for cause in draft.causes)
    kept: list[Draft] = []
    unplanned = contradicted
    for (target, path), drafts_of in files.items():
        group, later = _leak_first(drafts_of)
        unplanned += later
        try:
            kept += _one_file(group)
        except _Contradiction as both:
            why = f"two remedies contradict each other in {path} of {target}: {both}"
            causes = dict.fromkeys(cause for draft in group for cause in draft.causes)
            unplanned += (Unplanned(cause=cause, why=why) for cause in causes)
    return kept + list(once.values()), unplanned


def _same_key(change: AnyChange) -> str:
    # One refresh a target does for all anchors; the thorough form includes the plain one.
    if isinstance(change, RefreshTrustStore):
        return f"refresh {change.target} {change.family}"
    # Two patches of one object would carry the same resource version: the second is refused.
    if isinstance(change, PatchObject):
        return f"object {change.api_version} {change.kind} {change.namespace}/{change.name}"
    if isinstance(change, RecreateContainer):
        return f"container {change.target} {change.name}"
    return change.id


def _joined(one: Draft, other: Draft) -> Draft:
    change = one.change
    if isinstance(change, RefreshTrustStore) and isinstance(other.change, RefreshTrustStore):
        change = msgspec.structs.replace(
            change,
            fresh=change.fresh or other.change.fresh,
            final=change.final or other.change.final,
        )
    if isinstance(change, PatchObject) and isinstance(other.change, PatchObject):
        change = _patched(change, other.change)
    if isinstance(change, RecreateContainer) and isinstance(other.change, RecreateContainer):
        change = _recreated(change, other.change)
    causes = tuple(dict.fromkeys((*one.causes, *other.causes)))
    return replace(one, change=change, causes=causes, risk=max(one.risk, other.risk, key=_rank))


def _recreated(one: RecreateContainer, other: RecreateContainer) -> RecreateContainer:
    """One making anew that does what both do: a second would not find the container again."""
    environment = dict(one.set_env)
    for name, value in other.set_env:
        if environment.setdefault(name, value) != value:
            raise _Contradiction(f"they set {name} to two values")
    volumes = {each.destination: each for each in one.volumes}
    for each in other.volumes:
        if volumes.setdefault(each.destination, each) != each:
            raise _Contradiction(f"they mount two volumes at {each.destination}")
    return msgspec.structs.replace(
        one,
        set_env=tuple(environment.items()),
        unset_env=tuple(dict.fromkeys((*one.unset_env, *other.unset_env))),
        volumes=tuple(volumes.values()),
        restart_policy=one.restart_policy or other.restart_policy,
    )


def _patched(one: PatchObject, other: PatchObject) -> PatchObject:
    """One patch that does what both do."""
    if (one.uid, one.creates, one.final) != (other.uid, other.creates, other.final):
        raise _Contradiction("they saw different states of it")
    return msgspec.structs.replace(
        one,
        patch=_both(one.patch, other.patch, one.kind),
        rolls_out=one.rolls_out or other.rolls_out,
    )


def _both(one: Any, other: Any, where: str) -> Any:  # noqa: ANN401 - JSON
    if one == other:
        return one
    if not (isinstance(one, Mapping) and isinstance(other, Mapping)):
        raise _Contradiction(f"they set {where} to two values")
    joined = {**other, **one}
    for key in one.keys() & other.keys():
        joined[key] = _both(one[key], other[key], f"{where}.{key}")
    return joined


def _rank(risk: Risk) -> int:
    return risk.rank


def _one_file(group: Sequence[Draft]) -> list[Draft]:
    changes = [draft.change for draft in group if isinstance(draft.change, FileChange)]
    if len({change.before_sha256 for change in changes}) > 1:
        raise _Contradiction("they saw different contents")
    joined: list[Draft] = []
    for draft in group:
        for position, known in enumerate(joined):
            change = _together(known.change, draft.change)
            if change is not None:
                joined[position] = replace(_joined(known, draft), change=change)
                break
        else:
            joined.append(draft)
    _exclusive([draft.change for draft in joined])
    # What is removed for good goes first: the backups of the rest must not hold it.
    return sorted(joined, key=lambda draft: not getattr(draft.change, "final", False))


def _leak_first(group: list[Draft]) -> tuple[list[Draft], list[Unplanned]]:
    """Of remedies that each take a whole leaking file away, the one of least risk; what waits."""
    changes = [each.change for each in group]
    if not all(isinstance(each, WriteFile | RemoveFile) and each.final for each in changes):
        return group, []
    first = min(group, key=lambda each: each.risk.rank)
    why = "left for a later round: a private key is taken out of that file first"
    return (
        [each for each in group if each.change.id == first.change.id],
        [
            Unplanned(cause=cause, why=why)
            for each in group
            if each.change.id != first.change.id
            for cause in each.causes
        ],
    )


def _exclusive(changes: Sequence[AnyChange]) -> None:
    whole = [each for each in changes if isinstance(each, WriteFile | RemoveFile)]
    if whole and len(changes) > 1:
        raise _Contradiction("one replaces the whole file")
    modes = {each.mode for each in changes if isinstance(each, SetMode)}
    if len(modes) > 1:
        raise _Contradiction("they set different modes")
    kinds = {type(each) for each in changes if not isinstance(each, SetMode)}
    if len(kinds) > 1:
        raise _Contradiction("they read it as different formats")


def _together(one: AnyChange, other: AnyChange) -> AnyChange | None:
    """One change that does both, None where they stay two; raises _Contradiction."""
    if one == other:
        return one
    if isinstance(one, EditBlock) and isinstance(other, EditBlock):
        return _blocks(one, other)
    if isinstance(one, KeyChange) and type(one) is type(other) and _same_place(one, other):
        edits = (*one.edits, *getattr(other, "edits", ()))
        return msgspec.structs.replace(one, edits=_edits(edits))
    if isinstance(one, WriteFile) and isinstance(other, WriteFile):
        raise _Contradiction("they write different contents")
    return None


def _same_place(one: KeyChange, other: AnyChange) -> bool:
    if isinstance(one, EditYaml) and isinstance(other, EditYaml):
        return (one.document, one.final) == (other.document, other.final)
    return True


def _edits(edits: Iterable[KeyEdit]) -> tuple[KeyEdit, ...]:
    kept: list[KeyEdit] = []
    for edit in edits:
        if any(_equal(edit, known) for known in kept):
            continue
        clash = next((known for known in kept if _clash(edit, known)), None)
        if clash is not None:
            raise _Contradiction(f"{dotted(clash.keys)} and {dotted(edit.keys)} overlap")
        kept.append(edit)
    return tuple(kept)


def _equal(one: KeyEdit, other: KeyEdit) -> bool:
    return (one.op, one.keys) == (other.op, other.keys) and same(one.value, other.value)


def _clash(one: KeyEdit, other: KeyEdit) -> bool:
    """Whether one lies at or under the other, or both count positions of one list."""
    shared = min(len(one.keys), len(other.keys))
    if one.keys[:shared] == other.keys[:shared]:
        return True
    for mine, theirs in zip(one.keys, other.keys, strict=False):
        if mine != theirs:
            both = isinstance(mine, int) and isinstance(theirs, int)
            return both and "delete" in (one.op, other.op)
    return False


def _blocks(one: EditBlock, other: EditBlock) -> EditBlock | None:
    if one.marker != other.marker:
        return None
    if one.lines and other.lines and one.lines != other.lines:
        raise _Contradiction(f"the block {one.marker} is to hold different lines")
    edits: dict[str, LineEdit] = {}
    for edit in (*one.line_edits, *other.line_edits):
        if edits.setdefault(edit.before, edit) != edit:
            raise _Contradiction(f"the line {edit.before!r} is to become two different ones")
    return msgspec.structs.replace(
        one, lines=one.lines or other.lines, line_edits=tuple(edits.values())
    )
