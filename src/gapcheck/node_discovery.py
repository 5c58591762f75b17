"""From `nodes: {from: cluster | inventory}` to named nodes, once, at the start of gathering."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

import pydantic

from gapcheck.errors import SiteError
from gapcheck.fixtures.kube_facts import KubeNode
from gapcheck.fixtures.label_selector import parse_selector
from gapcheck.model import NODES, Gap, node_subject
from gapcheck.site import Node, NodesFrom, Site

if TYPE_CHECKING:
    from gapcheck.fixtures.inventory import Setting
    from gapcheck.site_file import LoadedSite

STAGE = "discovery"

_SSH = frozenset({
    "", "ssh", "smart", "paramiko", "paramiko_ssh", "ansible.builtin.ssh",
    "ansible.builtin.paramiko_ssh", "ansible.netcommon.libssh",
})  # fmt: skip
_BY_NAME = {
    "docker": "docker",
    "community.docker.docker": "docker",
    "community.docker.docker_api": "docker",
    "podman": "podman",
    "containers.podman.podman": "podman",
}
_YES = frozenset({"yes", "true", "on", "1", "y", "t"})


def resolve_nodes(
    loaded: LoadedSite, kube_nodes: tuple[KubeNode, ...] | None
) -> tuple[Site, tuple[Gap, ...]]:
    """The site with its nodes named, and a gap for each that has no way to be reached.

    `kube_nodes` None = the cluster did not say; the site then keeps `from: cluster`, with a
    gap. An inventory that cannot be read raises SiteError.
    """
    wanted = loaded.site.nodes
    if not isinstance(wanted, NodesFrom):
        return loaded.site, ()
    if wanted.source == "cluster":
        if kube_nodes is None:
            return loaded.site, (_gap("the cluster's nodes could not be listed"),)
        found = list(_of_cluster(loaded, wanted, kube_nodes))
    else:
        found = list(_of_inventory(loaded, wanted))
    nodes = tuple(each for each in found if isinstance(each, Node))
    gaps = tuple(each for each in found if isinstance(each, Gap))
    if not found:
        which = f" with {wanted.selector!r}" if wanted.selector else ""
        return loaded.site, (_gap(f"no schedulable node{which} in the {wanted.source}"),)
    return loaded.site.model_copy(update={"nodes": nodes}), gaps


def _gap(reason: str, name: str = "") -> Gap:
    return Gap(subject=node_subject(name) if name else NODES, stage=STAGE, reason=reason)


def _of_cluster(
    loaded: LoadedSite, wanted: NodesFrom, kube_nodes: tuple[KubeNode, ...]
) -> Iterator[Node | Gap]:
    """Schedulable nodes, control plane included where pods may be scheduled there."""
    try:
        selector = parse_selector(wanted.selector)
    except ValueError as wrong:
        raise SiteError(str(loaded.path), 0, f"nodes.selector: {wrong}") from wrong
    for each in sorted(kube_nodes, key=lambda node: node.name):
        if not each.schedulable or not selector.matches(each.labels):
            continue
        address = each.addresses[0] if each.addresses else ""
        if "{address}" in wanted.target and not address:
            yield _gap("its Node object has no address", each.name)
            continue
        bare = f"[{address}]" if ":" in address else address
        target = wanted.target.replace("{name}", each.name).replace("{address}", bare)
        yield Node(target=target, name=each.name, sudo=wanted.sudo)


def _of_inventory(loaded: LoadedSite, wanted: NodesFrom) -> Iterator[Node | Gap]:
    from gapcheck.fixtures.inventory_files import read_inventory

    inventory = read_inventory(
        loaded.resolve(wanted.inventory or ""),
        allow_exec=wanted.allow_exec,
        timeout_s=loaded.site.policy.probe_timeout_s,
    )
    names = inventory.select(wanted.selector)
    settings = inventory.settings_of(names)
    wrong: list[SiteError] = []
    found: list[Node | Gap] = []
    for name in names:
        host = _Host(name, settings[name])
        templated = host.templated()
        if templated:
            wrong += templated
            continue
        try:
            found.append(host.node(sudo=wanted.sudo))
        except pydantic.ValidationError as refused:
            why = str(refused.errors()[0].get("ctx", {}).get("error", refused.errors()[0]["msg"]))
            line = inventory.lines.get(name, 0)
            wrong.append(SiteError(inventory.path, line, f"host {name}: {why}"))
    if wrong:
        # Hosts of one group share the setting that is wrong: it is told once.
        once = list({str(each): each for each in wrong}.values())
        raise SiteError(once[0].path, once[0].line, once[0].why, "", tuple(once[1:]))
    yield from found


class _Host:
    """One host of an inventory, and how its settings say it is reached."""

    def __init__(self, name: str, settings: Mapping[str, Setting]) -> None:
        self.name = name
        self.settings = settings

    def templated(self) -> list[SiteError]:
        return [
            SiteError(each.path, each.line, f"{key} is a template, {each.text!r}; write the value")
            for key, each in self.settings.items()
            if "{{" in each.text or "{%" in each.text
        ]

    def node(self, *, sudo: bool) -> Node | Gap:
        connection = self._text("ansible_connection").lower()
        method = self._text("ansible_become_method") or "sudo"
        user = self._text("ansible_become_user") or "root"
        become = self._text("ansible_become").lower() in _YES
        if become and not method.endswith("sudo"):
            return _gap(f"ansible_become_method is {method}; only sudo is used", self.name)
        if become and user != "root":
            return _gap(f"ansible_become_user is {user}; only root is used", self.name)
        if connection in _SSH:
            target = self._ssh()
        elif connection in ("local", "ansible.builtin.local"):
            target = "local://"
        elif connection in _BY_NAME:
            target = f"{_BY_NAME[connection]}://{self._text('ansible_host') or self.name}"
        else:
            return _gap(f"ansible_connection {connection!r} is not one gapcheck has", self.name)
        return Node(target=target, name=self.name, sudo=sudo or become)

    def _text(self, *keys: str) -> str:
        return next((self.settings[key].text for key in keys if key in self.settings), "")

    def _ssh(self) -> str:
        host = self._text("ansible_host", "ansible_ssh_host") or self.name
        port = self._text("ansible_port", "ansible_ssh_port")
        user = self._text("ansible_user", "ansible_ssh_user")
        key = self._text("ansible_ssh_private_key_file", "ansible_private_key_file")
        target = f"[{host}]" if ":" in host else host
        target = f"{user}@{target}" if user else target
        target = f"{target}:{port}" if port else target
        return f"ssh://{target}" + (f"?ssh_identity_file={_quoted(key)}" if key else "")


def _quoted(path: str) -> str:
    return quote(str(Path(path).expanduser()), safe="/")
