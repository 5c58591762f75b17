"""The registry's name in pods."""

from __future__ import annotations

from collections.abc import Iterator

from gapcheck.errors import NotApplicable, Unmeasured
from gapcheck.fixtures.caddyfile import CorefileError
from gapcheck.fixtures.facts import Present
from gapcheck.fixtures.kube_facts import Workload
from gapcheck.fixtures.pod_names import (
    Named,
    answered,
    cluster_dns,
    lacking_alias,
    registry_name,
    relevant_workloads,
    upstream,
)
from gapcheck.fixtures.workload_images import refuse_partial
from gapcheck.model import RELEASE, CheckId, Evidence, Finding, Scope, Severity
from gapcheck.registry import Judgement, Source, check
from gapcheck.view import DnsView


@check(
    "DNS-POD-001",
    scope=Scope.DNS,
    severity=Severity.CRITICAL,
    after=("SITE-CLUSTER-001", "DNS-CORE-001", "DNS-CORE-002", "DNS-CORE-003"),
    source=Source(step=8, fault=("D03", "D04", "D08", "D13")),
)
def pods_resolve_the_registry(view: DnsView) -> Judgement:
    """Pods get the registry's name: from CoreDNS, from what it forwards to, or by hostAliases.

    hostAliases of every workload that talks to the registry decide; else what the cluster's DNS
    services answered; else the Corefile and the servers it forwards to.
    """
    name = registry_name(view)
    _wanted(view)
    if view.site.release and not _unread(view) and not lacking_alias(view, name):
        covered = relevant_workloads(view)
        if covered:
            yield Evidence(
                "hostAliases or hostNetwork", ", ".join(each.name for each in covered), name
            )
            return
    asked = {each: seen for each, seen in view.facts.pods.items() if isinstance(seen, Present)}
    if asked:
        yield from _by_services(view, name, asked)
        return
    named = _by_dns(view, name)
    yield Evidence("pods' DNS", f"{named.by}: {_shown(named)}", named.source)
    if _is_right(view, named):
        return
    if _unread(view):
        reason = f"their hostAliases could not be read, and {named.by} has {_shown(named)}"
        raise Unmeasured("what pods get", reason, view.subject)
    yield _finding(view, name, named, lacking_alias(view, name))


def _wanted(view: DnsView) -> None:
    """Raise NotApplicable where no pod needs the name."""
    if view.site.cluster is None:
        reason = "the site file names no cluster"
        raise NotApplicable(reason)
    if not view.site.dns.pods:
        reason = "dns.pods is false: pods need not resolve the registry"
        raise NotApplicable(reason)


def _unread(view: DnsView) -> bool:
    """Whether hostAliases may be there that nobody could read."""
    try:
        relevant_workloads(view)
        if view.has(RELEASE):
            refuse_partial(view, "every hostAliases entry")
    except Unmeasured:
        return True
    return False


def _by_dns(view: DnsView, name: str) -> Named:
    """What the cluster's DNS gives; raises Unmeasured where that is not known."""
    texts = cluster_dns(view)
    if texts is not None:
        try:
            return answered(view, texts, name)
        except CorefileError as bad:
            raise Unmeasured(f"what CoreDNS answers for {name}", str(bad), "dns") from bad
    if view.site.cluster and view.site.cluster.manifests is None:
        raise Unmeasured(f"what pods get for {name}", "no config map of CoreDNS was found", "dns")
    servers = (*view.facts.resolvers, "/etc/resolv.conf")
    try:
        outside = upstream(view, servers, name)
    except Unmeasured:
        outside = None
    if outside is not None and _is_right(view, outside):
        reason = (
            f"{outside.by} has {_shown(outside)}, but the folder holds no Corefile that would "
            "show whether the cluster asks there; add its config map or hostAliases to the folder"
        )
        raise Unmeasured(f"what pods get for {name}", reason, "dns")
    return Named(addresses=(), by="the folder has neither a CoreDNS entry nor hostAliases")


def _is_right(view: DnsView, named: Named) -> bool:
    expected = view.site.expected_address
    return bool(named.addresses) and (expected is None or set(named.addresses) == {expected})


def _shown(named: Named) -> str:
    return ", ".join(named.addresses) or "no address"


def _by_services(
    view: DnsView, name: str, asked: dict[str, Present[tuple[str, ...]]]
) -> Iterator[Finding | Evidence]:
    lacking = () if _unread(view) else lacking_alias(view, name)
    for service, seen in asked.items():
        named = Named(addresses=seen.value, by=f"the service {service}", source=service)
        yield Evidence(f"lookup {name}", _shown(named), named.by)
        if not _is_right(view, named):
            yield _finding(view, name, named, lacking)


def _finding(view: DnsView, name: str, named: Named, without: tuple[Workload, ...]) -> Finding:
    expected = view.site.expected_address
    lacking = ", ".join(f"{each.kind} {each.name}" for each in without)
    problem = (
        f"pods get {_shown(named)} for {name}; {expected} is expected"
        if named.addresses
        else f"pods get no address for {name}"
    )
    return Finding(
        problem=problem,
        evidence=(
            Evidence("pods' DNS", f"{named.by}: {_shown(named)}", named.source),
            Evidence("hostAliases", f"not in {lacking}" if lacking else "none looked at"),
        ),
        consequence=f"lookup {name}: no such host, in the product's own calls to the registry"
        if not named.addresses
        else "the product's own calls go to another machine",
        remedy_hint="a hosts block in CoreDNS, or hostAliases; a node's hosts file never helps",
        locus=name,
        because=(CheckId("DNS-NAME-001"),) if named.by.startswith("the resolver") else (),
    )
