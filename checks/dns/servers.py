"""Whether the cluster's name service runs."""

from __future__ import annotations

from gapcheck.counting import counted
from gapcheck.errors import NotApplicable
from gapcheck.fixtures.facts import measured
from gapcheck.model import CheckId, Evidence, Finding, Scope, Severity
from gapcheck.registry import Judgement, Source, check
from gapcheck.view import DnsView


@check(
    "DNS-CORE-003",
    scope=Scope.DNS,
    severity=Severity.CRITICAL,
    after=("SITE-CLUSTER-001",),
    source=Source(step=8, fault=("D06", "D17")),
    manual="why its pods do not run is another finding's, or the cluster's own matter: "
    "kubectl -n kube-system describe pods -l k8s-app=kube-dns",
)
def name_service_runs(view: DnsView) -> Judgement:
    """Pods of CoreDNS, and of NodeLocal DNSCache where there is one, are ready to answer."""
    if view.site.cluster is None or not view.site.dns.pods:
        reason = "no pod of the site needs the cluster's name service"
        raise NotApplicable(reason)
    servers = measured(view.facts.servers, "the workloads of the name service", view.subject)
    if servers is None:
        reason = "no workload of a name service was found"
        raise NotApplicable(reason)
    for each in servers:
        workload = each.workload
        place = f"{workload.kind}/{workload.namespace}/{workload.name}"
        seen = Evidence("ready pods", f"{each.ready} of {each.wanted}", place)
        yield seen
        if each.ready and each.ready >= each.wanted:
            continue
        waits = (Evidence("kubelet says", each.waits, place),) if each.waits else ()
        yield Finding(
            problem=f"{workload.kind} {workload.name} does not serve names: "
            f"{each.ready} of {counted(each.wanted, 'pod')} ready",
            evidence=(seen, *waits),
            consequence="lookup in every pod: i/o timeout or connection refused"
            if not each.ready
            else "lookups take longer, and one more loss ends them",
            remedy_hint=f"kubectl -n {workload.namespace} describe pods; logs of its last start",
            locus=place,
            severity=Severity.MINOR if each.ready else None,
            because=(CheckId("DNS-CORE-001"), CheckId("DNS-CORE-002")),
        )
