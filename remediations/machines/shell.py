"""A machine behind a shell: this one, one over ssh, a container. Constant programs, data quoted.

Contents go to it as base64 on standard input and stay in memory here; backups stay there.
"""

from __future__ import annotations

import base64
import os
import shlex
from collections.abc import Mapping, Sequence
from functools import cache
from importlib import resources

import msgspec

from gapcheck.errors import LockHeld, RepairFailed, RepairRefused
from gapcheck.fixtures.targets.base import Target
from gapcheck.model import SubjectId
from gapcheck.remediations.journal import FileState
from gapcheck.remediations.machines.base import Holder, Looked, WithoutObjects
from gapcheck.remediations.machines.containers import Containers
from gapcheck.remediations.plan import RecreateContainer

STATE_DIR = "/var/lib/gapcheck"
STALE_S = 900
_TIMEOUT_S = 60.0
_REFUSED = 9
_TOOLS: Mapping[str, tuple[str, ...]] = {
    "debian": ("update-ca-certificates",),
    "suse": ("update-ca-certificates",),
    "alpine": ("update-ca-certificates",),
    "rhel": ("update-ca-trust",),
    "arch": ("update-ca-trust",),
}


@cache
def _operations() -> str:
    folder = resources.files(__package__)
    return "".join((folder / each).read_text() for each in ("operations.sh", "containers.sh"))


