"""Builds wheel and sdist, installs each in a bare environment and runs the demo from there."""

from __future__ import annotations

import json
import subprocess
import sys
import tarfile
import tempfile
import venv
from pathlib import Path

ROOT = Path(__file__).parents[2]


def run(*words: object, folder: Path) -> str:
    done = subprocess.run(
        list(map(str, words)), cwd=folder, check=True, capture_output=True, text=True
    )
    return done.stdout


def smoke(package: Path, folder: Path) -> None:
    """Install `package` alone and use it where no clone is near."""
    folder.mkdir()
    venv.create(folder / "env", with_pip=True)
    programs = folder / "env/bin"
    run(programs / "pip", "install", "-q", package, folder=folder)
    assert run(programs / "gapcheck", "--version", folder=folder).startswith("gapcheck")
    checks = json.loads(run(programs / "gapcheck", "list", "--format", "json", folder=folder))
    assert len(checks) > 40, f"{package.name}: only {len(checks)} checks"
    run(programs / "gapcheck", "demo", "--out", folder / "demo", folder=folder)
    bundle = folder / "demo/green.tar.gz"
    words = [programs / "pytest", "--pyargs", "gapcheck.checks", "--bundle", bundle, "-q"]
    run(*words, folder=folder)
    print(f"{package.name}: {len(checks)} checks, demo and pytest green")


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="gapcheck-package-") as name:
        folder = Path(name)
        run(sys.executable, "-m", "build", "--outdir", folder, folder=ROOT)
        wheel, sdist = next(folder.glob("*.whl")), next(folder.glob("*.tar.gz"))
        with tarfile.open(sdist) as archive:
            links = [each.name for each in archive.getmembers() if each.issym()]
        assert not links, f"the sdist holds links: {links}"
        for number, package in enumerate((wheel, sdist)):
            smoke(package, folder / str(number))


if __name__ == "__main__":
    main()
