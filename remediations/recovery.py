"""Putting back what a run changed, from its journal: for a rollback and for an undo.

All changes of one path are one: what stood there before the first is restored, and what
stands there now must be what the last left.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import msgspec

from gapcheck.errors import RepairFailed
from gapcheck.model import SubjectId
from gapcheck.remediations.journal import Entry, FileState, read_journal
from gapcheck.remediations.machines.base import Machine

RESTARTS = ("unit", "restart")
REFRESH = "refresh"
CORDON, UNCORDON = "cordon", "uncordon"
WAS_DOWN = "was_down"
_SEEN_DOWN = "was not active before"  # restart_unit says so of a unit that nothing measured


@dataclass(frozen=True, slots=True, kw_only=True)
class PathChange:
    """What a run did to one path: before its first change, and what may stand there now.

    `after` () means that anything may: the change was under way when the run ended.
    """

    target: SubjectId
    before: FileState
    after: tuple[FileState, ...]
    in_place: bool = False
    final: bool = False

    def is_ours(self, now: FileState) -> bool:
        """Whether `now` is what the run left, or what stood there before it."""
        known = (*self.after, self.before)
        return not self.after or any(now.like(each) for each in known)


def unfinished(folder: Path) -> tuple[Entry, ...]:
    """The run's changes that still stand: one entry each, `after` () where it was under way."""
    return still_standing(read_journal(folder))


def still_standing(journal: Iterable[Entry]) -> tuple[Entry, ...]:
    """What `journal` changed and did not itself roll back; see `unfinished`."""
    backed: dict[str, Entry] = {}
    for entry in journal:
        key = f"{entry.round}/{entry.op}"
        if entry.step == "backed_up":
            backed[key] = entry
        elif entry.step == "applied" and key in backed:
            backed[key] = msgspec.structs.replace(
                backed[key],
                step="applied",
                after=entry.after,
                effect=entry.effect,
                detail=entry.detail,
            )
            if UNCORDON in entry.effect:
                backed = _without_cordon(backed, entry.effect[UNCORDON])
        elif entry.step == "rolled_back":
            backed = {
                k: e
                for k, e in backed.items()
                if e.op != entry.op or entry.round not in (0, e.round)
            }
    return tuple(backed.values())


def _without_cordon(backed: Mapping[str, Entry], name: str) -> dict[str, Entry]:
    """What still stands once the node `name` is uncordoned: no step of its drain."""
    return {
        key: each
        for key, each in backed.items()
        if name not in (each.effect.get(CORDON), each.effect.get(UNCORDON))
    }


def path_changes(entries: Iterable[Entry], machine: Machine | None) -> tuple[PathChange, ...]:
    """The paths that `entries` changed, in order; of a tree under way, what stands there now.

    Without a `machine` (nothing is asked), such a tree is left out.
    """
    found: dict[tuple[SubjectId, str], PathChange] = {}
    for entry in entries:
        for change in _of_entry(entry, machine):
            key = (change.target, change.before.path)
            first = found.get(key)
            if first is not None:
                after = change.after
                if after and entry.step != "applied":
                    after = (*after, *first.after)
                in_place = first.in_place or change.in_place
                change = replace(first, after=after, in_place=in_place)  # noqa: PLW2901 - joined
            found[key] = change
    return tuple(found.values())


def _of_entry(entry: Entry, machine: Machine | None) -> Iterable[PathChange]:
    before = {each.path: each for each in entry.before}
    if entry.step == "applied":
        for state in entry.after:
            yield _change(entry, before.get(state.path, FileState(path=state.path)), (state,))
        return
    for wanted in entry.intended:
        old = before.get(wanted.path, FileState(path=wanted.path))
        yield _change(entry, old, () if entry.loose else (old, wanted))
    trees = entry.effect.get("trees", "")
    if trees and machine is not None:
        now = {each.path: each for each in machine.tree(trees.split(":"))}
        for path in sorted({*before, *now}):
            old = before.get(path, FileState(path=path))
            if old != now.get(path, FileState(path=path)):
                yield _change(entry, old, ())


