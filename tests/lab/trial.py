"""One row of the matrix, played through: inject, ask the consumer, judge, repair, undo."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from lab.faults import Fault
    from lab.world import World

LOOK = """cd /
find certs etc/containerd etc/docker etc/hosts etc/nsswitch.conf etc/ssl/certs etc/pki \\
    etc/systemd/system usr/local/share/ca-certificates \\
    \\( -type f -o -type l \\) 2>/dev/null | sort |
while read -r path; do
    if [ -L "$path" ]; then echo "$path -> $(readlink "$path")"
    else echo "$path $(stat -c '%a %u %g' "$path") $(sha256sum < "$path")"; fi
done
"""


class Lab(Protocol):
    """A running lab, as far as gapcheck needs one."""

    @property
    def folder(self) -> Path: ...
    @property
    def site_file(self) -> Path: ...


@dataclass(frozen=True)
class Told:
    """What gapcheck said, and its exit code."""

    code: int
    report: Any
    text: str

    @property
    def roots(self) -> set[tuple[str, str]]:
        return {(each["check"], each["subject"]) for each in self.report["summary"]["root_causes"]}

    @property
    def changes(self) -> int:
        return sum(len(each["changes"]) for each in self.report["rounds"])


def gapcheck(world: Lab, *words: str) -> Told:
    """Run the real command line on the lab's site."""
    report = world.folder / "report.json"
    report.unlink(missing_ok=True)
    done = subprocess.run(
        [sys.executable, "-m", "gapcheck", *words, "--site", str(world.site_file),
         "--report", f"json:{report}"],
        capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL,
        env={**os.environ, "GAPCHECK_STATE": str(world.folder / "state")}, timeout=300,
    )  # fmt: skip
    found = json.loads(report.read_text()) if report.exists() else None
    return Told(done.returncode, found, done.stdout + done.stderr)


def failing(told: Told) -> list[Any]:
    """The verdicts that fail, explained by others or not."""
    return [each for each in told.report["verdicts"] if each["status"] == "fail"]


def undo_last(world: Lab) -> str:
    """Undo the newest run; what was said."""
    environment = {**os.environ, "GAPCHECK_STATE": str(world.folder / "state")}
    command = [sys.executable, "-m", "gapcheck"]
    listed = subprocess.run(
        [*command, "runs"], capture_output=True, text=True, check=True, env=environment
    ).stdout
    newest = listed.splitlines()[-1].split()[0]
    done = subprocess.run(
        [*command, "undo", newest, "--site", str(world.site_file)],
        capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL, env=environment,
        timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stderr


def pulls(world: World) -> dict[str, str]:
    """What each node's own runtime says to a pull; '' where it works."""
    return {name: world.pull(node) for name, node in world.nodes.items()}


def snapshot(world: World) -> dict[str, str]:
    """Every file that a repair may touch, by machine, and the site's own."""
    found = {machine.name: machine.run(LOOK).stdout for machine in world.machines}
    site: Path = world.site_file.parent
    for path in sorted(site.rglob("*")):
        if path.is_file():
            found[str(path)] = f"{path.stat().st_mode:o} {path.read_bytes()!r}"
    return found


def inject(world: World, fault: Fault) -> None:
    """Put the fault in."""
    if callable(fault.inject):
        fault.inject(world)
    else:
        world.machine(fault.on).run(f"set -e\n{fault.inject}")
