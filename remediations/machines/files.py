"""Files of this machine below one folder: the part that image roots and site files share."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import re
import secrets
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec

from gapcheck.errors import RepairFailed, RepairRefused
from gapcheck.model import SubjectId
from gapcheck.remediations.journal import FileState, sync_folder
from gapcheck.remediations.lock import FolderLocks
from gapcheck.remediations.machines.base import Holder, Looked, WithoutObjects
from gapcheck.state import State, private_folder


class FileMachine(WithoutObjects):
    """A folder of this machine. Subclasses say where a path of the machine lies."""

    running = False
    read_only = ""

    def __init__(self, target: SubjectId, folder: Path, state: State, locks: FolderLocks) -> None:
        self.target = target
        self.folder = folder
        self._state = state
        self._locks = locks
        self._locked = False

    def place(self, path: str) -> Path:
        """Where `path` lies here with every link followed; OSError where links never end."""
        raise NotImplementedError

    def entry(self, path: str) -> Path:
        """Where `path` lies here, a link at its end not followed."""
        raise NotImplementedError

    def name(self, place: Path) -> str:
        """The path that the machine itself has for `place`."""
        raise NotImplementedError

    def lock(self, holder: Holder) -> str:
        """Hold the folder; see `Machine.lock`."""
        word = self._locks.hold(self.folder, holder)
        self._locked = True
        return word

    def unlock(self) -> None:
        """Give the folder free."""
        if self._locked:
            self._locked = False
            self._locks.free(self.folder)

    def look(self, path: str, *, follow: bool = True, read: bool = True) -> Looked:
        """What stands at `path`; see `Machine.look`."""
        with self._refusing(path):
            place = self.place(path) if follow else self.entry(path)
            if follow and not place.exists() and self.entry(path).is_symlink():
                raise RepairRefused(str(self.target), f"{path} is a link that leads nowhere")
            missing = [self.name(each) for each in place.parents if not each.exists()]
            state = self._state_of(place)
            if state.kind in ("dir", "other"):
                raise RepairRefused(str(self.target), f"{path} is not a plain file")
            content = place.read_bytes() if read and place.exists() else None
        return Looked(state=state, content=content, missing_dirs=tuple(reversed(missing)))

    def states(self, paths: Sequence[str]) -> tuple[FileState, ...]:
        """What stands at each path."""
        with self._refusing(self.folder):
            return tuple(
                msgspec.structs.replace(self._state_of(self.entry(path)), path=path)
                for path in paths
            )

    def tree(self, folders: Sequence[str]) -> tuple[FileState, ...]:
        """Every file and link below `folders`."""
        found: dict[str, FileState] = {}
        with self._refusing(self.folder):
            for folder in folders:
                for parent, _, names in os.walk(self.place(folder)):
                    links = [e.name for e in Path(parent).iterdir() if e.is_symlink()]
                    for name in {*names, *links}:
                        state = self._state_of(Path(parent, name))
                        found[state.path] = state
        return tuple(found[path] for path in sorted(found))

    def save(self, run: str, states: Sequence[FileState]) -> None:
        """Keep contents in the run's folder here."""
        backup = self._backup(run)
        for each in states:
            kept = backup / each.sha256
            if each.kind != "file" or kept.exists():
                continue
            with self._refusing(each.path):
                content = self.entry(each.path).read_bytes()
                if hashlib.sha256(content).hexdigest() != each.sha256:
                    raise RepairRefused(str(self.target), f"{each.path} is being changed")
                _write_new(kept, content, 0o600)

    def restore(
        self, run: str, wanted: FileState, *, expect: FileState | None, in_place: bool
    ) -> FileState:
        """Put back what the backup has; see `Machine.restore`."""
        content = None
        if wanted.kind == "file":
            kept = self._backup(run) / wanted.sha256
            with self._refusing(kept):
                content = kept.read_bytes()
            if hashlib.sha256(content).hexdigest() != wanted.sha256:
                raise RepairRefused(str(self.target), f"the backup {kept} is damaged")
        return self.put(wanted, content, expect=expect, in_place=in_place)

    def kept(self, run: str, sha256: str) -> bytes | None:
        """A content in the run's backup."""
        place = self._backup(run) / sha256
        with self._refusing(place):
            return place.read_bytes() if place.is_file() else None

    def sweep(self, paths: Sequence[str]) -> None:
        """Remove temporary files of a run that was cut off."""
        for path in paths:
            place = self.entry(path)
            with self._refusing(path):
                for left in _temporaries(place):
                    left.unlink(missing_ok=True)

    def _backup(self, run: str) -> Path:
        return private_folder(self._state.new_run(run) / "backup")

    def put(
        self, wanted: FileState, content: bytes | None, *, expect: FileState | None, in_place: bool
    ) -> FileState:
        """Make `wanted` stand at its path; see `Machine.put`."""
        place = self.entry(wanted.path)
        with self._refusing(wanted.path):
            now = msgspec.structs.replace(self._state_of(place), path=wanted.path)
            if expect is not None and not now.like(expect):
                raise RepairRefused(str(self.target), f"{wanted.path} was changed by someone else")
        self.sweep((wanted.path,))
        try:
            self._make(place, now, wanted, content, in_place=in_place)
        except OSError as failed:
            raise RepairFailed(
                str(self.target), f"{wanted.path} cannot be written: {failed.strerror}"
            ) from failed
        return msgspec.structs.replace(self._state_of(place), path=wanted.path)

    def _make(
        self,
        place: Path,
        now: FileState,
        wanted: FileState,
        content: bytes | None,
        *,
        in_place: bool,
    ) -> None:
        for folder in [each for each in reversed(place.parents) if not each.exists()]:
            if wanted.kind != "absent":
                folder.mkdir()
                folder.chmod(0o755)
                sync_folder(folder.parent)
        if wanted.kind == "absent":
            place.unlink(missing_ok=True)
        elif wanted.kind == "link":
            temporary = _temporary(place)
            temporary.symlink_to(wanted.link)
            temporary.replace(place)
        elif content is None:
            _set_owner(place, wanted)
            place.chmod(wanted.mode)
        elif in_place and now.kind == "file":
            _overwrite(place, content)
            place.chmod(wanted.mode)
        else:
            _replace(place, content, wanted, now)
        if place.parent.is_dir():
            sync_folder(place.parent)

    def remove_folder(self, path: str) -> bool:
        """Remove an empty folder."""
        place = self.entry(path)
        try:
            place.rmdir()
        except FileNotFoundError:
            return True
        except OSError:
            return False
        return True

    def _state_of(self, place: Path) -> FileState:
        path = self.name(place)
        try:
            found = place.lstat()
        except (FileNotFoundError, NotADirectoryError):
            return FileState(path=path)
        if stat.S_ISLNK(found.st_mode):
            link = str(place.readlink())
            return FileState(path=path, kind="link", link=link, uid=found.st_uid, gid=found.st_gid)
        kind = "dir" if stat.S_ISDIR(found.st_mode) else "other"
        if stat.S_ISREG(found.st_mode):
            kind = "file"
        return FileState(
            path=path,
            kind=kind,
            sha256=hashlib.sha256(place.read_bytes()).hexdigest() if kind == "file" else "",
            mode=stat.S_IMODE(found.st_mode),
            uid=found.st_uid,
            gid=found.st_gid,
        )

    @contextlib.contextmanager
    def _refusing(self, what: object) -> Iterator[None]:
        """Turn a failure to look or to save into a refusal."""
        try:
            yield
        except OSError as failed:
            why = failed.strerror or str(failed)
            raise RepairRefused(str(self.target), f"{failed.filename or what}: {why}") from failed


