"""Give pods the registry's name: by CoreDNS, or by hostAliases."""

from __future__ import annotations

from collections.abc import Iterator

from gapcheck.errors import CannotPlan, Unmeasured
from gapcheck.fixtures.kube_facts import Workload
from gapcheck.fixtures.pod_names import ClusterDns, cluster_dns, lacking_alias, registry_name
from gapcheck.model import Finding, Risk
from gapcheck.registry import remedy
from gapcheck.remediations.dns.corefile_change import expected_address, load, set_text, with_name
from gapcheck.remediations.dns.host_aliases import with_alias
from gapcheck.remediations.objects import patch_object, set_in_pod
from gapcheck.remediations.plan import EditYaml, PatchObject
from gapcheck.view import DnsView

_CUSTOM_KEY = "gapcheck.server"


@remedy("DNS-POD-001", risk=Risk.RESTART)
def plan_name_in_pods(finding: Finding, view: DnsView) -> Iterator[EditYaml | PatchObject]:
    """Add the name to CoreDNS of a live cluster; in a folder of manifests, to hostAliases.

    New pods of CoreDNS load its text. hostAliases of a live workload start its pods anew,
    and are used only where CoreDNS cannot be changed.
    """
    name = registry_name(view)
    address = expected_address(view)
    workloads = _lacking(view, name)
    in_folder = bool(view.site.cluster and view.site.cluster.manifests)
    if not in_folder or not workloads:
        try:
            changes = tuple(_by_coredns(view, name, address))
        except CannotPlan:
            if not workloads:
                raise
            changes = ()
        if changes:
            yield from changes
            return
    if not workloads:
        reason = f"neither CoreDNS nor a workload can be changed here: {finding.problem}"
        raise CannotPlan(reason)
    for workload in workloads:
        entries = with_alias(workload, name, address)
        yield set_in_pod(view, workload, ("hostAliases",), entries)


def _lacking(view: DnsView, name: str) -> tuple[Workload, ...]:
    try:
        return lacking_alias(view, name)
    except Unmeasured:
        return ()


def _by_coredns(view: DnsView, name: str, address: str) -> Iterator[EditYaml | PatchObject]:
    """A change of CoreDNS's text, and the pods that load it; nothing where none would help."""
    try:
        texts = cluster_dns(view)
    except Unmeasured:
        return
    if texts is None or texts.core is None:
        return
    block = _custom(texts, name, address)
    if block and texts.custom:
        yield patch_object("ConfigMap", texts.custom, {"data": {_CUSTOM_KEY: block}})
        yield from load(view, texts.custom, block)
        return
    text = with_name(view, texts.core_text, name)
    if text != texts.core_text:
        yield set_text(view, texts.core, text)
        yield from load(view, texts.core, text)


def _custom(texts: ClusterDns, name: str, address: str) -> str:
    """A server block with the name, where the distribution keeps a place for such; else ''.

    k3s and AKS write the Corefile itself anew and leave coredns-custom alone.
    """
    custom = texts.custom
    if custom is None or custom.file or ".server" not in texts.core_text:
        return ""
    return (
        f"{name}:53 {{\n    errors\n    hosts {{\n        {address} {name}\n        "
        "fallthrough\n    }\n    forward . /etc/resolv.conf\n}\n"
    )
