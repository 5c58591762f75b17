"""A change of the CA, as docs/how-to/ca-rotation.md goes, while every node pulls."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import Event, Thread
from typing import TYPE_CHECKING

from support.certs import Pair, authority

from lab.consumers import canary
from lab.pki import yesterday
from lab.product import KEY, NAMESPACE, SECRET
from lab.registries import HOST

if TYPE_CHECKING:
    from lab.cluster import Cluster

EXCHANGE = (
    "--select", "CERT-ISSUER-001", "--select", "NODE-TRUST-008", "--select", "SECRET-CA-004",
)  # fmt: skip
REMOVAL = (
    "--select", "NODE-TRUST-004", "--select", "SECRET-CA-005", "--max-risk", "outage",
)  # fmt: skip
# What a client says while the registry starts anew; it tries again.
_AWAY = ("connection refused", "connection reset", "EOF")


@dataclass
class Pulls:
    """What kubelet said of each pull, by node, in order; '' where it worked."""

    said: dict[str, list[str]] = field(default_factory=dict)

    def worked(self, node: str) -> int:
        return self.said[node].count("")

    def refused(self) -> list[str]:
        """What was said of pulls that did not work although the registry answered."""
        every = (each for said in self.said.values() for each in said if each)
        return [each for each in every if not any(words in each for words in _AWAY)]


@contextmanager
def pulling(cluster: Cluster) -> Iterator[Pulls]:
    """Every node pulls again and again until the block ends, and once more after it."""
    pulls, is_over = Pulls({name: [] for name in cluster.nodes}), Event()

    def pull(node: str) -> None:
        while not is_over.is_set():
            pulls.said[node].append(canary(cluster.control, node))
        pulls.said[node].append(canary(cluster.control, node))

    threads = [Thread(target=pull, args=(name,)) for name in cluster.nodes]
    for each in threads:
        each.start()
    try:
        yield pulls
    finally:
        is_over.set()
        for each in threads:
            each.join()


def name_new_issuer(cluster: Cluster) -> Pair:
    """Make a new CA, add it to the site's CA file, and name it as the issuer."""
    new = authority("Lab Registry CA of next year", not_before=yesterday())
    folder = cluster.site_file.parent
    (folder / "issuer/next.crt").write_bytes(new.pem)
    key = folder / "issuer/next.key"
    key.touch(mode=0o600)
    key.write_bytes(new.key_pem)
    (folder / "ca.crt").write_bytes(cluster.ca.pem + new.pem)
    site = json.loads(cluster.site_file.read_text())
    site["registry"]["issuer"] = {"certificate": "issuer/next.crt", "key": "issuer/next.key"}
    site["policy"] = {"ca_overlap_days": 0}
    cluster.site_file.write_text(json.dumps(site, indent=2))
    return new


def drop_old_ca(cluster: Cluster) -> None:
    """Leave the new CA alone in the site's CA file."""
    folder = cluster.site_file.parent
    (folder / "ca.crt").write_bytes((folder / "issuer/next.crt").read_bytes())


def holds(cluster: Cluster, ca: Pair) -> list[str]:
    """The places that still hold `ca`."""
    line = ca.pem.splitlines()[1]
    words = ("get", "secret", SECRET, "-n", NAMESPACE, "-o", "json")
    secret = json.loads(cluster.control.kubectl(*words))
    found = [SECRET] if line in base64.b64decode(secret["data"][KEY]) else []
    for name, node in cluster.nodes.items():
        path = f"etc/containerd/certs.d/{HOST}/ca.crt"
        if line in (node.root / path).read_bytes():
            found.append(name)
    return found
