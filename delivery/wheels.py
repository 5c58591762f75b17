"""Wheel, sdist, and the wheels of everything that they need."""

from __future__ import annotations

import shutil
import sys
import tempfile
from pathlib import Path

from delivery.archives import repacked, tar_of
from delivery.release import ROOT, Release, copy_source, run, say

# RHEL 8 and newer, Debian 10 and newer, Ubuntu 20.04 and newer.
GLIBC = 28
_OLDEST = 5
_FORMER = {17: "manylinux2014", 12: "manylinux2010", 5: "manylinux1"}


def platforms(machine: str) -> list[str]:
    """Wheel platforms that glibc 2.28 takes, newest first."""
    found = []
    for minor in range(GLIBC, _OLDEST - 1, -1):
        found.append(f"manylinux_2_{minor}_{machine}")
        found += [f"{_FORMER[minor]}_{machine}"] if minor in _FORMER else []
    return [*found, f"linux_{machine}"]


def build(release: Release) -> None:
    """Wheel and sdist in `release.out`; the sdist is packed anew so that its bytes are its own."""
    say("wheel and sdist")
    with tempfile.TemporaryDirectory(prefix="gapcheck-source-") as name:
        source = Path(name)
        copy_source(release, source)
        words = [sys.executable, "-m", "build", "--outdir", release.out, source]
        run(words, release.environment, source)
    sdist = release.out / f"{release.stem}.tar.gz"
    sdist.write_bytes(repacked(sdist.read_bytes(), release.epoch))


def wheel(release: Release) -> Path:
    """Where `build` left the wheel."""
    return release.out / f"{release.stem}-py3-none-any.whl"


def fetch(release: Release, folder: Path) -> None:
    """Fill `folder` with the wheels for every Python of `release`, gapcheck's own among them."""
    inputs = [(ROOT / "pyproject.toml").read_text(), release.machine, *release.pythons]
    kept = release.fetched("wheels", inputs)
    if kept is None or not kept.is_dir():
        _download(release, folder)
        if kept is not None:
            draft = Path(tempfile.mkdtemp(prefix=f"{kept.name}.", dir=kept.parent))
            shutil.copytree(folder, draft, dirs_exist_ok=True)
            shutil.rmtree(kept, ignore_errors=True)
            draft.rename(kept)
    else:
        say("wheels of what it needs: from the cache")
        shutil.copytree(kept, folder, dirs_exist_ok=True)
    shutil.copy2(wheel(release), folder)


def _download(release: Release, folder: Path) -> None:
    for python in release.pythons:
        say(f"wheels of what it needs, Python {python}")
        options = target(python, release.machine)
        # setuptools builds the sdist where there is no network.
        words = [sys.executable, "-m", "pip", "download", "-q", "--dest", folder, *options]
        run([*words, wheel(release), "setuptools>=77.0"], release.environment)


def target(python: str, machine: str) -> list[str]:
    """Options by which pip takes wheels for another Python than the one it runs in."""
    abi = "cp" + python.replace(".", "")
    options = ["--only-binary=:all:", "--implementation=cp", f"--python-version={python}"]
    options += [f"--abi={each}" for each in (abi, "abi3", "none")]
    return options + [f"--platform={each}" for each in platforms(machine)]


def pack(release: Release, folder: Path) -> Path:
    """`folder` as one archive for `pip install --no-index --find-links`."""
    say("wheelhouse")
    inner = f"{release.stem}-wheelhouse"
    archive = release.out / f"{inner}-linux-{release.machine}.tar"
    names = [each.name for each in folder.iterdir()]
    archive.write_bytes(tar_of(folder, names, release.epoch, prefix=f"{inner}/"))
    return archive
