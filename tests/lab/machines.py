"""Machines of the lab: a Debian system each, booted by systemd-nspawn, reached by ssh."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from lab.programs import NODE_PACKAGES, base_root, say

BOOT_S = 180.0
SSH_PORT = 22
_CAPABILITIES = "all"
_FILTER = "@keyring bpf @mount"
_SSHD = """
Port {port}
ListenAddress {address}
PermitRootLogin prohibit-password
PasswordAuthentication no
UsePAM no
"""
_CLIENT = """
Host lab-*
  User root
  IdentityFile {folder}/key
  IdentitiesOnly yes
  UserKnownHostsFile {folder}/known_hosts
  StrictHostKeyChecking yes
  LogLevel ERROR
"""
_HOST0 = """[Match]
Name=host0
[Network]
Address={address}/24
LinkLocalAddressing=no
{routes}"""
_LAYERS = ("upper", "work", "root")
_UNITS_OFF = ("docker-registry", "containerd", "docker")


def until(what: str, condition: Callable[[], bool], deadline_s: float) -> None:
    """Wait until `condition` holds; says what it waited for when the time is up."""
    ends = time.monotonic() + deadline_s
    while not condition():
        if time.monotonic() > ends:
            message = f"waited {deadline_s:.0f} s in vain for: {what}"
            raise TimeoutError(message)
        time.sleep(0.1)


@dataclass(frozen=True, kw_only=True)
class Keys:
    """The lab's ssh key pair, host key and client configuration."""

    folder: Path

    @property
    def config(self) -> Path:
        return self.folder / "ssh_config"

    def make(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        for name in ("key", "host_key"):
            path = self.folder / name
            if not path.exists():
                argv = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "lab", "-f", str(path)]
                subprocess.run(argv, check=True)
        self.config.write_text(_CLIENT.format(folder=self.folder))

    def know(self, name: str, address: str, port: int) -> None:
        """Have ssh know the machine `name`; a second time nothing is added."""
        public = " ".join((self.folder / "host_key.pub").read_text().split()[:2])
        place = address if port == SSH_PORT else f"[{address}]:{port}"
        _add_line(self.folder / "known_hosts", f"{place} {public}\n")
        _add_line(self.config, f"Host lab-{name}\n  HostName {address}\n")


def _add_line(path: Path, text: str) -> None:
    if not path.exists() or text not in path.read_text():
        with path.open("a") as file:
            file.write(text)


@dataclass(frozen=True, kw_only=True)
class Link:
    """A machine's own network: an address on a bridge, and what it routes where."""

    bridge: str
    address: str
    routes: tuple[tuple[str, str], ...] = ()

    @property
    def network_file(self) -> str:
        routes = "".join(f"[Route]\nDestination={to}\nGateway={by}\n" for to, by in self.routes)
        return _HOST0.format(address=self.address, routes=routes)


