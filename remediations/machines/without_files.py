"""The part of a machine that has no files, units or containers: a cluster."""

from __future__ import annotations

from collections.abc import Sequence

from gapcheck.errors import RepairRefused
from gapcheck.model import CLUSTER
from gapcheck.remediations.journal import FileState
from gapcheck.remediations.machines.base import Looked, WithoutEngine


class WithoutFiles(WithoutEngine):
    """Every operation on a file, a unit or a container, refused or done for nothing."""

    def look(self, path: str, *, follow: bool = True, read: bool = True) -> Looked:
        """Refuse: a cluster has no files."""
        del follow, read
        raise self._no_files(path)

    def states(self, paths: Sequence[str]) -> tuple[FileState, ...]:
        """Nothing: a cluster has no files."""
        return tuple(FileState(path=path) for path in paths)

    def tree(self, folders: Sequence[str]) -> tuple[FileState, ...]:
        """Nothing: a cluster has no files."""
        del folders
        return ()

    def save(self, run: str, states: Sequence[FileState]) -> None:
        """Nothing: a cluster has no files."""

    def put(
        self, wanted: FileState, content: bytes | None, *, expect: FileState | None, in_place: bool
    ) -> FileState:
        """Refuse: a cluster has no files."""
        del content, expect, in_place
        raise self._no_files(wanted.path)

    def restore(
        self, run: str, wanted: FileState, *, expect: FileState | None, in_place: bool
    ) -> FileState:
        """Refuse: a cluster has no files."""
        del run, expect, in_place
        raise self._no_files(wanted.path)

    def kept(self, run: str, sha256: str) -> bytes | None:
        """Nothing: a cluster has no files."""
        del run, sha256
        return None

    def sweep(self, paths: Sequence[str]) -> None:
        """Nothing: a cluster has no files."""

    def remove_folder(self, path: str) -> bool:
        """Nothing: a cluster has no files."""
        del path
        return True

    def validate(self, path: str, content: bytes) -> None:
        """Nothing: a cluster has no files."""

    def refresh_trust_store(self, family: str, *, fresh: bool) -> str:
        """Refuse: a cluster has no trust store."""
        del family, fresh
        raise self._no_files("a trust store")

    def restart_unit(self, unit: str, *, timeout_s: float) -> str:
        """Refuse: a cluster has no units."""
        del timeout_s
        raise self._no_files(unit)

    def set_restart_policy(self, container: str, policy: str) -> str:
        """Refuse: a cluster's containers are set by its objects."""
        del policy
        raise self._no_files(container)

    def restart_container(self, container: str, *, timeout_s: float) -> str:
        """Refuse: a cluster's containers are restarted by its objects."""
        del timeout_s
        raise self._no_files(container)

    @staticmethod
    def _no_files(what: str) -> RepairRefused:
        return RepairRefused(CLUSTER, f"{what} is not an object of the cluster")
