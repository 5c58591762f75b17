"""One file that runs wherever a Python of the release is: a PEX with the wheels of all of them."""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path

from packaging import tags

from delivery.release import Release, run, say
from delivery.wheels import platforms


def build(release: Release, wheels: Path) -> Path:
    """The PEX, made of `wheels` alone; it unpacks itself at its first start."""
    say("single file")
    made = release.out / f"{release.stem}-linux-{release.machine}.pex"
    with tempfile.TemporaryDirectory(prefix="gapcheck-pex-") as name:
        targets = []
        for python in release.pythons:
            described = Path(name) / f"{python}.json"
            described.write_text(json.dumps(_platform(python, release.machine)))
            targets.append(f"--complete-platform={described}")
        words = [sys.executable, "-m", "pex", "--pre-resolved-dists", wheels, *targets]
        words += ["gapcheck", "-c", "gapcheck", "--no-compile"]
        # From its second start on it is a shell script that goes to the unpacked environment.
        words += ["--venv", "prepend", "--sh-boot", "-o", made]
        run(words, release.environment)
    return made


def _platform(python: str, machine: str) -> dict[str, object]:
    version = tuple(int(part) for part in python.split("."))
    interpreter, names = "cp" + python.replace(".", ""), platforms(machine)
    wanted = [
        *tags.cpython_tags(version, platforms=names),
        *tags.compatible_tags(version, interpreter, names),
    ]
    markers = {
        "implementation_name": "cpython",
        "implementation_version": f"{python}.0",
        "os_name": "posix",
        "platform_machine": machine,
        "platform_python_implementation": "CPython",
        "platform_release": "",
        "platform_system": "Linux",
        "platform_version": "",
        "python_full_version": f"{python}.0",
        "python_version": python,
        "sys_platform": "linux",
    }
    return {"marker_environment": markers, "compatible_tags": [str(tag) for tag in wanted]}
