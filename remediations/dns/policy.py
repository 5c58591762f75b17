"""Let pods on the host's network ask the cluster's name service."""

from __future__ import annotations

from collections.abc import Iterator

from gapcheck.fixtures.workload_images import release_workloads
from gapcheck.model import Finding, Risk
from gapcheck.registry import remedy
from gapcheck.remediations.objects import set_in_pod
from gapcheck.remediations.plan import EditYaml, PatchObject
from gapcheck.view import ReleaseView


@remedy("DNS-POLICY-001", risk=Risk.RESTART)
def plan_cluster_dns(finding: Finding, view: ReleaseView) -> Iterator[EditYaml | PatchObject]:
    """Set dnsPolicy to ClusterFirstWithHostNet; the pods of a live workload start anew."""
    for workload in release_workloads(view):
        if f"{workload.kind}/{workload.namespace}/{workload.name}" == finding.locus:
            yield set_in_pod(view, workload, ("dnsPolicy",), "ClusterFirstWithHostNet")
