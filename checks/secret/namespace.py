"""The namespace that secret and release live in."""

from __future__ import annotations

from gapcheck.errors import NotApplicable
from gapcheck.fixtures.facts import measured
from gapcheck.model import Evidence, Finding, Scope, Severity
from gapcheck.registry import Judgement, Source, check
from gapcheck.view import ReleaseView


@check(
    "SECRET-NS-001",
    scope=Scope.RELEASE,
    severity=Severity.CRITICAL,
    after=("SITE-CLUSTER-001",),
    source=Source(step=6, fault=("S06",)),
    manual="who owns the namespace decides its labels and quotas: kubectl create namespace NAME",
)
def namespace_exists(view: ReleaseView) -> Judgement:
    """The namespace of the release exists."""
    facts = view.facts
    if facts.source == "none":
        reason = "the site file names no cluster"
        raise NotApplicable(reason)
    exists = measured(facts.namespace_exists, f"the namespace {facts.namespace}", view.subject)
    if exists is None:
        reason = f"no manifest of the folder makes the namespace {facts.namespace}"
        raise NotApplicable(reason)
    yield Evidence("namespace", f"{facts.namespace} {'exists' if exists else 'is absent'}")
    if not exists:
        yield Finding(
            problem=f"the namespace {facts.namespace} does not exist",
            evidence=(Evidence("namespaces", "none of this name", facts.source),),
            consequence=f'kubectl and helm stop with: namespaces "{facts.namespace}" not found',
            remedy_hint=f"kubectl create namespace {facts.namespace}",
            locus=f"Namespace/{facts.namespace}",
        )
