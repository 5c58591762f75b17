"""One release: its version, its time, its source, and for whom it is built."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]


@dataclass(frozen=True, kw_only=True)
class Release:
    """What is built. `epoch` (seconds) is the time that every file in it carries."""

    out: Path
    version: str
    revision: str
    epoch: int
    pythons: tuple[str, ...]
    machine: str
    cache: Path | None

    @property
    def stem(self) -> str:
        """How its files' names begin."""
        return f"gapcheck-{self.version}"

    @property
    def environment(self) -> dict[str, str]:
        """For the build tools: the time, and nothing of Python's own settings."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
        return {**kept, "SOURCE_DATE_EPOCH": str(self.epoch), "PYTHONHASHSEED": "0"}

    def fetched(self, name: str, inputs: Iterable[str]) -> Path | None:
        """Where a part made of `inputs` is kept between builds; None without a cache."""
        if self.cache is None:
            return None
        self.cache.mkdir(parents=True, exist_ok=True)
        digest = hashlib.sha256("\0".join(inputs).encode()).hexdigest()[:16]
        return self.cache / f"{name}-{digest}"


def run(words: Sequence[object], environment: Mapping[str, str], folder: Path = ROOT) -> str:
    """Output of a program that has to succeed; RuntimeError with its last words else."""
    argv = [str(word) for word in words]
    done = subprocess.run(
        argv, cwd=folder, env=dict(environment), capture_output=True, text=True, check=False
    )
    if done.returncode:
        message = f"{' '.join(argv[:6])} ended with {done.returncode}: {done.stderr[-2000:]}"
        raise RuntimeError(message)
    return done.stdout


def say(text: str) -> None:
    """Progress, on standard error."""
    sys.stderr.write(f"delivery: {text}\n")


def checkout() -> tuple[str, int]:
    """Commit and its time; what is not committed is built all the same, and marked."""
    shown = run(["git", "log", "-1", "--format=%H %ct"], os.environ).split()
    dirty = run(["git", "status", "--porcelain"], os.environ).strip()
    return shown[0] + ("-dirty" if dirty else ""), int(shown[1])


def copy_source(release: Release, folder: Path) -> None:
    """The checkout without what git ignores: a build leaves nothing in it and finds nothing."""
    listed = run(["git", "ls-files", "-z", "-co", "--exclude-standard"], os.environ)
    for name in filter(None, listed.split("\0")):
        source, copy = ROOT / name, folder / name
        if not source.is_symlink() and not source.exists():
            continue  # removed, and not yet so in the index
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(source, copy, follow_symlinks=False)
        os.utime(copy, (release.epoch, release.epoch), follow_symlinks=False)
