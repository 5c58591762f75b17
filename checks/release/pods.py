"""Whether the release's pods run: the last word of kubelet itself."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import timedelta

from gapcheck.errors import NotApplicable
from gapcheck.fixtures.facts import measured
from gapcheck.fixtures.images import parse_reference
from gapcheck.fixtures.kube_facts import PodFact, Workload
from gapcheck.fixtures.workload_images import from_registry
from gapcheck.model import CheckId, Evidence, Finding, Scope, Severity
from gapcheck.registry import Judgement, Source, check
from gapcheck.view import ReleaseView

# A start takes a while; what is not ready after this has a reason.
_PATIENCE = timedelta(seconds=60)
_FOREIGN = ("REL-IMAGE-001", "REL-NAME-001", "REL-VALUE-001")
_PULL = (
    "REG-NET-001", "REG-TLS-001", "REG-API-001", "REG-AUTH-001", "REG-IMAGE-001", "REG-IMAGE-002",
    "SECRET-PULL-001", "DNS-NODE-001", "NODE-TRUST-001", "NODE-TRUST-005",
    "RUN-CONF-001", "RUN-CONF-002", "RUN-CRI-001", "RUN-HOSTS-001", "RUN-REG-001",
    "RUN-LOAD-001", "RUN-PROXY-001", "RUN-SANDBOX-001", "NODE-SPACE-001",
)  # fmt: skip
_START = ("SECRET-NS-001", "SECRET-CA-001", "SECRET-PULL-001", "RUN-SANDBOX-001", *_FOREIGN)
_SERVE = (
    "SECRET-CA-001", "SECRET-CA-002", "SECRET-CA-003", "REL-CERT-001", "DNS-POD-001",
    "DNS-CORE-001", "DNS-CORE-003", "DNS-ALIAS-001", "REG-NET-001", "REG-TLS-001",
    "REG-API-001", "REG-IMAGE-001", *_FOREIGN,
)  # fmt: skip


@check(
    "REL-POD-001",
    scope=Scope.RELEASE,
    severity=Severity.MAJOR,
    after=("SITE-CLUSTER-001",),
    source=Source(step=7, fault=("H11",)),
)
def pods_of_the_release_run(view: ReleaseView) -> Judgement:
    """Each pod of the release's namespace runs and is ready, or became unready a moment ago.

    A Deployment or StatefulSet that is to have pods has one. Pods of jobs do not count.
    """
    if view.facts.source != "live":
        reason = "only a live cluster runs pods"
        raise NotApplicable(reason)
    pods = measured(view.facts.running, "the pods", view.subject) or ()
    workloads = measured(view.facts.workloads, "the workloads", view.subject) or ()
    without = tuple(_without_pods(workloads, pods))
    if not pods and not without:
        reason = "no pod is there, and none is to be"
        raise NotApplicable(reason)
    yield Evidence("pods", f"{sum(each.ready for each in pods)} of {len(pods)} are ready", "API")
    for each in without:
        yield _none(view, each)
    by_locus = {each.locus: each for each in workloads}
    for pod in pods:
        late = not pod.ready and (pod.since is None or view.now - pod.since > _PATIENCE)
        if pod.waits or late:
            yield _finding(view, pod, by_locus.get(pod.workload))


def _without_pods(workloads: Iterable[Workload], pods: Iterable[PodFact]) -> Iterator[Workload]:
    """Workloads that no pod was made of: a quota or a rule of admission forbids it."""
    made = {each.workload for each in pods}
    for each in workloads:
        if each.kind in ("Deployment", "StatefulSet") and each.replicas and each.locus not in made:
            yield each


def _none(view: ReleaseView, workload: Workload) -> Finding:
    return Finding(
        problem=f"{workload.kind} {workload.name} is to have {workload.replicas} and has no pod",
        evidence=(Evidence("pods", "none", workload.locus),),
        consequence="this part of the product is down",
        remedy_hint=f"kubectl -n {view.facts.namespace} get events: a quota or an admission rule "
        "says what it forbids",
        locus=workload.locus,
        data={"pod": "", "stale": "False"},
    )


def _finding(view: ReleaseView, pod: PodFact, workload: Workload | None) -> Finding:
    stale = bool(
        pod.image and workload and pod.image not in {each.image for each in workload.containers}
    )
    since = f"{pod.since:%Y-%m-%d %H:%M:%SZ}" if pod.since else "its start"
    kind = pod.workload.partition("/")[0]
    evidence = [Evidence("pod", pod.name, pod.node or "no node")]
    evidence += [Evidence("kubelet says", pod.waits, pod.node)] if pod.waits else []
    if stale and workload:
        now = ", ".join(each.image for each in workload.containers)
        evidence.append(Evidence(f"its {kind} has", now, workload.locus))
    return Finding(
        problem=f"pod {pod.name} does not start, and is older than its {kind}: {pod.image} is "
        "asked for there no more"
        if stale
        else f"pod {pod.name} does not start: {pod.waits.partition(':')[0]}"
        if pod.waits
        else f"pod {pod.name} is not ready since {since}",
        evidence=tuple(evidence),
        consequence="this part of the product is down",
        remedy_hint=f"kubectl -n {view.facts.namespace} describe pod {pod.name}",
        locus=pod.workload,
        because=() if stale else tuple(map(CheckId, _because(view, pod))),
        data={"pod": pod.name, "stale": str(stale)},
    )


def _because(view: ReleaseView, pod: PodFact) -> tuple[str, ...]:
    if not pod.waits:
        return _SERVE
    if not pod.image or "Image" not in pod.waits.partition(":")[0]:
        return (*_START, *_SERVE) if pod.waits.startswith("Crash") else _START
    return _PULL if from_registry(view, parse_reference(pod.image)) else _FOREIGN
