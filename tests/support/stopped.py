"""A real `gapcheck fix` that stands still in the middle of its repair."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from support.small_site import SmallSite


@contextmanager
def stopped_at_boundary(site: SmallSite, at: int) -> Iterator[subprocess.Popen[Any]]:
    """The process, stopped before its `at`th step; it is killed with the context."""
    code = f"""
import os, signal, sys
seen = 0
def watch(frame, event, arg):
    global seen
    if event == "call" and frame.f_code.co_name == "no_hook":
        seen += 1
        if seen == {at}:
            print("here", flush=True)
            os.kill(os.getpid(), signal.SIGSTOP)
sys.setprofile(watch)
from gapcheck.cli import main
main(["fix", "--site", "site.yaml"])
"""
    process = subprocess.Popen(
        [sys.executable, "-c", code],
        cwd=site.folder, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
        env={**os.environ, "GAPCHECK_STATE": str(site.state)},
    )  # fmt: skip
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "here\n"
        yield process
    finally:
        process.kill()
        process.wait()
