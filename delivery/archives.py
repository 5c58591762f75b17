"""Tar archives with the same bytes for the same files: sorted, one time, owner 0."""

from __future__ import annotations

import gzip
import io
import tarfile
from collections.abc import Callable
from pathlib import Path

_LEVEL = 9


def tar_of(folder: Path, names: list[str], epoch: int, *, prefix: str = "") -> bytes:
    """`names` below `folder` and all beneath them, as an uncompressed tar."""

    def plain(member: tarfile.TarInfo) -> tarfile.TarInfo:
        member.uid = member.gid = 0
        member.uname = member.gname = ""
        member.mtime = epoch
        return member

    return _written(lambda archive: _add(archive, folder, sorted(names), prefix, plain))


def repacked(archive: bytes, epoch: int) -> bytes:
    """A .tar.gz once more, with nothing in it of when and by whom it was made."""

    def copy(to: tarfile.TarFile) -> None:
        with tarfile.open(fileobj=io.BytesIO(archive)) as source:
            for member in sorted(source.getmembers(), key=lambda each: each.name):
                member.uid = member.gid = 0
                member.uname = member.gname = ""
                member.mtime = epoch
                member.pax_headers = {}
                to.addfile(member, source.extractfile(member) if member.isfile() else None)

    return compressed(_written(copy))


def compressed(content: bytes) -> bytes:
    """`content` by gzip, without a time; another zlib may give other bytes."""
    return gzip.compress(content, _LEVEL, mtime=0)


def _written(fill: Callable[[tarfile.TarFile], None]) -> bytes:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w", format=tarfile.PAX_FORMAT) as archive:
        fill(archive)
    return made.getvalue()


def _add(
    archive: tarfile.TarFile,
    folder: Path,
    names: list[str],
    prefix: str,
    plain: Callable[[tarfile.TarInfo], tarfile.TarInfo],
) -> None:
    for name in names:
        path = folder / name
        archive.add(path, prefix + name, recursive=False, filter=plain)
        if path.is_dir() and not path.is_symlink():
            beneath = [f"{name}/{each.name}" for each in path.iterdir()]
            _add(archive, folder, sorted(beneath), prefix, plain)
