"""Put the hosts block of CoreDNS right, and that of NodeLocal DNSCache beside it."""

from __future__ import annotations

from collections.abc import Iterator

from gapcheck.errors import CannotPlan
from gapcheck.fixtures.corefile_problems import text_problems
from gapcheck.fixtures.pod_names import cluster_dns, registry_name
from gapcheck.model import Finding, Risk
from gapcheck.registry import remedy
from gapcheck.remediations.dns.corefile_change import load, set_text, with_name
from gapcheck.remediations.plan import EditYaml, PatchObject
from gapcheck.view import DnsView


@remedy("DNS-CORE-001", risk=Risk.RESTART)
def plan_sound_corefile(finding: Finding, view: DnsView) -> Iterator[EditYaml | PatchObject]:
    """Make one hosts block of the Corefile, with fallthrough; new pods load it.

    Nothing is planned where the text would still have the defect afterwards.
    """
    texts = cluster_dns(view)
    if texts is None or texts.core is None:
        reason = "the Corefile is not known"
        raise CannotPlan(reason)
    text = with_name(view, texts.core_text, registry_name(view))
    left = text_problems(text, texts.imports or None)
    if text == texts.core_text or any(each.kind == finding.data["kind"] for each in left):
        reason = f"correct the Corefile by hand: {finding.problem}"
        raise CannotPlan(reason)
    yield set_text(view, texts.core, text)
    yield from load(view, texts.core, text)


@remedy("DNS-CORE-002", risk=Risk.RESTART)
def plan_node_local_entry(finding: Finding, view: DnsView) -> Iterator[EditYaml | PatchObject]:
    """Put the registry's name into NodeLocal DNSCache's own hosts block too."""
    texts = cluster_dns(view)
    if texts is None or texts.node_local is None:
        raise CannotPlan(finding.problem)
    text = with_name(view, texts.node_local_text, registry_name(view))
    if text == texts.node_local_text:
        raise CannotPlan(finding.problem)
    yield set_text(view, texts.node_local, text)
    yield from load(view, texts.node_local, text)
