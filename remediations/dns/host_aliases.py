"""The hostAliases that a pod should have. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from gapcheck.fixtures.hosts import normal_address
from gapcheck.fixtures.kube_facts import HostAlias, Workload
from gapcheck.remediations.objects import put
from gapcheck.remediations.plan import KeyEdit

Entry = dict[str, Any]


def with_alias(workload: Workload, name: str, address: str) -> list[Entry]:
    """The workload's hostAliases after which `name` has `address` alone; other names stay.

    Entries that the API server would refuse, an unexpanded variable for one, are left out.
    """
    kept: list[HostAlias] = []
    for alias in workload.host_aliases:
        names = tuple(each for each in alias.hostnames if each.lower() != name and _is_name(each))
        if names and normal_address(alias.ip):
            kept.append(HostAlias(ip=alias.ip, hostnames=names))
    same = next((each for each in kept if normal_address(each.ip) == address), None)
    if same is None:
        kept.append(HostAlias(ip=address, hostnames=(name,)))
    else:
        kept[kept.index(same)] = HostAlias(ip=same.ip, hostnames=(*same.hostnames, name))
    return [{"ip": each.ip, "hostnames": list(each.hostnames)} for each in kept]


def alias_edits(workload: Workload, entries: list[Entry]) -> Iterator[KeyEdit]:
    """Edits of the manifest after which the pod's hostAliases are `entries`.

    Where as many entries stay, only the fields that differ change, and comments are kept.
    """
    keys = (*workload.pod_path, "hostAliases")
    if not workload.host_aliases or len(entries) != len(workload.host_aliases):
        yield put(workload, keys, entries)
        return
    for at, (old, new) in enumerate(zip(workload.host_aliases, entries, strict=True)):
        if old.ip != new["ip"]:
            yield put(workload, (*keys, at, "ip"), new["ip"])
        if list(old.hostnames) != new["hostnames"]:
            yield put(workload, (*keys, at, "hostnames"), new["hostnames"])


def _is_name(text: str) -> bool:
    return not text.startswith("$") and text == text.lower() and ":" not in text
