"""The journal of a run: one JSON line a step, on disk before the next step begins.

It holds paths, modes and SHA-256 of contents, never a content.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import msgspec

from gapcheck.errors import RepairFailed
from gapcheck.model import SubjectId

CONTROLLER = "this machine"


class FileState(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What stands at a path: kind is absent, file, link, dir or other.

    `uid` and `gid` -1 in a wanted state mean: whoever makes it.
    """

    path: str
    kind: str = "absent"
    sha256: str = ""
    mode: int = 0
    uid: int = -1
    gid: int = -1
    link: str = ""

    def like(self, other: FileState) -> bool:
        """Whether content, kind, mode and link are the same; owners only where both say one."""
        mine = (self.path, self.kind, self.sha256, self.link, self.mode)
        theirs = (other.path, other.kind, other.sha256, other.link, other.mode)
        owners = ((self.uid, other.uid), (self.gid, other.gid))
        return mine == theirs and all(-1 in pair or pair[0] == pair[1] for pair in owners)


class Entry(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One step. `step` is begin, planned, backed_up, applied, failed, rolled_back, undone or end.

    `before` is what stood there (its contents are in the backup), `intended` what the change
    writes, `after` what stood there when it was done; `dirs` are folders that it makes.
    `loose`: while the change is under way, anything may stand there. `final`: what it removes
    is not kept. `only` are the places that an undo is limited to. `effect` is what a change
    does beside files, and how that is undone. `undone`: an undo has put back all of `target`.
    """

    step: str
    at: str = ""
    run: str = ""
    site: str = ""
    undoes: str = ""
    only: tuple[SubjectId, ...] = ()
    round: int = 0
    op: str = ""
    kind: str = ""
    target: SubjectId = SubjectId("")
    before: tuple[FileState, ...] = ()
    intended: tuple[FileState, ...] = ()
    after: tuple[FileState, ...] = ()
    dirs: tuple[str, ...] = ()
    loose: bool = False
    in_place: bool = False
    final: bool = False
    effect: dict[str, str] = {}
    detail: str = ""


class Journal:
    """The journal in a run's folder, opened to be written; `clock` gives the time.

    `site` is the site file of the run, '' where there is none. Several threads may write to it.
    """

    def __init__(self, folder: Path, clock: Callable[[], datetime], *, site: str = "") -> None:
        self.folder = folder
        self.site = site
        self.path = folder / "journal.jsonl"
        self._clock = clock
        self._one = threading.Lock()
        try:
            self._fd = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            self._size = _whole_lines(self._fd)
            os.ftruncate(self._fd, self._size)
            sync_folder(folder)
        except OSError as failed:
            raise RepairFailed(CONTROLLER, _unwritable(self.path, failed)) from failed

    @property
    def run(self) -> str:
        """The run's id."""
        return self.folder.name

    def append(self, entry: Entry) -> None:
        """Write `entry` and wait until it is on disk.

        Raises RepairFailed where it cannot be written; the journal then is as it was. Raises
        ValueError once it was closed: a thread that an interrupt left behind ends there.
        """
        with self._one:
            self._append(entry)

    def _append(self, entry: Entry) -> None:
        if self._fd < 0:
            message = f"{self.path} is closed"
            raise ValueError(message)
        # Finer than seconds: two runs of one second are told apart by it.
        at = self._clock().isoformat(timespec="microseconds")
        stamped = msgspec.structs.replace(entry, at=at)
        line = msgspec.json.encode(stamped) + b"\n"
        try:
            _write_all(self._fd, line, self._size)
            os.fsync(self._fd)
        except OSError as failed:
            os.ftruncate(self._fd, self._size)
            raise RepairFailed(CONTROLLER, _unwritable(self.path, failed)) from failed
        self._size += len(line)

    def close(self) -> None:
        """Let go of the file."""
        with self._one:
            fd, self._fd = self._fd, -1
        os.close(fd)


def read_journal(folder: Path) -> tuple[Entry, ...]:
    """The steps of a run, oldest first; a last line that was cut off is left out.

    Raises RepairFailed where another line is not one of ours, or the file cannot be read.
    """
    path = folder / "journal.jsonl"
    try:
        content = path.read_bytes()
    except OSError as failed:
        raise RepairFailed(CONTROLLER, f"{path}: {failed.strerror}") from failed
    lines = content.split(b"\n")[:-1]
    try:
        return tuple(msgspec.json.decode(line, type=Entry) for line in lines)
    except (msgspec.DecodeError, UnicodeDecodeError) as bad:
        raise RepairFailed(CONTROLLER, f"{path} is damaged: {bad}") from bad


def is_torn(folder: Path) -> bool:
    """Whether the last line of the journal was cut off: its step was not begun."""
    try:
        content = (folder / "journal.jsonl").read_bytes()
    except OSError:
        return False
    return bool(content) and not content.endswith(b"\n")


def sync_folder(folder: Path) -> None:
    """Wait until names made in `folder` are on disk."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _whole_lines(fd: int) -> int:
    """Bytes up to the last line feed."""
    content = os.pread(fd, os.fstat(fd).st_size, 0)
    return content.rfind(b"\n") + 1


def _write_all(fd: int, data: bytes, offset: int) -> None:
    while data:
        done = os.pwrite(fd, data, offset)
        data, offset = data[done:], offset + done


def _unwritable(path: Path, failed: OSError) -> str:
    return f"the journal {path} cannot be written: {failed.strerror}"
