"""What can be found out about a site before there is a site file.

Nothing here fails: what could not be found becomes a note that says why.
"""

from __future__ import annotations

import re
import socket
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gapcheck.fixtures.helm import HelmDefect, decode_record, release_record
from gapcheck.fixtures.images import parse_reference
from gapcheck.fixtures.kube_facts import KubeNode, ReleaseRecord
from gapcheck.fixtures.pki import Cert, read_certificate
from gapcheck.fixtures.probes.kube import Kube, KubeError, cannot, open_cluster
from gapcheck.fixtures.probes.tls import handshake
from gapcheck.site import Cluster

if TYPE_CHECKING:
    from gapcheck.fixtures.facts import TlsFact

TIMEOUT_S = 10.0
_IMAGE = re.compile(r"^\s*(?:-\s+)?image:\s*[\"']?([^\s\"'#]+)", re.MULTILINE)
_PUBLIC = ("docker.io", "quay.io", "ghcr.io", "registry.k8s.io", "gcr.io", "mcr.microsoft.com")


@dataclass(slots=True)
class Served:
    """A registry's name as it was met: where it lies, and what chain it serves, leaf first."""

    host: str
    port: int
    addresses: tuple[str, ...] = ()
    tls: TlsFact | None = None
    chain: tuple[Cert, ...] = ()
    notes: list[str] = field(default_factory=list)


@dataclass(slots=True)
class Installed:
    """One Helm release: its record, the profile its values show, the images it renders."""

    record: ReleaseRecord
    profile: str
    images: tuple[str, ...]


@dataclass(slots=True)
class Found:
    """What a cluster says of itself."""

    context: str = ""
    endpoint: str = ""
    nodes: tuple[KubeNode, ...] = ()
    releases: tuple[Installed, ...] = ()
    notes: list[str] = field(default_factory=list)


def meet_registry(host: str, port: int, address: str | None) -> Served:
    """Resolve the registry's name and look at the chain it serves; nothing is sent to it."""
    served = Served(host, port)
    if address is not None:
        served.addresses = (address,)
    else:
        try:
            rows = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError) as wrong:
            served.notes.append(f"{host} does not resolve here: {wrong}")
            return served
        served.addresses = tuple(dict.fromkeys(str(row[4][0]) for row in rows))
    probed = handshake(host, port, address=served.addresses[0], timeout_s=TIMEOUT_S)
    served.tls = probed.facts
    if probed.facts.error:
        served.notes.append(f"handshake with {served.addresses[0]}: {probed.facts.error}")
    for digest in probed.facts.chain:
        try:
            served.chain = (*served.chain, read_certificate(probed.blobs[digest]))
        except ValueError as wrong:
            served.notes.append(f"a served certificate is unreadable: {wrong}")
    return served


def meet_cluster(
    kubeconfig: Path, context: str | None, *, namespace: str | None, release: str | None
) -> Found:
    """Nodes and Helm releases of the cluster behind a kubeconfig."""
    found = Found(context=context or "")
    try:
        wanted = Cluster(kubeconfig=str(kubeconfig.absolute()), context=context)
        kube = open_cluster(wanted, base=Path.cwd(), timeout_s=TIMEOUT_S)
    except KubeError as wrong:
        found.notes.append(wrong.why)
        return found
    found.endpoint = kube.endpoint
    found.context = context or _current_context(kubeconfig)
    try:
        found.nodes = tuple(sorted(map(_node, kube.items("/api/v1/nodes")), key=lambda n: n.name))
    except KubeError as wrong:
        found.notes.append(cannot(wrong, "list nodes"))
    try:
        found.releases = tuple(_releases(kube, namespace, release, found.notes))
    except KubeError as wrong:
        found.notes.append(cannot(wrong, "list secrets"))
    return found


def _current_context(kubeconfig: Path) -> str:
    from kubernetes import config
    from kubernetes.config.config_exception import ConfigException

    try:
        _, active = config.list_kube_config_contexts(str(kubeconfig))  # type: ignore[no-untyped-call] # the client ships no types
    except (ConfigException, OSError, TypeError, ValueError):
        return ""
    return str(active.get("name", ""))


def _node(data: Mapping[str, Any]) -> KubeNode:
    spec, status = data.get("spec") or {}, data.get("status") or {}
    info = status.get("nodeInfo") or {}
    return KubeNode(
        name=str((data.get("metadata") or {}).get("name", "")),
        schedulable=not spec.get("unschedulable", False),
        ready=True,
        arch=str(info.get("architecture", "")),
        runtime=str(info.get("containerRuntimeVersion", "")),
        addresses=tuple(str(each.get("address")) for each in status.get("addresses") or ()),
    )


def _releases(
    kube: Kube, namespace: str | None, release: str | None, notes: list[str]
) -> Iterable[Installed]:
    """The newest revision of each release; a record that cannot be read is a note."""
    where = f"/api/v1/namespaces/{namespace}/secrets" if namespace else "/api/v1/secrets"
    label = "owner=helm" + (f",name={release}" if release else "")
    newest: dict[tuple[str, str], Installed] = {}
    for secret in kube.items(where, {"labelSelector": label}):
        name = str((secret.get("metadata") or {}).get("name", ""))
        try:
            installed = _installed(secret)
        except (HelmDefect, ValueError) as wrong:
            notes.append(f"secret {name}: {wrong}")
            continue
        key = (installed.record.namespace, installed.record.name)
        if key not in newest or newest[key].record.revision < installed.record.revision:
            newest[key] = installed
    return [newest[key] for key in sorted(newest)]


def _installed(secret: Mapping[str, Any]) -> Installed:
    import base64

    stored = base64.b64decode(str((secret.get("data") or {}).get("release", "")), validate=True)
    data = decode_record(stored)
    record = release_record(data)
    images = tuple(dict.fromkeys(_IMAGE.findall(str(data.get("manifest", "")))))
    return Installed(record, profile_of(record), images)


def profile_of(record: ReleaseRecord) -> str:
    """coder-v1 charts have `coderd` values and versions 1.x; coder-v2 charts have neither."""
    if record.chart != "coder":
        return "generic"
    paths = (*record.user_paths, *record.user_values, *record.default_values)
    keys = {path.partition(".")[0] for path in paths}
    if "coderd" in keys:
        return "coder-v1"
    if "coder" in keys:
        return "coder-v2"
    return "coder-v1" if record.chart_version.lstrip("v").startswith("1.") else "coder-v2"


def private_registry(releases: Iterable[Installed]) -> tuple[str, int] | None:
    """The registry that most of the releases' images come from, public ones left out."""
    hosts: Counter[tuple[str, int]] = Counter()
    for each in releases:
        for image in each.images:
            try:
                reference = parse_reference(image)
            except ValueError:
                continue
            if reference.host not in _PUBLIC:
                hosts[reference.host, reference.port] += 1
    return max(sorted(hosts), key=hosts.__getitem__) if hosts else None
