"""Debian's dockerd, of its own: socket, data and state in a temporary folder, vfs.

The default socket is never used: asking there may start a daemon of the machine.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from support import needs

_WAIT_S = 30.0
_CONFIG = """version: 0.1
storage: {filesystem: {rootdirectory: /var/lib/registry}}
http: {addr: ":5000"}
"""
IMAGE = "registry:2"


@dataclass(frozen=True)
class Docker:
    """A daemon that listens in `folder`."""

    folder: Path

    @property
    def host(self) -> str:
        return f"unix://{self.folder}/sock"

    @property
    def environment(self) -> dict[str, str]:
        return {**os.environ, "DOCKER_HOST": self.host}

    def __call__(self, *words: str, given: bytes = b"") -> str:
        """What the docker program prints for `words`."""
        done = subprocess.run(
            [needs.program("docker"), *words],
            env=self.environment, input=given, capture_output=True, check=False, timeout=60,
        )  # fmt: skip
        assert done.returncode == 0, (words, done.stderr.decode())
        return done.stdout.decode().strip()

    def inspect(self, name: str) -> dict[str, Any]:
        (found,) = json.loads(self("inspect", "--type", "container", name))
        return dict(found)

    def containers(self) -> list[str]:
        return sorted(self("ps", "-a", "--format", "{{.Names}}").split())

    def volumes(self) -> list[str]:
        return sorted(self("volume", "ls", "--format", "{{.Name}}").split())

    def clear(self) -> None:
        """Remove every container and volume."""
        if ids := self("ps", "-aq").split():
            self("rm", "-f", "-v", *ids)
        if names := self.volumes():
            self("volume", "rm", *names)

    def run(self, *words: str, env: Mapping[str, str], name: str = "registry") -> str:
        """Start the registry's image as `name`; its id."""
        variables = [word for key, value in env.items() for word in ("-e", f"{key}={value}")]
        return self("run", "-d", "--name", name, *words, *variables, IMAGE)

    def wait_for(self, port: int) -> None:
        """Wait until something listens on `port` of loopback."""
        until = time.monotonic() + _WAIT_S
        while time.monotonic() < until:
            with socket.socket() as tried:
                if tried.connect_ex(("127.0.0.1", port)) == 0:
                    return
            time.sleep(0.1)
        pytest.fail(f"nothing listens on {port}: {self('ps', '-a')}")


@contextmanager
def running(*, alone: bool = False) -> Iterator[Docker]:
    """A daemon with the image registry:2, ended and removed afterwards.

    It makes bridges only in a network of its own (`alone`).
    """
    needs.program("docker")
    daemon, unshare = needs.program("dockerd"), needs.program("unshare")
    if os.geteuid() != 0:
        needs.absent("dockerd needs root")
    folder = Path(tempfile.mkdtemp(prefix="gapcheck-dockerd-"))
    (folder / "daemon.json").write_text("{}")
    group = f"/{folder.name}"
    spaces = ["--mount", "--propagation", "private"]
    if alone:
        spaces += ["--net", "sh", "-c", f'{needs.program("ip")} link set lo up; exec "$@"', "sh"]
    with (folder / "log").open("wb") as log:
        started = subprocess.Popen(
            [
                unshare, *spaces, daemon, "--config-file", f"{folder}/daemon.json",
                "--data-root", f"{folder}/data", "--exec-root", f"{folder}/exec",
                "--pidfile", f"{folder}/pid", "--host", f"unix://{folder}/sock",
                "--storage-driver", "vfs", *([] if alone else ["--bridge", "none"]),
                "--iptables=false", "--ip6tables=false", "--ip-forward=false", "--ip-masq=false",
                "--cgroup-parent", group, "--exec-opt", "native.cgroupdriver=cgroupfs",
            ],
            stdout=log, stderr=log, start_new_session=True,
        )  # fmt: skip
    docker = Docker(folder)
    try:
        _wait(docker, started)
        _import_registry(docker)
        yield docker
    finally:
        with contextlib.suppress(AssertionError):
            docker.clear()
        started.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            started.wait(20)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(started.pid, signal.SIGKILL)
        started.wait()
        _clean(folder)


def _wait(docker: Docker, started: subprocess.Popen[bytes]) -> None:
    until = time.monotonic() + _WAIT_S
    while time.monotonic() < until and started.poll() is None:
        with socket.socket(socket.AF_UNIX) as tried:
            if tried.connect_ex(f"{docker.folder}/sock") == 0:
                docker("info")
                return
        time.sleep(0.1)
    said = (docker.folder / "log").read_text().splitlines()[-3:]
    needs.absent(f"dockerd does not start here: {' '.join(said)}")


def _import_registry(docker: Docker) -> None:
    """The image registry:2: Debian's program, the libraries it names, and a configuration."""
    root = docker.folder / "image"
    program = needs.program("docker-registry")
    linked = subprocess.run(["ldd", program], capture_output=True, text=True, check=True).stdout
    files = {program: "bin/registry"}
    files |= {word: word.lstrip("/") for word in linked.split() if word.startswith("/")}
    for source, place in files.items():
        (root / place).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(source, root / place)
    config = root / "etc/docker/registry/config.yml"
    config.parent.mkdir(parents=True)
    config.write_text(_CONFIG)
    (root / "tmp").mkdir()
    packed = subprocess.run(
        ["tar", "-C", str(root), "-c", "."], capture_output=True, check=True
    ).stdout
    changes = (
        'ENTRYPOINT ["/bin/registry"]',
        'CMD ["serve", "/etc/docker/registry/config.yml"]',
        'VOLUME ["/var/lib/registry"]',
        "EXPOSE 5000",
    )
    words = [word for each in changes for word in ("-c", each)]
    docker("import", *words, "-", IMAGE, given=packed)


def _clean(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    groups = Path("/sys/fs/cgroup")
    for found in (*groups.glob(folder.name), *groups.glob(f"*/{folder.name}")):
        with contextlib.suppress(OSError):
            found.rmdir()