class Machine:
    """One system: an overlay over the base root, so that it is made and reset in seconds."""

    def __init__(
        self, name: str, folder: Path, keys: Keys, *, port: int = SSH_PORT, link: Link | None = None
    ) -> None:
        self.name = name
        self.port = port
        self.folder = folder
        self.keys = keys
        self.link = link
        self.packages = NODE_PACKAGES
        self.binds: dict[str, Path] = {"/var/lib/containerd": folder / "containerd"}
        self.shared: dict[str, Path] = {}
        self.root = folder / "root"
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def address(self) -> str:
        """Where it is reached; without a link of its own it shares this machine's network."""
        return self.link.address if self.link else "127.0.0.1"

    @property
    def listens(self) -> str:
        """Where its sshd listens: its link has no address yet when that starts."""
        return "0.0.0.0" if self.link else self.address  # noqa: S104 - the lab's own bridge

    @property
    def hostspec(self) -> str:
        """How gapcheck reaches it."""
        return f"ssh://root@lab-{self.name}:{self.port}?ssh_config={self.keys.config}"

    def mount(self) -> None:
        """Lay a fresh system over the base root; nothing is kept of a former one."""
        for part in (*(self.folder / each for each in _LAYERS), *self.binds.values()):
            shutil.rmtree(part, ignore_errors=True)
            part.mkdir(parents=True)
        base = base_root(self.packages)
        layers = f"lowerdir={base},upperdir={self.folder}/upper,workdir={self.folder}/work"
        subprocess.run(
            ["mount", "-t", "overlay", f"lab-{self.name}", "-o", layers, str(self.root)], check=True
        )
        self.write("/etc/hostname", f"{self.name}\n")
        self.write("/etc/hosts", "127.0.0.1 localhost\n::1 localhost\n")
        self.write(
            "/etc/ssh/sshd_config.d/lab.conf", _SSHD.format(port=self.port, address=self.listens)
        )
        self.write("/root/.ssh/authorized_keys", (self.keys.folder / "key.pub").read_text(), 0o600)
        for suffix, mode in (("", 0o600), (".pub", 0o644)):
            content = (self.keys.folder / f"host_key{suffix}").read_text()
            self.write(f"/etc/ssh/ssh_host_ed25519_key{suffix}", content, mode)
        for unit in _UNITS_OFF:
            self.enable(unit, on=False)
        if self.link:
            self.write("/etc/systemd/network/10-host0.network", self.link.network_file)
            self.write("/etc/resolv.conf", "")
            self.enable("systemd-networkd", on=True)

    def enable(self, unit: str, *, on: bool) -> None:
        """Have systemd start `unit` at boot, or not."""
        link = self.root / f"etc/systemd/system/multi-user.target.wants/{unit}.service"
        link.unlink(missing_ok=True)
        if on:
            link.parent.mkdir(parents=True, exist_ok=True)
            own = self.root / f"etc/systemd/system/{unit}.service"
            link.symlink_to(f"/{'etc' if own.exists() else 'lib'}/systemd/system/{unit}.service")

    def write(self, path: str, content: str | bytes, mode: int = 0o644) -> None:
        """Write a file into the system, from outside."""
        place = self.root / path.lstrip("/")
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(content.encode() if isinstance(content, str) else content)
        place.chmod(mode)

    def boot(self) -> None:
        """Start it and wait until ssh answers and systemd is done."""
        argv = [
            "systemd-nspawn", "--quiet", "--register=no", "--keep-unit",
            f"--machine=lab-{self.name}",
            f"--hostname={self.name}", f"--capability={_CAPABILITIES}",
            f"--system-call-filter={_FILTER}",
            *(f"--bind={here}:{there}" for there, here in self.binds.items()),
            *(f"--bind-ro={here}:{there}" for there, here in self.shared.items()),
            *([f"--network-bridge={self.link.bridge}"] if self.link else []),
            "-D", str(self.root), "-b",
        ]  # fmt: skip
        log = (self.folder / "console").open("wb")
        with log:
            self._process = subprocess.Popen(
                argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )
        (self.folder / "pid").write_text(str(self._process.pid))
        self.keys.know(self.name, self.address, self.port)
        until(f"ssh of {self.name}", lambda: self.run("true", check=False).returncode == 0, BOOT_S)
        until(f"systemd of {self.name}", self._is_up, BOOT_S)

    def _is_up(self) -> bool:
        said = self.run("systemctl is-system-running", check=False).stdout.strip()
        return said in ("running", "degraded")

    def run(
        self, program: str, *, check: bool = True, timeout_s: float = 120
    ) -> subprocess.CompletedProcess[str]:
        """Run a shell program in it, by ssh."""
        argv = [
            "ssh",
            "-F",
            str(self.keys.config),
            "-p",
            str(self.port),
            f"lab-{self.name}",
            "sh -s",
        ]
        done = subprocess.run(
            argv, input=program, capture_output=True, text=True, check=False, timeout=timeout_s
        )
        if check and done.returncode:
            message = f"{self.name}: {program!r} ended with {done.returncode}: {done.stderr}"
            raise RuntimeError(message)
        return done

    def stop(self, *, at_once: bool = False) -> None:
        """End it, where `at_once` without asking its init first, and take its mount away."""
        end(self.folder / "pid", at_once=at_once)
        if self._process is not None:
            self._process.wait()
        subprocess.run(["umount", "-l", str(self.root)], check=False, capture_output=True)


def end(pid_file: Path, *, at_once: bool = False) -> None:
    """End the system whose nspawn has the pid in `pid_file`: politely, then by its own init."""
    pid = int(pid_file.read_text()) if pid_file.exists() else 0
    process = Path(f"/proc/{pid}")
    if is_of(pid, pid_file.parent):
        inits = (process / f"task/{pid}/children").read_text().split()
        if at_once or not _ends(pid, process):
            for init in inits:
                os.kill(int(init), signal.SIGKILL)
            until("the end of a machine that was killed", lambda: is_over(process), 15)
    pid_file.unlink(missing_ok=True)


def _ends(pid: int, process: Path) -> bool:
    os.kill(pid, signal.SIGTERM)
    try:
        until("the end of a machine", lambda: is_over(process), 15)
    except TimeoutError as late:
        say(str(late))
        return False
    return True


def is_of(pid: int, folder: Path) -> bool:
    """Whether the process `pid` still is the one whose command line names `folder`."""
    try:
        return str(folder).encode() in Path(f"/proc/{pid}/cmdline").read_bytes()
    except FileNotFoundError:
        return False


def is_over(process: Path) -> bool:
    """Whether the process of that folder has ended, reaped or not."""
    try:
        return (process / "stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True
