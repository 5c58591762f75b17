"""`python -m delivery`: everything that is carried into an air gap, from this checkout."""

from __future__ import annotations

import argparse
import hashlib
import os
import re
import sys
import tempfile
from pathlib import Path

from delivery import image, single_file, wheels
from delivery.release import ROOT, Release, checkout, say

PYTHONS = ("3.11", "3.12", "3.13", "3.14")
PARTS = ("wheelhouse", "pex", "image")


def main() -> int:
    """Build the parts that are asked for; 1 where one cannot be built here."""
    asked = _arguments()
    release = _release(asked)
    refused = image.missing(release) if "image" in asked.part else None
    if refused:
        say(f"{refused}; --part wheelhouse --part pex leaves it out")
        return 1
    if release.out.exists() and any(release.out.iterdir()):
        say(f"{release.out} is not empty; name another folder with --out")
        return 1
    release.out.mkdir(parents=True, exist_ok=True)
    wheels.build(release)
    with tempfile.TemporaryDirectory(prefix="gapcheck-wheels-") as name:
        folder = Path(name)
        wheels.fetch(release, folder)
        makers = {"wheelhouse": wheels.pack, "pex": single_file.build, "image": image.build}
        for part in asked.part:
            makers[part](release, folder)
    _sums(release.out)
    return 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m delivery", description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("dist"), help="empty folder; dist")
    parser.add_argument(
        "--part", action="append", choices=PARTS, help="beside wheel and sdist; default: all"
    )
    parser.add_argument(
        "--python", action="append", metavar="3.N", help="CPython to carry wheels for; repeatable"
    )
    parser.add_argument("--machine", choices=tuple(image.ARCHITECTURES), default=os.uname().machine)
    parser.add_argument(
        "--cache", type=Path, help="keep and reuse what was fetched; a release fetches anew"
    )
    asked = parser.parse_args()
    asked.part = asked.part or list(PARTS)
    return asked


def _release(asked: argparse.Namespace) -> Release:
    revision, epoch = checkout()
    stated = (ROOT / "src/gapcheck/__init__.py").read_text()
    found = re.search(r'__version__ = "([^"]+)"', stated)
    if found is None:
        message = "src/gapcheck/__init__.py states no version"
        raise RuntimeError(message)
    pythons = set(asked.python or PYTHONS) | ({image.PYTHON} if "image" in asked.part else set())
    return Release(
        out=asked.out.absolute(),
        version=found[1],
        revision=revision,
        epoch=epoch,
        pythons=tuple(sorted(pythons, key=lambda python: int(python.partition(".")[2]))),
        machine=asked.machine,
        cache=asked.cache.absolute() if asked.cache else None,
    )


def _sums(folder: Path) -> None:
    """SHA256SUMS, as `sha256sum -c` reads it; sizes are said."""
    lines = []
    for path in sorted(folder.iterdir()):
        lines.append(f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}\n")
        say(f"{path.name}: {path.stat().st_size / 1e6:.1f} MB")
    (folder / "SHA256SUMS").write_text("".join(lines))


if __name__ == "__main__":
    sys.exit(main())
