"""Which name servers the release's pods ask."""

from __future__ import annotations

from gapcheck.fixtures.workload_images import refuse_partial, release_workloads
from gapcheck.model import Evidence, Finding, Scope, Severity
from gapcheck.registry import Judgement, Source, check
from gapcheck.view import ReleaseView


@check(
    "DNS-POLICY-001",
    scope=Scope.RELEASE,
    severity=Severity.MINOR,
    after=("SITE-CLUSTER-001",),
    source=Source(step=8, fault=("D12",)),
)
def host_network_pods_ask_the_cluster(view: ReleaseView) -> Judgement:
    """Pods on the host's network ask the cluster's name service, as all other pods do."""
    workloads = release_workloads(view)
    on_host = [each for each in workloads if each.host_network]
    yield Evidence("hostNetwork", ", ".join(each.name for each in on_host) or "none")
    for workload in on_host:
        if workload.dns_policy == "ClusterFirst":
            yield Finding(
                problem=f"{workload.kind} {workload.name} has hostNetwork and dnsPolicy "
                "ClusterFirst, which there means the node's own resolver",
                evidence=(Evidence("dnsPolicy", workload.dns_policy, workload.locus),),
                consequence="names of the cluster's services do not resolve in its pods, and "
                "entries of CoreDNS are not seen",
                remedy_hint="dnsPolicy: ClusterFirstWithHostNet",
                locus=f"{workload.kind}/{workload.namespace}/{workload.name}",
            )
    refuse_partial(view, "every dnsPolicy")