def _change(entry: Entry, before: FileState, after: tuple[FileState, ...]) -> PathChange:
    return PathChange(
        target=entry.target,
        before=before,
        after=after,
        in_place=entry.in_place,
        final=entry.final,
    )


def restore(entries: Sequence[Entry], *, machine: Machine, run: str, wait_s: float) -> list[str]:
    """Put back on `machine` what `entries` (all of it) changed; words about the rest.

    Files first, folders that were made, then settings, objects and restarts.
    """
    words: list[str] = []
    changes = path_changes(entries, machine)
    machine.sweep([each.before.path for each in changes])
    for change in reversed(changes):
        words += restore_path(change, machine=machine, run=run)
    words += remove_folders(entries, machine)
    return words + restore_effects(entries, machine=machine, wait_s=wait_s)


def restore_path(change: PathChange, *, machine: Machine, run: str) -> list[str]:
    """Put one path back; a word where it is not, because it is not ours or nothing was kept."""
    (now,) = machine.states((change.before.path,))
    if now.like(change.before):
        return []
    if not change.is_ours(now):
        return [f"{change.before.path} was changed by someone else and is left as it is"]
    if change.final:
        return [f"{change.before.path}: what was removed for good is not put back"]
    if change.before.kind != "file" or now.sha256 == change.before.sha256:
        machine.put(change.before, None, expect=now, in_place=False)
    else:
        machine.restore(run, change.before, expect=now, in_place=change.in_place)
    return []


def remove_folders(entries: Iterable[Entry], machine: Machine) -> list[str]:
    """Remove the folders that a run made, innermost first; a word about those still in use."""
    made = {folder for entry in entries for folder in entry.dirs}
    deepest_first = sorted(made, key=lambda path: (-path.count("/"), path))
    return [
        f"{folder} stays: it holds files of others"
        for folder in deepest_first
        if not machine.remove_folder(folder)
    ]


def restore_effects(entries: Iterable[Entry], *, machine: Machine, wait_s: float) -> list[str]:
    """Set back policies, objects and stores, then restart each unit and container once."""
    words: list[str] = []
    entries = list(entries)
    for entry in reversed(entries):
        words += _settings(entry, machine, wait_s)
    words += (act() for _, act in restarts(entries, machine, wait_s))
    return [word for word in words if word]


def restarts(
    entries: Sequence[Entry], machine: Machine, wait_s: float
) -> Iterator[tuple[dict[str, str], Callable[[], str]]]:
    """Each unit and container that `entries` restarted: what it is, and what restarts it once.

    For one that did not run before the first of them, it is no failure that it does not again.
    """
    first: dict[tuple[str, str], bool] = {}
    for entry in reversed(entries):
        for kind in RESTARTS:
            if kind in entry.effect:
                was_down = WAS_DOWN in entry.effect or _SEEN_DOWN in entry.detail
                first[kind, entry.effect[kind]] = was_down
    for (kind, name), was_down in first.items():
        restart = machine.restart_unit if kind == "unit" else machine.restart_container
        act = partial(restart, name, timeout_s=wait_s)
        yield {kind: name}, partial(_as_before, act, name) if was_down else act


def _as_before(restart: Callable[[], str], name: str) -> str:
    try:
        return restart()
    except RepairFailed as down:
        return f"{name} does not run, as before ({down.why})"


def _settings(entry: Entry, machine: Machine, wait_s: float) -> Iterator[str]:
    """Set back what one step did beside files and restarts."""
    effect = entry.effect
    if "container" in effect:
        yield machine.set_restart_policy(effect["container"], effect["policy"])
    if "recreated" in effect:
        yield machine.restore_container(effect, timeout_s=wait_s)
    if "object" in effect and not entry.final:
        yield machine.restore_object(effect).get("word", "")
    if "object" in effect and entry.final:
        yield f"{effect['object']}: what was removed for good is not put back"
    if CORDON in effect:
        yield machine.uncordon_node(effect[CORDON], effect["run"])
    if REFRESH in effect:
        yield machine.refresh_trust_store(effect[REFRESH], fresh=True)
