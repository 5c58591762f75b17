"""The cluster's API, or the folder of manifests that stands for it."""

from __future__ import annotations

from gapcheck.fixtures.facts import measured
from gapcheck.model import Evidence, Finding, Scope, Severity
from gapcheck.registry import Judgement, Source, check
from gapcheck.view import ClusterView


@check(
    "SITE-CLUSTER-001",
    scope=Scope.CLUSTER,
    severity=Severity.CRITICAL,
    source=Source(step=6, fault=("H10",)),
    manual="see what the API server or the folder answered, and correct kubeconfig or manifests",
)
def cluster_can_be_read(view: ClusterView) -> Judgement:
    """The cluster's API server answers and lets gapcheck read what it needs."""
    facts = view.facts
    version = measured(facts.version, f"the cluster behind {facts.endpoint}", view.subject)
    yield Evidence("cluster", f"{facts.source} {version or ''}".strip(), facts.endpoint)
    for right in facts.denied:
        yield Finding(
            problem=f"the account in use may not {right}",
            evidence=(Evidence("asked", "SelfSubjectAccessReview", facts.endpoint),),
            consequence="what it would show is not judged",
            remedy_hint=f"kubectl auth can-i {right}",
            locus=right,
            # What needs the right is not measured and says so itself; the rest is judged.
            severity=Severity.MINOR,
        )
