"""The real command line in a process of its own, and what it left behind."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from support.certs import Pair

COMMAND = (sys.executable, "-m", "gapcheck")
# Runs the words after the first and writes their peak of memory, in KiB, to the file named first.
WEIGH = """
import resource, subprocess, sys
code = subprocess.call(sys.argv[2:])
open(sys.argv[1], "w").write(str(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss))
sys.exit(code)
"""
REPORT = "report.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """How a run ended; `found` is its JSON report, None where it wrote none."""

    code: int
    out: str
    err: str
    found: Any

    def status(self, check: str, subject: str) -> str:
        return str(self.verdict(check, subject)["status"])

    def verdict(self, check: str, subject: str) -> Any:
        of = [v for v in self.found["verdicts"] if (v["check"], v["subject"]) == (check, subject)]
        assert len(of) == 1, f"{check}::{subject} was not judged"
        return of[0]

    def line(self, *parts: str) -> str:
        """The one line that holds every part; the report's wrapped lines are put together."""
        said = (self.out + self.err).replace("\n    ", " ")
        lines = [line for line in said.splitlines() if all(part in line for part in parts)]
        assert len(lines) == 1, (parts, said)
        return lines[0]


def gapcheck(folder: Path, *words: object, **env: str) -> Ended:
    """Run it in `folder`; no defect of ours may show, whatever it was given."""
    done = subprocess.run(
        [*COMMAND, *map(str, words)],
        cwd=folder, env={**os.environ, **env}, stdin=subprocess.DEVNULL, capture_output=True,
        text=True, check=False, timeout=60,
    )  # fmt: skip
    said = done.stdout + done.stderr
    assert "Traceback" not in said, said
    assert "a defect of gapcheck" not in said, said
    return Ended(code=done.returncode, out=done.stdout, err=done.stderr, found=_report(folder))


def check(folder: Path, **env: str) -> Ended:
    """Judge site.yaml of `folder`, with a JSON report beside it."""
    return gapcheck(folder, "check", "--site", "site.yaml", "--report", f"json:{REPORT}", **env)


def _report(folder: Path) -> Any:
    path = folder / REPORT
    return json.loads(path.read_text()) if path.exists() else None


def write_site(folder: Path, port: int, more: str = "", *, ca_file: bool = True) -> None:
    """A site file for registry.local on this machine's `port`."""
    ca = "  ca_file: ca.crt\n" if ca_file else ""
    head = f"version: 1\nregistry:\n  host: registry.local:{port}\n  address: 127.0.0.1\n"
    (folder / "site.yaml").write_text(f"{head}{ca}policy: {{probe_timeout_s: 4}}\n{more}")


def good_root(folder: Path, host: str, ca: Pair) -> Path:
    """The root of a Debian node on which everything is as `host` needs it."""
    certs_d = f"etc/containerd/certs.d/{host}"
    hosts = f'server = "https://{host}"\n[host."https://{host}"]\n'
    plugin = '[plugins."io.containerd.grpc.v1.cri"'
    for name, content in {
        "etc/os-release": 'ID=debian\nVERSION_ID="12"\n',
        "etc/hosts": "127.0.0.1 localhost registry.local\n",
        "usr/local/share/ca-certificates/registry.crt": ca.pem.decode(),
        "etc/ssl/certs/ca-certificates.crt": ca.pem.decode(),
        "etc/containerd/config.toml": f"version = 2\n{plugin}]\n"
        f'  sandbox_image = "{host}/pause:3.9"\n{plugin}.registry]\n'
        '  config_path = "/etc/containerd/certs.d"\n',
        f"{certs_d}/hosts.toml": f'{hosts}  capabilities = ["pull", "resolve"]\n  ca = "ca.crt"\n',
        f"{certs_d}/ca.crt": ca.pem.decode(),
    }.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    return folder
