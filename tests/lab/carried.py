"""A repair that others carry: what `gapcheck export` prints, given to the tool it is for."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from support import ansible

from lab import product

if TYPE_CHECKING:
    from lab.cluster import Cluster

_COMMAND = re.compile(r"^#   (\S.*)$", re.MULTILINE)
_REMOVAL = re.compile(r"^# \$ (.+)$", re.MULTILINE)


@dataclass(frozen=True, kw_only=True)
class Exported:
    """What an export printed, and what it said is not in it."""

    code: int
    text: str
    left: str

    @property
    def commands(self) -> list[str]:
        """The commands, and the inventory, that the head of the text holds."""
        return _COMMAND.findall(self.text)


def export(cluster: Cluster, *words: str) -> Exported:
    """Run `gapcheck export` on the lab's site."""
    done = subprocess.run(
        [sys.executable, "-m", "gapcheck", "export", *words, "--site", str(cluster.site_file)],
        capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL, timeout=300,
    )  # fmt: skip
    return Exported(code=done.returncode, text=done.stdout, left=done.stderr)


def by_ansible(cluster: Cluster, exported: Exported, folder: Path) -> tuple[int, int]:
    """Run the playbook twice over ssh, by the inventory of its head; what each run changed."""
    playbook, inventory = folder / "nodes.yml", folder / "inventory"
    playbook.write_text(exported.text)
    hosts = [line for line in exported.commands if "ansible_host=" in line]
    inventory.write_text("".join(f"{line}\n" for line in hosts))
    options = f"-F {cluster.keys.config}"
    words = ("--ssh-common-args", options, "-e", "ansible_python_interpreter=/usr/bin/python3")
    runs = [ansible.run(playbook, inventory, *words) for _ in range(2)]
    assert [each.code for each in runs] == [0, 0], runs[-1].out
    return runs[0].changed, runs[1].changed


def by_kubectl(cluster: Cluster, exported: Exported, folder: Path) -> None:
    """Apply the objects and run the removals, as the head and the comments of the text say."""
    path = folder / "repair.yaml"
    path.write_text(exported.text)
    applies = [line for line in exported.commands if line.startswith("kubectl apply")]
    lines = [line.replace("FILE", str(path)) for line in applies]
    for line in (*lines, *_REMOVAL.findall(exported.text)):
        program, *words = shlex.split(line)
        assert program == "kubectl", line
        cluster.control.kubectl(*words)


def by_helm(cluster: Cluster, exported: Exported) -> None:
    """Upgrade with the further values file, as the head of the text says."""
    (line,) = [each for each in exported.commands if each.startswith("helm upgrade")]
    name = shlex.split(line)[-1]
    (cluster.site_file.parent / name).write_text(exported.text)
    words = [str(product.CHART) if each == "CHART" else each for each in shlex.split(line)[1:]]
    product.helm(cluster.control, cluster.site_file.parent, *words)


def by_shell(cluster: Cluster, node: str, exported: Exported) -> str:
    """Run the script on the node, as cloud-init does; what it said."""
    done = cluster.nodes[node].run(exported.text, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr
