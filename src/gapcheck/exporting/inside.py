"""A site as a pod of its cluster can judge it, and what of it cannot be judged there. Pure.

A pod has neither this machine's files nor its ssh keys, and is itself no machine of the site:
a node `local://` would be the pod. What is left out is said, never measured in another's place.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from gapcheck.errors import UsageError
from gapcheck.hostspec import SUDO
from gapcheck.site import Auth, Cluster, Issuer, Node, NodesFrom, Registry, Release, Site

KUBECONFIG, CA = "kubeconfig", "ca.crt"
SSH_FOLDER = "/etc/gapcheck/ssh"
USERNAME, PASSWORD = "GAPCHECK_REGISTRY_USERNAME", "GAPCHECK_REGISTRY_PASSWORD"
_SSH_FILES = ("ssh_config=", "ssh_identity_file=")
_OF_THE_MACHINE = {"target": None, "certificate": None, "key": None, "storage": None,
                   "container": None, "reload": "none"}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Inside:
    """The site for the pod; `left` are lines for the operator. `asks_secret`: credentials."""

    site: Site
    left: tuple[str, ...]
    asks_secret: bool


@dataclass(slots=True, kw_only=True)
class _Looks:
    """Which ways a pod has, and what was left out so far."""

    ssh: bool
    left: list[str] = field(default_factory=list)

    def reachable(self, hostspec: str) -> str | None:
        """The hostspec as the pod writes it; None where it has no way there."""
        scheme = hostspec.partition("://")[0].removeprefix(SUDO)
        if not self.ssh or scheme != "ssh" or any(name in hostspec for name in _SSH_FILES):
            return None
        mark = "&" if "?" in hostspec else "?"
        return f"{hostspec}{mark}ssh_config={SSH_FOLDER}/config"

    def why(self, hostspec: str) -> str:
        scheme = hostspec.partition("://")[0].removeprefix(SUDO)
        if scheme != "ssh":
            return f"a pod has no way to {scheme}://"
        if not self.ssh:
            return "a pod has no ssh key; give it one with --ssh-secret"
        return "its hostspec names files of this machine"


def inside(site: Site, *, ssh: bool) -> Inside:
    """The site for a pod that has ssh keys, or none. Nodes of an inventory are named before.

    Raises UsageError where the site has no live cluster.
    """
    if site.cluster is None or not site.cluster.kubeconfig:
        raise UsageError("the site has no live cluster to run in", "see cluster in the site file")
    looks = _Looks(ssh=ssh)
    made = site.model_copy(
        update={
            "cluster": Cluster(kubeconfig=KUBECONFIG),
            "registry": _registry(site.registry, looks),
            "nodes": _nodes(site, looks),
            "release": _release(site.release, looks),
        }
    )
    if site.registry.ca_file is None:
        looks.left.append("registry.ca_file is not set: the image's own trust store is asked")
    return Inside(site=made, left=tuple(looks.left), asks_secret=site.registry.auth is not None)


def _nodes(site: Site, looks: _Looks) -> tuple[Node, ...] | NodesFrom:
    if isinstance(site.nodes, NodesFrom):
        target = looks.reachable(site.nodes.target)
        if target is None:
            looks.left.append(f"nodes are not judged: {looks.why(site.nodes.target)}")
            return ()
        return site.nodes.model_copy(update={"target": target})
    return tuple(_each_node(site.nodes, looks))


def _each_node(nodes: tuple[Node, ...], looks: _Looks) -> Iterator[Node]:
    for node in nodes:
        target = looks.reachable(node.target)
        if target is None:
            looks.left.append(f"node/{node.name}: {looks.why(node.target)}")
        else:
            yield node.model_copy(update={"target": target})


def _registry(registry: Registry, looks: _Looks) -> Registry:
    changed: dict[str, object] = {"ca_file": CA if registry.ca_file else None}
    if registry.target is not None:
        target = looks.reachable(registry.target)
        changed["target"] = target
        if target is None:
            changed |= _OF_THE_MACHINE
            why = looks.why(registry.target)
            looks.left.append(f"files and container of the registry are not judged: {why}")
    if isinstance(registry.issuer, Issuer):
        changed["issuer"] = None  # a pair for repairs, which a schedule never does
    if registry.auth is not None:
        changed["auth"] = Auth(username_env=USERNAME, password_env=PASSWORD)
    return registry.model_copy(update=changed)


def _release(release: Release | None, looks: _Looks) -> Release | None:
    if release is None or not (release.values or release.chart):
        return release
    files = " and ".join(
        name for name, given in (("values", release.values), ("chart", release.chart)) if given
    )
    looks.left.append(
        f"release.{files} are files of this machine and may hold secrets: the release is judged "
        "by Helm's own record and its live objects"
    )
    return release.model_copy(update={"values": (), "chart": None})


def site_table(site: Site) -> dict[str, object]:
    """The site file's table, with only what is said in it."""
    table: dict[str, object] = site.model_dump(mode="json", by_alias=True, exclude_defaults=True)
    return {"version": 1, **table}
