"""A change of the text that CoreDNS or NodeLocal DNSCache runs on. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Any

from gapcheck.errors import CannotPlan
from gapcheck.fixtures.caddyfile import CorefileError
from gapcheck.fixtures.corefile import with_hosts_entry
from gapcheck.fixtures.facts import Present
from gapcheck.fixtures.kube_facts import ConfigMapFact, Workload
from gapcheck.remediations.objects import edit_object, patch_object, put, roll_out
from gapcheck.remediations.plan import EditYaml, PatchObject
from gapcheck.view import DnsView, View


def expected_address(view: View[Any]) -> str:
    """The address that pods are to get; CannotPlan where the site does not say."""
    expected = view.site.expected_address
    if expected is None:
        reason = "which address? set registry.address or dns.expected in the site file"
        raise CannotPlan(reason)
    return expected


def with_name(view: View[Any], text: str, name: str) -> str:
    """The Corefile `text` with the registry's name in its hosts block."""
    try:
        return with_hosts_entry(text, expected_address(view), name)
    except (CorefileError, ValueError) as bad:
        reason = f"the Corefile has to be put right by hand first: {bad}"
        raise CannotPlan(reason) from bad


def set_text(view: View[Any], fact: ConfigMapFact, text: str) -> EditYaml | PatchObject:
    """`text` under the key of the config map; CannotPlan where another tool writes it anew."""
    if fact.name.startswith("rke2-"):
        reason = "RKE2 writes this config map anew: put the hosts block into a HelmChartConfig"
        raise CannotPlan(reason)
    if fact.file:
        return edit_object(view, fact, (put(fact, ("data", fact.key), text),))
    return patch_object("ConfigMap", fact, {"data": {fact.key: text}})


def load(view: DnsView, fact: ConfigMapFact, text: str) -> Iterator[PatchObject]:
    """New pods of what runs on the config map `fact`: they load `text` at once, or do not start.

    By itself CoreDNS looks at its text again after a minute or two, and keeps the old one where
    it cannot load the new. Nothing is planned where its workloads are not known.
    """
    servers = view.facts.servers
    if fact.file or not isinstance(servers, Present):
        return
    running = [each.workload for each in servers.value if _mounts(each.workload, fact.name)]
    digest = hashlib.sha256(text.encode()).hexdigest()
    yield from roll_out(running, digest[:16], loaded="gapcheck/corefile")


def _mounts(workload: Workload, config_map: str) -> bool:
    return any((each.kind, each.source) == ("configmap", config_map) for each in workload.volumes)
