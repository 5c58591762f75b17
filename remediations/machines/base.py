"""What the applier may ask of a place that is repaired: a closed set of operations."""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from gapcheck.errors import RepairFailed, RepairRefused, TargetError
from gapcheck.model import SubjectId
from gapcheck.remediations.journal import FileState
from gapcheck.remediations.plan import (
    Change,
    DrainNode,
    PatchObject,
    RecreateContainer,
    UpgradeRelease,
)
from gapcheck.remediations.side_by_side import side_by_side

log = logging.getLogger(__name__)

TRUST_TREES: Mapping[str, tuple[str, ...]] = {
    "debian": ("/etc/ssl/certs",),
    "alpine": ("/etc/ssl/certs",),
    "rhel": ("/etc/pki/ca-trust/extracted", "/etc/pki/tls/certs"),
    "suse": ("/var/lib/ca-certificates", "/etc/ssl/certs"),
    "arch": ("/etc/ca-certificates/extracted", "/etc/ssl/certs"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Holder:
    """Who repairs: the run, its process and machine, and since when (ISO 8601)."""

    run: str
    pid: int
    host: str
    since: str

    def __str__(self) -> str:
        return f"run {self.run} (process {self.pid} on {self.host}, since {self.since})"

    def has_ended(self) -> bool:
        """Whether it is known to have ended: its process was of this machine, and is gone."""
        if self.host != socket.gethostname():
            return False
        try:
            os.kill(self.pid, 0)
        except ProcessLookupError:
            return True
        except PermissionError:
            return False
        return False


@dataclass(frozen=True, slots=True, kw_only=True)
class Looked:
    """A path before it is changed.

    `state` is of the file that a write reaches (its `path` may differ from the asked one where
    that is a link), `content` its bytes (None: absent); `missing_dirs` are folders above it
    that are not there, outermost first.
    """

    state: FileState
    content: bytes | None
    missing_dirs: tuple[str, ...] = ()


class Machine(Protocol):
    """A place with files, and perhaps units and containers.

    Every method raises RepairRefused where nothing was changed, RepairFailed where something
    may have been, TargetError where the place cannot be reached.
    """

    target: SubjectId
    read_only: str
    running: bool

    def lock(self, holder: Holder) -> str:
        """Hold this place for one run; a word about a dead run's lock that was taken over, ''."""
        ...

    def unlock(self) -> None:
        """Give the place free; twice does nothing."""
        ...

    def renew(self) -> None:
        """Keep the lock from running out; RepairRefused where it is another run's by now."""
        ...

    def missing_rights(self, changes: Sequence[Change]) -> tuple[str, ...]:
        """The rights that `changes`, all of this place, need and this account lacks."""
        ...

    def look(self, path: str, *, follow: bool = True, read: bool = True) -> Looked:
        """What stands at `path`; a link is followed unless `follow` is False.

        `read` False leaves `content` None: a private key is never fetched. Refuses a link
        that leads nowhere or out of the place, and what is no plain file.
        """
        ...

    def states(self, paths: Sequence[str]) -> tuple[FileState, ...]:
        """What stands at each of `paths`; links are not followed."""
        ...

    def tree(self, folders: Sequence[str]) -> tuple[FileState, ...]:
        """Every file and link below `folders` (those that are there), sorted by path."""
        ...

    def save(self, run: str, states: Sequence[FileState]) -> None:
        """Keep the contents of those of `states` that are files in the run's backup."""
        ...

    def put(
        self, wanted: FileState, content: bytes | None, *, expect: FileState | None, in_place: bool
    ) -> FileState:
        """Make `wanted` stand at its path, if `expect` stands there still; what stands there now.

        `content` None with kind file changes mode and owner alone. Folders above are made 0755.
        A rename keeps readers from half a file; `in_place` writes into the file itself.
        """
        ...

    def restore(
        self, run: str, wanted: FileState, *, expect: FileState | None, in_place: bool
    ) -> FileState:
        """As `put`, with the content taken from the run's backup there, by its SHA-256."""
        ...

    def kept(self, run: str, sha256: str) -> bytes | None:
        """A content in the run's backup there, None where it is not kept."""
        ...

    def sweep(self, paths: Sequence[str]) -> None:
        """Remove what a run that was cut off left beside `paths` under a name of its own."""
        ...

    def remove_folder(self, path: str) -> bool:
        """Remove a folder that is empty; whether it is gone."""
        ...

    def validate(self, path: str, content: bytes) -> None:
        """Ask the program that reads `path` whether it accepts `content`, where it can be asked."""
        ...

    def refresh_trust_store(self, family: str, *, fresh: bool) -> str:
        """Rebuild the trust store; a word about it."""
        ...

    def restart_unit(self, unit: str, *, timeout_s: float) -> str:
        """Restart a unit and wait until it is active; a word about it."""
        ...

    def set_restart_policy(self, container: str, policy: str) -> str:
        """Set a container's restart policy; a word about it."""
        ...

    def restart_container(self, container: str, *, timeout_s: float) -> str:
        """Restart a container and wait until it runs; a word about it."""
        ...

    def look_container(self, change: RecreateContainer) -> dict[str, str]:
        """What `restore_container` needs of the container that `change` makes anew.

        {} where it is as `change` asks already. Refuses what could not be made the same again.
        """
        ...

    def recreate_container(
        self, change: RecreateContainer, effect: Mapping[str, str], *, timeout_s: float
    ) -> dict[str, str]:
        """Make a container anew and wait until it runs; its id as `new`, and a `word`."""
        ...

    def restore_container(self, effect: Mapping[str, str], *, timeout_s: float) -> str:
        """Put the former container back into its place, from wherever that was left."""
        ...

    def foreign_container(self, effect: Mapping[str, str]) -> str:
        """A word where the container is not the one that `effect` left, ''."""
        ...

    def patch_object(self, change: PatchObject, run: str) -> dict[str, str]:
        """Patch a live object that is still the measured one; what `restore_object` needs."""
        ...

    def upgrade_release(self, change: UpgradeRelease, run: str) -> dict[str, str]:
        """Have Helm upgrade a release at the measured revision; what `restore_object` needs."""
        ...

    def restore_object(self, effect: Mapping[str, str]) -> dict[str, str]:
        """Put an object back as its backup has it, or a release as Helm has it; with a `word`."""
        ...

    def foreign_object(self, effect: Mapping[str, str]) -> str:
        """A word where the object is not as `effect` left it, ''."""
        ...

    def drain_node(self, change: DrainNode, run: str) -> dict[str, str]:
        """Cordon a node of the cluster and evict its pods; a `word` about it."""
        ...

    def uncordon_node(self, name: str, run: str) -> str:
        """Uncordon a node where `run` cordoned it; a word about it, or why it stays."""
        ...


class WithoutObjects:
    """The part of a machine that holds no cluster objects."""

    target: SubjectId

    def renew(self) -> None:
        """Nothing: the lock of a folder ends with the process that holds it."""

    def missing_rights(self, changes: Sequence[Change]) -> tuple[str, ...]:
        """Nothing that could be asked beforehand: its lock shows whether it can be written."""
        del changes
        return ()

    def patch_object(self, change: PatchObject, run: str) -> dict[str, str]:
        """Refuse: objects are patched in a cluster."""
        del run
        raise RepairRefused(str(self.target), f"{change.kind} objects are not here")

    def upgrade_release(self, change: UpgradeRelease, run: str) -> dict[str, str]:
        """Refuse: releases are upgraded in a cluster."""
        del run
        raise RepairRefused(str(self.target), f"the release {change.name} is not here")

    def restore_object(self, effect: Mapping[str, str]) -> dict[str, str]:
        """Refuse: objects are restored in a cluster."""
        raise RepairRefused(str(self.target), f"{effect.get('object')} is not here")

    def foreign_object(self, effect: Mapping[str, str]) -> str:
        """Nothing is here."""
        return f"{effect.get('object')} is not here"

    def drain_node(self, change: DrainNode, run: str) -> dict[str, str]:
        """Refuse: nodes are drained in a cluster."""
        del run
        raise RepairRefused(str(self.target), f"the node {change.name} is not drained from here")

    def uncordon_node(self, name: str, run: str) -> str:
        """Refuse: nodes are uncordoned in a cluster."""
        del run
        raise RepairRefused(str(self.target), f"the node {name} is not uncordoned from here")


class WithoutEngine:
    """The part of a machine that has no container engine."""

    target: SubjectId

    def look_container(self, change: RecreateContainer) -> dict[str, str]:
        """Refuse: no engine is here."""
        raise RepairRefused(str(self.target), f"container {change.name} cannot be made from here")

    def recreate_container(
        self, change: RecreateContainer, effect: Mapping[str, str], *, timeout_s: float
    ) -> dict[str, str]:
        """Refuse: no engine is here."""
        del effect, timeout_s
        return self.look_container(change)

    def restore_container(self, effect: Mapping[str, str], *, timeout_s: float) -> str:
        """Refuse: no engine is here."""
        del timeout_s
        raise RepairRefused(str(self.target), f"container {effect['recreated']} is not here")

    def foreign_container(self, effect: Mapping[str, str]) -> str:
        """Nothing is here."""
        return f"container {effect['recreated']} is not here"


def give_free(machines: Iterable[Machine], *, parallel: int = 1) -> None:
    """Unlock every one of `machines`; one that cannot be is said, and its lock runs out."""
    for machine, done in side_by_side(machines, _unlock, parallel=parallel).items():
        try:
            done.result()
        except (RepairRefused, RepairFailed, TargetError) as failed:
            log.warning("%s: its lock stays until it runs out: %s", machine.target, failed)


def _unlock(machine: Machine) -> None:
    machine.unlock()
