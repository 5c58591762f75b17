"""Mounts that a test makes and takes away: a small file system, a folder that takes no writes."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from support import needs


@contextmanager
def small_disk(folder: Path, *, kib: int) -> Iterator[Path]:
    """An empty file system of `kib` KiB at `folder`, which is made."""
    folder.mkdir(parents=True, exist_ok=True)
    with _mounted(folder, "-t", "tmpfs", "-o", f"size={kib}k,mode=755", "tmpfs", str(folder)):
        yield folder


@contextmanager
def read_only(folder: Path) -> Iterator[Path]:
    """`folder` as it is, but nothing can be written there, not even by root."""
    with _mounted(folder, "--bind", str(folder), str(folder)):
        subprocess.run(["mount", "-o", "remount,ro,bind", str(folder)], check=True)
        yield folder


@contextmanager
def _mounted(folder: Path, *words: str) -> Iterator[None]:
    mount = needs.program("mount")
    if os.geteuid() != 0:
        needs.absent("root, to mount a file system")
    done = subprocess.run([mount, *words], capture_output=True, text=True, check=False)
    if done.returncode:
        needs.absent(f"the right to mount a file system ({done.stderr.strip()})")
    try:
        yield
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def fill(folder: Path, *, leave: int) -> Path:
    """Fill the file system at `folder` up to `leave` bytes; the file that holds them."""
    ballast = folder / "ballast"
    free = os.statvfs(folder)
    left = free.f_bavail * free.f_bsize - leave
    with ballast.open("wb") as file:
        while left > 0:
            left -= file.write(b"\0" * min(left, 1 << 16))
    return ballast
