"""The rights on a cluster that a check and a fix use, each with its reason. Pure.

A check needs what the probes ask for; a fix adds what patching, its backups and its lock ask
for. Nothing is granted on all resources, and no right on secrets outside the namespaces named
here.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from gapcheck.fixtures.kube_objects import DNS_MAPS, DNS_NAMESPACE
from gapcheck.fixtures.kube_rights import NAME_SERVERS, WORKLOADS
from gapcheck.reports.policyreport import GROUP, VERSION
from gapcheck.site import Site

LEASE = "gapcheck"
# RKE2 writes its config map anew, so that one is read and never patched.
_PATCHED_MAPS = tuple(name for name in DNS_MAPS if not name.startswith("rke2-"))
_PATCHED_WORKLOADS = ("deployments", "statefulsets", "daemonsets", "cronjobs")
# What charts render in their own namespace; Helm's records are secrets or config maps.
_CHART_KINDS = (
    ("", "secrets"),
    ("", "configmaps"),
    ("", "services"),
    ("", "serviceaccounts"),
    ("", "persistentvolumeclaims"),
    ("apps", "deployments"),
    ("apps", "statefulsets"),
    ("apps", "daemonsets"),
    ("batch", "jobs"),
    ("batch", "cronjobs"),
    ("networking.k8s.io", "ingresses"),
    ("networking.k8s.io", "networkpolicies"),
    ("policy", "poddisruptionbudgets"),
    ("autoscaling", "horizontalpodautoscalers"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant:
    """Verbs on one resource; `namespace` '' = cluster-wide, `names` () = every name there.

    `path` stands for a URL that is no resource. `role` sets grants apart that may be left out.
    """

    verbs: tuple[str, ...]
    why: str
    resource: str = ""
    group: str = ""
    namespace: str = ""
    names: tuple[str, ...] = ()
    path: str = ""
    role: str = ""


def check_grants(site: Site) -> Iterator[Grant]:
    """What `gapcheck check` and `collect` ask of the API."""
    yield Grant(verbs=("get",), path="/version", why="whether the API answers")
    yield Grant(
        verbs=("create",),
        group="authorization.k8s.io",
        resource="selfsubjectaccessreviews",
        why="which of these rights are missing is found beforehand; a review keeps nothing",
    )
    yield Grant(verbs=("list",), resource="nodes", why="every schedulable node is to be measured")
    yield Grant(verbs=("list",), resource="namespaces", why="names and metadata only")
    yield Grant(
        verbs=("get",),
        resource="configmaps",
        namespace=DNS_NAMESPACE,
        names=DNS_MAPS,
        why="what CoreDNS and NodeLocal DNSCache answer to pods",
    )
    for group, resource, _ in (*NAME_SERVERS, ("", "pods", "Pod"), ("", "services", "Service")):
        yield Grant(
            verbs=("list",),
            group=group,
            resource=resource,
            namespace=DNS_NAMESPACE,
            why="whether CoreDNS runs, and why not; at which address pods ask it",
        )
    if site.release is None:
        return
    namespace = site.release.namespace
    yield Grant(
        verbs=("get",), resource="namespaces", names=(namespace,), why="the release's namespace"
    )
    yield Grant(
        verbs=("get", "list"),
        resource="secrets",
        namespace=namespace,
        why="Helm keeps its record of the release in a secret whose name counts up "
        "(sh.helm.release.v1.NAME.vN): it is found by its label, by a list of metadata alone. "
        "Rights cannot be limited to a label, and who may list may read all, so that naming "
        "secrets under get would protect nothing. Besides it, only the CA secret and pull "
        "secrets are read, each by its name",
    )
    yield Grant(
        verbs=("get", "list"),
        resource="configmaps",
        namespace=namespace,
        why="the same record where Helm is set to keep it there (HELM_DRIVER=configmap)",
    )
    for group, resource, _ in WORKLOADS:
        yield Grant(
            verbs=("list",),
            group=group,
            resource=resource,
            namespace=namespace,
            why="images, mounts, hostAliases and pull secrets of the release",
        )


def report_grants(site: Site) -> Iterator[Grant]:
    """What `--report policyreport:cluster` asks for besides."""
    yield Grant(verbs=("get",), path=f"/apis/{GROUP}/{VERSION}", why="whether reports are taken")
    places = [("clusterpolicyreports", "")]
    if site.release is not None:
        places.append(("policyreports", site.release.namespace))
    for resource, namespace in places:
        yield Grant(
            verbs=("list", "create", "patch", "delete"),
            group=GROUP,
            resource=resource,
            namespace=namespace,
            why="the reports are applied, and those left over of an earlier run deleted; their "
            "names count up, and a right to create or list cannot be limited to names",
        )


def fix_grants(site: Site, secrets: tuple[str, ...]) -> Iterator[Grant]:
    """What `gapcheck fix` and `undo` ask for besides; `secrets` are those that may be patched."""
    namespace = site.release.namespace if site.release else "default"
    yield Grant(
        verbs=("create",),
        group="coordination.k8s.io",
        resource="leases",
        namespace=namespace,
        why="one repair at a time; a right to create cannot be limited to a name",
    )
    yield Grant(
        verbs=("get", "update", "patch", "delete"),
        group="coordination.k8s.io",
        resource="leases",
        namespace=namespace,
        names=(LEASE,),
        why="one repair at a time: the lock is renewed, taken over from a dead run, given free",
    )
    yield Grant(
        verbs=("create",),
        resource="secrets",
        namespace=namespace,
        why="a backup beside each object that is patched here; the CA secret, where it is absent",
    )
    if site.release is not None:
        yield from _release_grants(namespace, secrets)
        if site.release.chart and site.release.values:
            yield from _upgrade_grants(namespace)
    yield from _dns_grants()


def drain_grants() -> Iterator[Grant]:
    """What `gapcheck fix --drain` asks for besides."""
    yield Grant(
        verbs=("get", "list", "patch"),
        resource="nodes",
        why="a node is cordoned and uncordoned, unless it is the last one that takes pods",
    )
    yield Grant(
        verbs=("list",),
        resource="pods",
        why="which pods of a node have to go, in every namespace; whether they are gone",
    )
    yield Grant(
        verbs=("create",),
        resource="pods/eviction",
        why="pods are evicted, never deleted: their disruption budgets decide",
    )


def _release_grants(namespace: str, secrets: tuple[str, ...]) -> Iterator[Grant]:
    yield Grant(
        verbs=("patch", "update", "delete"),
        resource="secrets",
        namespace=namespace,
        names=secrets,
        why="the CA is put in, a leaked private key taken out; update and delete are for undo",
    )
    for group, resource, _ in WORKLOADS:
        if resource in _PATCHED_WORKLOADS:
            yield Grant(
                verbs=("get", "patch", "update"),
                group=group,
                resource=resource,
                namespace=namespace,
                why="hostAliases and roll-outs, waited for; update is for undo",
            )


def _upgrade_grants(namespace: str) -> Iterator[Grant]:
    """What `helm upgrade` and `helm rollback` ask for: the kinds that charts have."""
    for group, resource in _CHART_KINDS:
        yield Grant(
            verbs=("get", "list", "watch", "create", "update", "patch", "delete"),
            group=group,
            resource=resource,
            namespace=namespace,
            role="upgrade",
            why="helm writes its own records and all that the chart renders. Leave this role out "
            "where --max-risk outage is never given, and take from it what the chart has not; a "
            "chart that makes other kinds needs rights on them, and gapcheck names these",
        )


def _dns_grants() -> Iterator[Grant]:
    yield Grant(
        verbs=("patch", "update"),
        resource="configmaps",
        namespace=DNS_NAMESPACE,
        names=_PATCHED_MAPS,
        why="the registry's name in CoreDNS and NodeLocal DNSCache; update is for undo",
    )
    for group, resource, _ in NAME_SERVERS:
        yield Grant(
            verbs=("get", "patch", "update"),
            group=group,
            resource=resource,
            namespace=DNS_NAMESPACE,
            why="new pods of CoreDNS load its new configuration; they are waited for",
        )
    yield Grant(
        verbs=("create",),
        resource="secrets",
        namespace=DNS_NAMESPACE,
        why="a backup beside the config map before it is patched",
    )
    yield Grant(
        verbs=("get",),
        resource="secrets",
        namespace=DNS_NAMESPACE,
        role="undo",
        why="undo reads that backup, whose name holds the run's id and cannot be known here. It "
        "opens every secret of this namespace: leave this role out, and bind it only for an "
        "undo of what was changed in CoreDNS",
    )
