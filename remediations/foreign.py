"""What someone else changed after a run, and how that differs from what the run left."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from gapcheck.errors import EditRefused, RepairFailed, RepairRefused, TargetError
from gapcheck.model import SubjectId
from gapcheck.remediations.edits import apply_edit
from gapcheck.remediations.journal import Entry, FileState
from gapcheck.remediations.machines.base import Machine
from gapcheck.remediations.plan import FileChange, PlannedChange
from gapcheck.remediations.recovery import PathChange, path_changes
from gapcheck.remediations.shown import public_diff

_UNSEEN = ("IssueCertificate", "SwitchCertificate")


@dataclass(frozen=True, slots=True, kw_only=True)
class Foreign:
    """Something that is not as the run left it: a path or an object, and how it is now."""

    target: SubjectId
    what: str
    left: FileState | None = None
    now: FileState | None = None

    def __str__(self) -> str:
        if self.left is None or self.now is None:
            return self.what
        return f"{self.what} (left as {_short(self.left)}, is now {_short(self.now)})"


def foreign(entries: Sequence[Entry], machine: Machine) -> tuple[Foreign, ...]:
    """All that is not as `entries`, all of `machine`, left it."""
    changes = path_changes(entries, machine)
    states = machine.states([each.before.path for each in changes])
    found = [
        Foreign(target=machine.target, what=change.before.path, left=_left(change), now=now)
        for change, now in zip(changes, states, strict=True)
        if not change.is_ours(now)
    ]
    left = {entry.effect["object"]: entry for entry in _of_objects(entries)}
    words = [machine.foreign_object(entry.effect) for entry in left.values()]
    words += [machine.foreign_container(entry.effect) for entry in _of_containers(entries)]
    return (*found, *(Foreign(target=machine.target, what=word) for word in words if word))


def _left(change: PathChange) -> FileState:
    return change.after[0] if change.after else change.before


def _of_objects(entries: Iterable[Entry]) -> Iterator[Entry]:
    """The entries whose objects have to be as they left them."""
    for entry in entries:
        if "object" in entry.effect and entry.step == "applied" and not entry.final:
            yield entry


def _of_containers(entries: Iterable[Entry]) -> Iterator[Entry]:
    """The last entry about each container that was made anew."""
    last = {each.effect["recreated"]: each for each in entries if "recreated" in each.effect}
    yield from (each for each in last.values() if each.step == "applied")


def foreign_diff(
    found: Foreign,
    entries: Sequence[Entry],
    machine: Machine,
    *,
    run: str,
    undoes: str,
    planned: Mapping[str, PlannedChange],
) -> str:
    """Unified diff from what the run left to what stands there now, secrets masked; '' = none.

    A file that holds or may hold a private key is never fetched. What the run left is made
    once more from its backup and its plan, or is in the backup of the run that it undid.
    """
    if found.left is None or found.now is None:
        return ""
    touching = [e for e in entries if any(s.path == found.what for s in (*e.before, *e.intended))]
    if any(e.kind in _UNSEEN or e.final for e in touching):
        return f"(no diff: {found.what} may hold a private key)\n"
    if found.left.sha256 == found.now.sha256 and found.left.kind == found.now.kind == "file":
        return f"mode {found.left.mode:04o} -> {found.now.mode:04o} {found.what}\n"
    try:
        left = _content_left(found.left, touching, machine, run, undoes, planned)
        now = machine.look(found.what, follow=False).content if found.now.kind == "file" else None
    except (RepairRefused, RepairFailed, TargetError, EditRefused) as failed:
        return f"(no diff: {failed})\n"
    if left is None and found.left.kind == "file":
        return f"(no diff: what the run left in {found.what} was not kept)\n"
    return public_diff(found.what, left, now)


def _content_left(
    left: FileState,
    entries: Sequence[Entry],
    machine: Machine,
    run: str,
    undoes: str,
    planned: Mapping[str, PlannedChange],
) -> bytes | None:
    if left.kind != "file":
        return None
    if undoes:
        return machine.kept(undoes, left.sha256)
    content: bytes | None = None
    for number, entry in enumerate(entries):
        before = next((s for s in entry.before if s.path == left.path), None)
        if number == 0 and before is not None and before.kind == "file":
            content = machine.kept(run, before.sha256)
        change = planned[entry.op].change if entry.op in planned else None
        if not isinstance(change, FileChange):
            return None
        content = apply_edit(change, content)
    is_whole = content is not None and hashlib.sha256(content).hexdigest() == left.sha256
    return content if is_whole else None


def _short(state: FileState) -> str:
    if state.kind == "file":
        return f"{state.sha256[:12]} mode {state.mode:04o}"
    return f"link to {state.link}" if state.kind == "link" else state.kind
