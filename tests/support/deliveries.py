"""Runs `python -m delivery` as a contributor does, with what it fetches kept for the next run."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from lab.programs import cache
from support import needs

ROOT = Path(__file__).parents[2]


def build(out: Path, *options: str) -> None:
    """Fill `out`; skips the test where a delivery cannot be built, fails it under CI=1."""
    if sys.platform != "linux" or os.getuid() != 0:
        needs.absent("a delivery's image needs Linux and root")
    needs.program("mmdebstrap")
    words = [sys.executable, "-m", "delivery", "--out", out, "--cache", cache() / "delivery"]
    done = subprocess.run([*words, *options], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