def _temporary(place: Path) -> Path:
    return place.with_name(f".{place.name}.gapcheck-{secrets.token_hex(4)}")


def _temporaries(place: Path) -> list[Path]:
    """What `_temporary` may have named for `place`."""
    name = re.compile(rf"\.{re.escape(place.name)}\.gapcheck-[0-9a-f]{{8}}")
    if not place.parent.is_dir():
        return []
    return [each for each in place.parent.iterdir() if name.fullmatch(each.name)]


def _write_new(place: Path, content: bytes, mode: int) -> None:
    """Write a file under another name, wait for the disk, rename it to `place`."""
    temporary = _temporary(place)
    try:
        fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
        with os.fdopen(fd, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(fd)
        temporary.replace(place)
    finally:
        temporary.unlink(missing_ok=True)
    sync_folder(place.parent)


def _replace(place: Path, content: bytes, wanted: FileState, now: FileState) -> None:
    temporary = _temporary(place)
    try:
        fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(fd, "wb") as file:
            file.write(content)
            _set_owner(temporary, wanted)
            os.fchmod(fd, wanted.mode)
            if now.kind == "file":
                _copy_labels(place, temporary)
            file.flush()
            os.fsync(fd)
        temporary.replace(place)
    except OSError as failed:
        # A bind mount cannot be replaced, another user's file cannot be given away.
        if now.kind != "file" or failed.errno not in (errno.EBUSY, errno.EPERM, errno.EXDEV):
            raise
        _overwrite(place, content)
        place.chmod(wanted.mode)
    finally:
        temporary.unlink(missing_ok=True)


def _overwrite(place: Path, content: bytes) -> None:
    # Room is taken first: a full disk must show before the old bytes are gone.
    fd = os.open(place, os.O_RDWR | os.O_CLOEXEC)
    with os.fdopen(fd, "r+b") as file:
        size = os.fstat(fd).st_size
        if len(content) > size and hasattr(os, "posix_fallocate"):  # not on macOS
            os.posix_fallocate(fd, 0, len(content))
        file.write(content)
        file.truncate(len(content))
        file.flush()
        os.fsync(fd)


def _set_owner(place: Path, wanted: FileState) -> None:
    found = place.lstat()
    owner = (
        found.st_uid if wanted.uid < 0 else wanted.uid,
        found.st_gid if wanted.gid < 0 else wanted.gid,
    )
    if owner != (found.st_uid, found.st_gid):
        os.chown(place, *owner, follow_symlinks=False)


def _copy_labels(place: Path, temporary: Path) -> None:
    """Take extended attributes (SELinux label, ACL) along, as far as that is allowed."""
    with contextlib.suppress(OSError, AttributeError):  # no such call, or none allowed here
        for name in os.listxattr(place):
            os.setxattr(temporary, name, os.getxattr(place, name))
