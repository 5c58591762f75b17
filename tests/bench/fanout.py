"""What asking ten machines costs: testinfra's modules, one raw script a machine, and the probe.

Ten sshd processes on loopback with keys of their own; all three ways in one run, as ratios.
"""

from __future__ import annotations

import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from support import sshd
from support.healthy import site

from gapcheck.fixtures.facts import NodeFacts, Present
from gapcheck.fixtures.probes.node import probe_node
from gapcheck.fixtures.probes.probed import Probed
from gapcheck.fixtures.targets import open_target
from gapcheck.model import SubjectId

HOSTS, PARALLEL, RUNS = 10, 8, 3
MODULES_LIMIT_S = 150.0  # testinfra's modules have no deadline of their own
PATH = "/usr/sbin:/sbin:/usr/local/sbin"
FILES = (
    "/etc/hosts",
    "/etc/resolv.conf",
    "/etc/os-release",
    "/etc/nsswitch.conf",
    "/etc/ssl/certs",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """One question, as testinfra's modules and as a shell ask it; both answer in the same words."""

    path: str
    module: Callable[[Any], object]
    shell: str


def looks() -> list[Look]:
    """Twenty: does it exist, what mode, whose, how large."""
    asked: tuple[tuple[Callable[[Any], object], str], ...] = (
        (lambda file: int(file.exists), "test -e {} && echo 1 || echo 0"),
        (lambda file: f"{file.mode:o}", "stat -Lc %a {}"),
        (lambda file: file.user, "stat -Lc %U {}"),
        (lambda file: file.size, "stat -Lc %s {}"),
    )
    return [
        Look(path=path, module=module, shell=shell.format(path))
        for path in FILES
        for module, shell in asked
    ]


def by_modules(servers: Sequence[sshd.Sshd]) -> tuple[float, dict[str, list[str]]]:
    """Seconds of a whole pass, reckoned from the machines that were done within the limit."""
    import testinfra

    found: dict[str, list[str]] = {}
    began = time.perf_counter()
    for server in servers:
        host = testinfra.get_host(server.hostspec)
        found[server.hostspec] = [str(each.module(host.file(each.path))) for each in looks()]
        if time.perf_counter() - began > MODULES_LIMIT_S:
            break
    return (time.perf_counter() - began) * len(servers) / len(found), found


def by_script(server: sshd.Sshd) -> list[str]:
    script = "\n".join(each.shell for each in looks()).encode()
    argv = ["ssh", "-T", "-F", str(server.config), "-o", "BatchMode=yes", "-p", str(server.port)]
    command = [*argv, "127.0.0.1", "sh", "-s"]
    ran = subprocess.run(command, input=script, capture_output=True, check=True, timeout=30)
    return ran.stdout.decode().splitlines()


def by_probe(server: sshd.Sshd) -> Probed[NodeFacts]:
    target = open_target(server.hostspec, base=server.folder)
    try:
        subject = SubjectId(f"node/{server.port}")
        return probe_node(target, subject=subject, site=site(), names=("localhost",), timeout_s=30)
    finally:
        target.close()


def pass_over(
    servers: Sequence[sshd.Sshd], ask: Callable[[sshd.Sshd], Any], at_once: int = PARALLEL
) -> tuple[float, Any]:
    began = time.perf_counter()
    with ThreadPoolExecutor(at_once) as pool:
        answers = list(pool.map(ask, servers))
    return time.perf_counter() - began, answers


def size_of(probed: Probed[NodeFacts]) -> str:
    """How much one probe brings home; what it could not read is no fact."""
    facts = probed.facts
    files = sum(isinstance(each, Present) for each in facts.files.values())
    folders = sum(isinstance(each, Present) for each in facts.dirs.values())
    absent = len(facts.files) + len(facts.dirs) - files - folders
    held = len(probed.blobs)
    return f"{files} files, {folders} folders, {absent} known to be absent, {held} contents"


def measure(servers: Sequence[sshd.Sshd]) -> None:
    script, probe = [], []

    def in_turns() -> tuple[Any, Any]:  # a busy moment meets both
        for _ in range(RUNS):
            seconds, lines = pass_over(servers, by_script)
            script.append(seconds)
            seconds, probed = pass_over(servers, by_probe)
            probe.append(seconds)
        return lines, probed

    in_turns()
    single, _ = pass_over(servers, by_probe, at_once=1)
    slow, said = by_modules(servers)
    lines, probed = in_turns()  # before and after the long part, as the machine may be shared
    if any(each.gaps for each in probed):
        raise SystemExit("fan-out: a probe was cut off; nothing to compare")
    if any(told != lines[0] for told in said.values()) or any(each != lines[0] for each in lines):
        raise SystemExit("fan-out: the ways do not see the same; nothing to compare")
    raw, ours = statistics.median(script), statistics.median(probe)
    asked = f"{len(servers)} sshd x {len(looks())} looks"
    done = "" if len(said) == len(servers) else f", reckoned from {len(said)} machines"
    print(f"fan-out: {asked}, testinfra's modules one by one: {slow:.1f} s{done}")
    print(f"fan-out: {asked}, one raw ssh script each, {PARALLEL} at once: {raw:.2f} s")
    print(f"fan-out: the probe, {PARALLEL} at once: {ours:.2f} s for {size_of(probed[0])} each")
    print(
        f"fan-out: the probe takes {ours / raw:.2f}x of the raw script (aim 1.3),"
        f" and is {slow / ours:.0f}x ahead of testinfra's modules (aim 50)"
    )
    print(
        f"fan-out: the probe one by one: {single:.2f} s, {slow / single:.0f}x ahead of the modules"
    )


def main() -> None:
    for program in ("sshd", "ssh", "ssh-keygen"):
        if shutil.which(program) is None and shutil.which(program, path=PATH) is None:
            print(f"fan-out: {program} is not installed, so nothing was measured")
            return
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="gapcheck-bench-")))
        measure([stack.enter_context(sshd.running(folder / str(n))) for n in range(HOSTS)])


if __name__ == "__main__":
    main()
