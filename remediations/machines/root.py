"""The root of an image, and the folder of the site file: files without processes."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from gapcheck.errors import RepairFailed, RepairRefused
from gapcheck.fixtures.targets.root import RootTarget
from gapcheck.model import SubjectId
from gapcheck.remediations.lock import FolderLocks
from gapcheck.remediations.machines.base import WithoutEngine
from gapcheck.remediations.machines.debian_store import refresh_debian_store
from gapcheck.remediations.machines.files import FileMachine
from gapcheck.state import State

_TOOLS = {
    "rhel": ("update-ca-trust",),
    "suse": ("update-ca-certificates",),
    "alpine": ("update-ca-certificates",),
    "arch": ("update-ca-trust",),
}
_TOOL_TIMEOUT_S = 120


class _Processless(WithoutEngine, FileMachine):
    """Files whose readers start later: restarts need nothing now."""

    def validate(self, path: str, content: bytes) -> None:
        """Nothing runs here that could be asked."""

    def refresh_trust_store(self, family: str, *, fresh: bool) -> str:
        """Refuse: this folder has no trust store."""
        del family, fresh
        raise RepairRefused(str(self.target), "it has no trust store")

    def restart_unit(self, unit: str, *, timeout_s: float) -> str:
        """Nothing runs here."""
        del timeout_s
        return f"{unit} takes it up at the next boot"

    def set_restart_policy(self, container: str, policy: str) -> str:
        """Refuse: no container runtime is here."""
        raise RepairRefused(str(self.target), f"{container} cannot be set to {policy} from here")

    def restart_container(self, container: str, *, timeout_s: float) -> str:
        """Nothing runs here."""
        del timeout_s
        return f"{container} takes it up at its next start"


class RootMachine(_Processless):
    """The root of an image, confined: a link never leads out of it."""

    def __init__(
        self, target: SubjectId, root: RootTarget, state: State, locks: FolderLocks
    ) -> None:
        super().__init__(target, root.root, state, locks)
        self._root = root

    def place(self, path: str) -> Path:
        """Where `path` lies, links followed inside the root."""
        return self._root.place(path)

    def entry(self, path: str) -> Path:
        """Where `path` lies, a link at its end not followed."""
        return self._root.entry(path)

    def name(self, place: Path) -> str:
        """The path as the image has it."""
        return "/" + str(place.relative_to(self.folder)).removeprefix(".")

    def refresh_trust_store(self, family: str, *, fresh: bool) -> str:
        """Rebuild the store: ours for Debian, the image's own tool in a chroot for others."""
        if family == "debian":
            return refresh_debian_store(self._root, fresh=fresh)
        tool = _TOOLS.get(family)
        if tool is None:
            raise RepairRefused(str(self.target), f"the trust store of {family} is not known")
        if os.geteuid() != 0:
            raise RepairRefused(
                str(self.target), f"{tool[0]} of the image runs in a chroot, which needs root"
            )
        argv = ["chroot", str(self.folder), *tool]
        try:
            ran = subprocess.run(  # noqa: S603 - constant program in the image, no shell
                argv, capture_output=True, timeout=_TOOL_TIMEOUT_S, check=False
            )
        except (OSError, subprocess.TimeoutExpired) as failed:
            raise RepairFailed(str(self.target), f"{' '.join(argv)}: {failed}") from failed
        if ran.returncode:
            said = ran.stderr.decode("utf-8", "replace").strip()[-300:]
            raise RepairFailed(str(self.target), f"{' '.join(argv)} ended with {said}")
        return f"{tool[0]} of the image rebuilt the store"


class SiteMachine(_Processless):
    """Files that the site file names, relative to its folder; absolute paths are themselves."""

    def __init__(self, target: SubjectId, folder: Path, state: State, locks: FolderLocks) -> None:
        super().__init__(target, Path(os.path.realpath(folder)), state, locks)

    def place(self, path: str) -> Path:
        """Where `path` lies, links followed."""
        return Path(os.path.realpath(self.folder / Path(path).expanduser()))

    def entry(self, path: str) -> Path:
        """Where `path` lies, a link at its end not followed."""
        whole = self.folder / Path(path).expanduser()
        return Path(os.path.realpath(whole.parent)) / whole.name

    def name(self, place: Path) -> str:
        """The absolute path."""
        return str(place)
