"""One run at a time on a folder: flock, which ends with the process that holds it."""

from __future__ import annotations

import fcntl
import hashlib
import os
import threading
from pathlib import Path

from gapcheck.errors import LockHeld, RepairRefused
from gapcheck.remediations.machines.base import Holder
from gapcheck.state import State, private_folder


class FolderLocks:
    """The folders that this run holds. A node and the registry may share one: it is held once.

    Beside each lock, the state folder has a note that says who holds it.
    """

    def __init__(self, state: State) -> None:
        self._state = state
        self._held: dict[Path, tuple[int, int]] = {}
        self._one = threading.Lock()

    def hold(self, folder: Path, holder: Holder) -> str:
        """Hold `folder`; a word about a dead run's lock that was taken over, ''.

        Raises RepairRefused, naming the holder, where another run has it.
        """
        with self._one:
            return self._hold(folder, holder)

    def _hold(self, folder: Path, holder: Holder) -> str:
        if folder in self._held:
            fd, count = self._held[folder]
            self._held[folder] = (fd, count + 1)
            return ""
        note = self.note(folder)
        try:
            fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError as failed:
            raise RepairRefused(str(folder), failed.strerror or str(failed)) from failed
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            dead = note.read_text() if note.is_file() else ""
            private_folder(self._state.root)
            private_folder(note.parent)
            note.write_text(str(holder))
        except BlockingIOError as held:
            os.close(fd)
            who = note.read_text() if note.is_file() else "another process"
            raise LockHeld(str(folder), f"{who} is repairing it") from held
        except OSError as failed:
            os.close(fd)
            raise RepairRefused(str(folder), f"it cannot be locked: {failed.strerror}") from failed
        self._held[folder] = (fd, 1)
        return f"lock taken over from {dead}, which has ended" if dead else ""

    def free(self, folder: Path) -> None:
        """Give `folder` free where nobody of this run needs it any more."""
        with self._one:
            self._free(folder)

    def _free(self, folder: Path) -> None:
        fd, count = self._held.pop(folder, (-1, 0))
        if count > 1:
            self._held[folder] = (fd, count - 1)
        elif count == 1:
            self.note(folder).unlink(missing_ok=True)
            os.close(fd)

    def note(self, folder: Path) -> Path:
        """Where the state folder says who holds `folder`."""
        key = hashlib.sha256(os.fsencode(folder)).hexdigest()[:16]
        return self._state.root / "locks" / key
