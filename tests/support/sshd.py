"""A real sshd as an ordinary process, with keys of its own; host keys are really verified."""

from __future__ import annotations

import getpass
import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from support import needs

_SERVER = """
ListenAddress 127.0.0.1
Port {port}
HostKey {folder}/host_key
AuthorizedKeysFile {folder}/user_key.pub
PidFile none
UsePAM no
StrictModes no
PasswordAuthentication no
KbdInteractiveAuthentication no
MaxStartups 200
LogLevel ERROR
{more}
"""
_CLIENT = """
Host *
  UserKnownHostsFile {folder}/known_hosts
  GlobalKnownHostsFile none
  IdentityFile {folder}/user_key
  IdentitiesOnly yes
  StrictHostKeyChecking ask
"""


@dataclass(frozen=True)
class Sshd:
    """A running server: `hostspec` reaches it by `config`, an OpenSSH client configuration."""

    hostspec: str
    config: Path
    folder: Path
    port: int

    def forget(self) -> None:
        (self.folder / "known_hosts").write_text("")

    def change_known_key(self) -> None:
        key = _make_key(self.folder / "other_key")
        (self.folder / "known_hosts").write_text(f"[127.0.0.1]:{self.port} {key}\n")


@contextmanager
def running(folder: Path, more: str = "") -> Iterator[Sshd]:
    """A server in `folder`; `more` is added to its configuration."""
    server = needs.program("sshd")
    needs.program("ssh")
    if os.getuid() == 0:
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)  # sshd refuses to start without it
    folder.mkdir(parents=True, exist_ok=True)
    host_key = _make_key(folder / "host_key")
    _make_key(folder / "user_key")
    port = _free_port()
    (folder / "known_hosts").write_text(f"[127.0.0.1]:{port} {host_key}\n")
    (folder / "sshd_config").write_text(_SERVER.format(port=port, folder=folder, more=more))
    config = folder / "ssh_config"
    config.write_text(_CLIENT.format(folder=folder))
    argv = [server, "-D", "-e", "-f", str(folder / "sshd_config")]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            argv, stderr=log, stdin=subprocess.DEVNULL, start_new_session=True
        )
    try:
        _await_banner(port, process, folder)
        hostspec = f"ssh://{getpass.getuser()}@127.0.0.1:{port}?ssh_config={config}"
        yield Sshd(hostspec=hostspec, config=config, folder=folder, port=port)
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(timeout=5)


def _make_key(path: Path) -> str:
    path.unlink(missing_ok=True)
    argv = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", str(path)]
    subprocess.run(argv, check=True)
    return path.with_suffix(".pub").read_text().strip()


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def _await_banner(port: int, process: subprocess.Popen[bytes], folder: Path) -> None:
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline and process.poll() is None:
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=1) as wire:
                if wire.recv(4) == b"SSH-":
                    return
        except OSError:
            time.sleep(0.02)
    raise AssertionError((folder / "log").read_text())
