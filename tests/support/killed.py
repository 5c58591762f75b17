"""A process that is killed (SIGKILL) at a chosen point of our own code, found by watching it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

Watch = Callable[[FrameType, str, Any], bool]


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """A folder in memory, where there is one: every step waits for its disk."""
    memory = Path("/dev/shm")  # noqa: S108 - a folder of its own is made in it
    where = memory if os.access(memory, os.W_OK) else tmp_path
    with tempfile.TemporaryDirectory(dir=where, prefix="gapcheck-killed-") as made:
        yield Path(made)


def at_system_call(frame: FrameType, event: str, arg: Any) -> bool:
    """Before each call that opens, writes, links, renames, syncs or removes a file."""
    del frame
    if event != "c_call":
        return False
    name = getattr(arg, "__name__", "")
    if getattr(arg, "__module__", "") == "posix":
        return name not in ("fspath", "getpid", "lstat", "stat", "getcwd", "readlink")
    return name in ("flush", "truncate", "flock")


def killed_at(at: int, watch: Watch | None, work: Callable[[], object]) -> tuple[bool, int]:
    """Whether `work`, in a process of its own, was killed at point `at` (0 = never).

    The second is the number of points that it came to; without a `watch` it is let be.
    """
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(read)
        _as_child(at, watch, work, write)
    os.close(write)
    with os.fdopen(read, "rb") as pipe:
        seen = len(pipe.read())
    status = os.waitpid(child, 0)[1]
    if os.WIFSIGNALED(status):
        assert os.WTERMSIG(status) == signal.SIGKILL
        return True, seen
    assert os.WEXITSTATUS(status) == 0, "the child failed"
    return False, seen


def _as_child(at: int, watch: Watch | None, work: Callable[[], object], write: int) -> None:
    seen = 0

    def profile(frame: FrameType, event: str, arg: object) -> None:
        nonlocal seen
        if watch is not None and watch(frame, event, arg):
            seen += 1
            sys.setprofile(None)
            os.write(write, b".")
            if seen == at:
                os.kill(os.getpid(), signal.SIGKILL)
            sys.setprofile(profile)

    code = 1
    try:
        sys.setprofile(profile if watch is not None else None)
        work()
        code = 0
    finally:
        sys.setprofile(None)
        os._exit(code)


_DRIVER = """
import os, signal, sys
seen = 0
def watch(frame, event, arg):
    global seen
    if event == "call" and frame.f_code.co_name == "no_hook":
        seen += 1
        os.write(1, b".")
        if seen == int(sys.argv[1]):
            os.kill(os.getpid(), signal.SIGKILL)
sys.setprofile(watch)
from gapcheck.cli import run
sys.stdout = sys.stderr
run(sys.argv[2:])
"""


def killed_command(folder: Path, at: int, *words: object, state: Path) -> tuple[bool, int]:
    """Whether a gapcheck process was killed at boundary `at` (0 = never), and how many it met."""
    done = subprocess.run(
        [sys.executable, "-c", _DRIVER, str(at), *map(str, words)],
        cwd=folder, capture_output=True, check=False, stdin=subprocess.DEVNULL,
        env={**os.environ, "GAPCHECK_STATE": str(state)}, timeout=120,
    )  # fmt: skip
    assert done.returncode in (0, -signal.SIGKILL), done.stderr.decode()
    return done.returncode != 0, len(done.stdout)
