"""A site of image roots whose hosts files lack the registry's name: one change a node."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from support.certs import authority
from support.command import Ended, gapcheck, good_root, write_site
from support.places import snapshot

HOSTS = "127.0.0.1 localhost\n"
PORT = 9  # nothing listens there: the registry's own checks fail, and nothing is planned for them


@dataclass(frozen=True)
class SmallSite:
    """`folder` holds site.yaml and a root a node; the state lies beside it."""

    folder: Path

    def run(self, *words: object, **env: str) -> Ended:
        """Gapcheck with this site's own state folder."""
        return gapcheck(self.folder, *words, GAPCHECK_STATE=str(self.state), **env)

    @property
    def state(self) -> Path:
        return self.folder.parent / "state"

    def root(self, node: str) -> Path:
        return self.folder / node

    def hosts(self, node: str) -> Path:
        return self.root(node) / "etc/hosts"

    def nodes(self) -> list[str]:
        return sorted(each.name for each in self.folder.iterdir() if each.is_dir())

    def repaired(self) -> list[str]:
        """The nodes that know the registry's name."""
        return [each for each in self.nodes() if "registry.local" in self.hosts(each).read_text()]

    def snapshot(self) -> dict[str, Any]:
        return snapshot(*(self.root(each) for each in self.nodes()))

    def last_run(self) -> str:
        return self.run("runs").out.splitlines()[-1].split()[0]


def small_site(
    folder: Path, nodes: int = 2, hosts: str = HOSTS, targets: dict[str, str] | None = None
) -> SmallSite:
    """A site of `nodes` roots n0, n1 ...; `targets` gives some of them another hostspec."""
    folder.mkdir(parents=True)
    ca = authority("ca")
    (folder / "ca.crt").write_bytes(ca.pem)
    lines = ["nodes:"]
    for number in range(nodes):
        name = f"n{number}"
        root = good_root(folder / name, f"registry.local:{PORT}", ca)
        (root / "etc/hosts").write_text(hosts)
        target = (targets or {}).get(name, f"rootdir://./{name}")
        lines.append(f'  - {{name: {name}, target: "{target}"}}')
    write_site(folder, PORT, "\n".join((*lines, "")))
    return SmallSite(folder)
