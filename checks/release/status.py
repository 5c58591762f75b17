"""Helm's own word on the release."""

from __future__ import annotations

from gapcheck.errors import NotApplicable
from gapcheck.fixtures.facts import measured
from gapcheck.model import CheckId, Evidence, Finding, Scope, Severity
from gapcheck.registry import Judgement, Source, check
from gapcheck.view import ReleaseView

_PENDING = "another operation (install/upgrade/rollback) is in progress"
_ROOTS = ("REL-IMAGE-001", "REL-NAME-001", "SECRET-NS-001", "SECRET-CA-001")


@check(
    "REL-STATUS-001",
    scope=Scope.RELEASE,
    severity=Severity.MAJOR,
    after=("SITE-CLUSTER-001",),
    source=Source(step=7, fault=("H06",)),
    manual="an install, upgrade or rollback is a person's decision: helm history NAME, then "
    "helm rollback or helm upgrade",
)
def release_is_deployed(view: ReleaseView) -> Judgement:
    """Helm's newest record of the release says `deployed`."""
    facts = view.facts
    record = measured(facts.record, "Helm's record of the release", view.subject)
    release = view.site.release
    name = release.name if release else facts.namespace
    if record is None and facts.source != "live":
        reason = "only a live cluster holds a record of an installed release"
        raise NotApplicable(reason)
    if record is None and view.site.phase == "pre":
        reason = "phase is pre: the release is still to be installed"
        raise NotApplicable(reason)
    if record is None:
        yield Finding(
            problem=f"the release {name} is not installed in the namespace {facts.namespace}",
            evidence=(Evidence("records", "none with owner=helm", f"namespace {facts.namespace}"),),
            consequence="nothing of the product runs",
            remedy_hint="helm install; before that, judge with --phase pre",
            locus=name,
            because=tuple(map(CheckId, _ROOTS[2:])),
        )
        return
    seen = Evidence(
        f"revision {record.revision}", record.status, f"{record.chart} {record.chart_version}"
    )
    yield seen
    if record.status != "deployed":
        pending = record.status.startswith("pending")
        yield Finding(
            problem=f"revision {record.revision} of the release {record.name} is "
            f"{record.status}, not deployed",
            evidence=(seen,),
            consequence=f"helm upgrade stops with: {_PENDING}"
            if pending
            else "what runs is not what this revision asks for",
            remedy_hint=f"helm -n {facts.namespace} history {record.name}, then rollback"
            if pending
            else "repair the cause, then helm upgrade",
            locus=record.name,
            because=() if pending else tuple(map(CheckId, _ROOTS)),
        )
