"""Playbooks read as data, and run by the real Ansible on this machine."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml


class _Loader(yaml.SafeLoader):
    """Ansible's own tag is plain text to a reader."""


_Loader.add_constructor("!unsafe", lambda loader, node: loader.construct_scalar(node))

_PROGRAM = Path(sys.executable).with_name("ansible-playbook")


def plays(text: str) -> list[Any]:
    """The plays of a playbook."""
    return list(yaml.load(text, _Loader))  # noqa: S506 - a safe loader with one more tag


def modules(play: Any) -> Iterator[tuple[str, Any]]:
    """(module, arguments) of every task and handler of `play`, in order."""
    for task in (*play["tasks"], *play.get("handlers", ())):
        (name,) = [key for key in task if key.startswith("ansible.")]
        yield name, task[name]


@dataclass(frozen=True, kw_only=True)
class Ran:
    """How a run of a playbook ended; `changed` counts tasks of all hosts."""

    code: int
    out: str

    @property
    def changed(self) -> int:
        return sum(int(each) for each in re.findall(r" changed=(\d+) ", self.out))


def run(playbook: Path, hosts: str | Path, *words: str, programs: str = "") -> Ran:
    """Run `playbook` on `hosts` (comma separated, or an inventory file).

    Nothing of the user's own settings counts; programs are looked for in the folder `programs`
    first.
    """
    home = playbook.parent / ".ansible"
    home.mkdir(exist_ok=True)
    settings = home / "ansible.cfg"
    settings.touch()
    given = {
        "PATH": f"{programs or _PROGRAM.parent}:{_PROGRAM.parent}:{os.environ['PATH']}",
        "LC_ALL": "C.UTF-8",
        "HOME": str(home),
        "ANSIBLE_HOME": str(home),
        "ANSIBLE_CONFIG": str(settings),
        "ANSIBLE_NOCOLOR": "1",
        "ANSIBLE_PIPELINING": "1",
        "ANSIBLE_REMOTE_TMP": str(home / "tmp"),
        # A shared connection's socket below a test's folder has too long a path.
        "ANSIBLE_SSH_ARGS": "-o ControlMaster=no",
    }
    done = subprocess.run(
        [_PROGRAM, "-i", hosts if isinstance(hosts, Path) else f"{hosts},", *words, playbook],
        env=given, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
        timeout=120,
    )  # fmt: skip
    return Ran(code=done.returncode, out=done.stdout + done.stderr)