class ShellMachine(WithoutObjects):
    """The machine that `target` reaches; its own state lies in `state_dir` there."""

    def __init__(self, subject: SubjectId, target: Target, *, state_dir: str = STATE_DIR) -> None:
        self.target = subject
        self.read_only = target.read_only
        self.running = target.running
        self._shell = target
        self._state_dir = state_dir
        self._held = ""
        self._containers = Containers(subject, self._run)

    def lock(self, holder: Holder) -> str:
        """Hold the machine by a file there that every operation renews; see `Machine.lock`.

        A lock is a dead run's where its process on this machine is gone, or where nothing has
        renewed it for 15 minutes.
        """
        mine = msgspec.json.encode(holder).decode()
        seen, idle_s = self._lock("take", mine, "")
        word = ""
        if seen != mine and msgspec.json.decode(seen, type=Holder).run != holder.run:
            other = msgspec.json.decode(seen, type=Holder)
            if idle_s <= STALE_S and not other.has_ended():
                raise LockHeld(str(self.target), f"{other} is repairing it")
            seen, _ = self._lock("force", mine, seen)
            if seen != mine:
                raise LockHeld(str(self.target), "another run took the lock first")
            word = f"lock taken over from {other}, which has ended"
        self._held = seen
        return word

    def _lock(self, how: str, mine: str, seen: str) -> tuple[str, int]:
        out = self._run("lock", how, mine, seen).split("\n")
        return out[0], int(out[1])

    def unlock(self) -> None:
        """Give the machine free."""
        if self._held:
            held, self._held = self._held, ""
            self._run("unlock", held)

    def renew(self) -> None:
        """Touch the lock's file, where it is ours still."""
        if self._held:
            self._run("renew", self._held)

    def look(self, path: str, *, follow: bool = True, read: bool = True) -> Looked:
        """What stands at `path`; see `Machine.look`."""
        self._refuse_odd(path)
        lines = self._run(
            "look", "follow" if follow else "stay", "read" if read else "skip", path
        ).split("\n")
        real = _text(lines[1]).removesuffix("\n")
        state = _state(real, lines[0])
        if state.kind in ("dir", "other"):
            raise RepairRefused(str(self.target), f"{path} is not a plain file")
        content = base64.b64decode(lines[3]) if read and state.kind == "file" else None
        missing = tuple(_text(each) for each in lines[2].split())
        return Looked(state=state, content=content, missing_dirs=missing)

    def states(self, paths: Sequence[str]) -> tuple[FileState, ...]:
        """What stands at each path."""
        if not paths:
            return ()
        lines = self._run("states", *paths).splitlines()
        return tuple(_state(path, line) for path, line in zip(paths, lines, strict=True))

    def tree(self, folders: Sequence[str]) -> tuple[FileState, ...]:
        """Every file and link below `folders`."""
        modes: dict[str, tuple[int, int, int]] = {}
        found: dict[str, FileState] = {}
        for line in self._run("tree", *folders).splitlines():
            kind, _, rest = line.partition(" ")
            if kind == "mode":
                mode, uid, gid, path = rest.split(" ", 3)
                modes[path] = (int(mode, 8), int(uid), int(gid))
            elif kind == "sum":
                digest, _, path = rest.partition("  ")
                mode_, uid_, gid_ = modes[path]
                found[path] = FileState(
                    path=path, kind="file", sha256=digest, mode=mode_, uid=uid_, gid=gid_
                )
            else:
                uid, gid, link, path = rest.split(" ", 3)
                found[path] = FileState(
                    path=path, kind="link", link=_text(link), uid=int(uid), gid=int(gid)
                )
        return tuple(found[path] for path in sorted(found))

    def save(self, run: str, states: Sequence[FileState]) -> None:
        """Keep contents on the machine itself."""
        pairs = [
            word for each in states if each.kind == "file" for word in (each.sha256, each.path)
        ]
        self._run("save", run, *pairs)

    def put(
        self, wanted: FileState, content: bytes | None, *, expect: FileState | None, in_place: bool
    ) -> FileState:
        """Make `wanted` stand at its path; see `Machine.put`."""
        source = "keep" if content is None else "stdin"
        return self._put(source, wanted, content, expect=expect, in_place=in_place)

    def restore(
        self, run: str, wanted: FileState, *, expect: FileState | None, in_place: bool
    ) -> FileState:
        """Put back what the backup there has; see `Machine.restore`."""
        return self._put(run, wanted, None, expect=expect, in_place=in_place)

    def _put(
        self,
        source: str,
        wanted: FileState,
        content: bytes | None,
        *,
        expect: FileState | None,
        in_place: bool,
    ) -> FileState:
        self._refuse_odd(wanted.path)
        words = (
            source,
            wanted.path,
            "any" if expect is None else _line(expect),
            "place" if in_place else "rename",
            *_line(wanted).split(" "),
        )
        return _state(wanted.path, self._run("put", *words, content=content).strip())

    def kept(self, run: str, sha256: str) -> bytes | None:
        """A content in the backup there."""
        out = self._run("kept", run, sha256)
        return base64.b64decode(out[1:]) if out else None

    def sweep(self, paths: Sequence[str]) -> None:
        """Remove temporary files of a run that was cut off."""
        if paths:
            self._run("sweep", *paths)

    def remove_folder(self, path: str) -> bool:
        """Remove an empty folder."""
        return bool(self._run("remove_folder", path))

    def validate(self, path: str, content: bytes) -> None:
        """Ask containerd whether it accepts its new main configuration."""
        if path == "/etc/containerd/config.toml" and self.running:
            self._run("validate_containerd", path, content=content)

    def refresh_trust_store(self, family: str, *, fresh: bool) -> str:
        """Run the distribution's own tool."""
        tool = _TOOLS.get(family)
        if tool is None:
            raise RepairRefused(str(self.target), f"the trust store of {family} is not known")
        options = ("--fresh",) if fresh and family in ("debian", "alpine") else ()
        return self._run("refresh", *tool, *options, timeout_s=300).strip()

    def restart_unit(self, unit: str, *, timeout_s: float) -> str:
        """Restart a unit and wait until it is active."""
        return self._waited("restart_unit", unit, timeout_s)

    def set_restart_policy(self, container: str, policy: str) -> str:
        """Set a container's restart policy."""
        return self._run("set_restart_policy", container, policy).strip()

    def restart_container(self, container: str, *, timeout_s: float) -> str:
        """Restart a container and wait until it runs."""
        return self._waited("restart_container", container, timeout_s)

    def look_container(self, change: RecreateContainer) -> dict[str, str]:
        """What is needed to put the container back; see `Machine.look_container`."""
        return self._containers.look(change)

    def recreate_container(
        self, change: RecreateContainer, effect: Mapping[str, str], *, timeout_s: float
    ) -> dict[str, str]:
        """Make a container anew and wait until it runs."""
        return self._containers.recreate(change, effect, timeout_s=timeout_s)

    def restore_container(self, effect: Mapping[str, str], *, timeout_s: float) -> str:
        """Put the former container back into its place."""
        return self._containers.restore(effect, timeout_s=timeout_s)

    def foreign_container(self, effect: Mapping[str, str]) -> str:
        """A word where the container is not the one that the run left."""
        return self._containers.foreign(effect)

    def _waited(self, operation: str, name: str, wait_s: float) -> str:
        timeout_s = wait_s + _TIMEOUT_S
        return self._run(operation, name, str(int(wait_s)), timeout_s=timeout_s).strip()

    def _refuse_odd(self, path: str) -> None:
        if not path.startswith("/") or "\n" in path:
            raise RepairRefused(str(self.target), f"{path!r} is not an absolute path on one line")

    def _run(
        self,
        operation: str,
        *words: str,
        content: bytes | None = None,
        timeout_s: float = _TIMEOUT_S,
    ) -> str:
        """What the operation printed. Its words are quoted, its content is base64."""
        lines = [
            _operations(),
            f"state_dir={shlex.quote(self._state_dir)}",
            f"set -- {' '.join(map(shlex.quote, words))}",
        ]
        if content is None:
            lines.append(f'{operation} "$@" </dev/null')
        else:
            text = base64.encodebytes(content).decode()
            lines.append(f"{operation} \"$@\" <<'GAPCHECK_CONTENT'\n{text}GAPCHECK_CONTENT")
        ran = self._shell.run(
            "\n".join((*lines, "")).encode("utf-8", "surrogateescape"), timeout_s=timeout_s
        )
        if ran.rc == 0:
            return ran.out.decode("utf-8", "surrogateescape")
        said = ran.err.decode("utf-8", "replace").strip()[-500:] or f"it ended with {ran.rc}"
        if ran.rc == _REFUSED:
            raise RepairRefused(str(self.target), said)
        raise RepairFailed(str(self.target), said)


def _state(path: str, line: str) -> FileState:
    kind, digest, mode, uid, gid, link = line.split(" ")
    return FileState(
        path=path,
        kind=kind,
        sha256="" if digest == "-" else digest,
        mode=int(mode, 8),
        uid=int(uid),
        gid=int(gid),
        link="" if link == "-" else _text(link),
    )


def _line(state: FileState) -> str:
    """`state` as the machine prints it."""
    link = base64.b64encode(os.fsencode(state.link)).decode() or "-"
    return f"{state.kind} {state.sha256 or '-'} {state.mode:o} {state.uid} {state.gid} {link}"


def _text(encoded: str) -> str:
    return base64.b64decode(encoded).decode("utf-8", "surrogateescape")
