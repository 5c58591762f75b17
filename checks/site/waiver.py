"""Waivers: accepted findings, for a time and with a reason."""

from __future__ import annotations

from gapcheck.model import Evidence, Finding, Scope, Severity
from gapcheck.registry import Judgement, Source, check
from gapcheck.site import Waiver
from gapcheck.view import SiteView


@check(
    "SITE-WAIVER-001",
    scope=Scope.SITE,
    severity=Severity.MAJOR,
    source=Source(step=0),
    manual="decide anew: repair what was waived, or set `until` to a later day with a reason",
)
def no_waiver_has_expired(view: SiteView) -> Judgement:
    """No waiver of the site file has expired; the last day still counts."""
    for waiver in view.site.waivers:
        if waiver.until < view.now.date():
            yield Finding(
                problem=f"the waiver of {waiver.check}, {waiver.subject} ended on {waiver.until}",
                evidence=_evidence(waiver),
                consequence=f"{waiver.check} counts again for {waiver.subject}",
                remedy_hint="repair what was waived, or extend `until` with a reason",
                locus=_locus(waiver),
            )


@check(
    "SITE-WAIVER-002",
    scope=Scope.SITE,
    severity=Severity.INFO,
    source=Source(step=0),
    manual="remove the waiver from the site file, or correct its check, subject or locus",
)
def every_waiver_is_needed(view: SiteView) -> Judgement:
    """Every waiver that is still valid accepts at least one finding."""
    for waiver in view.site.waivers:
        if waiver.until >= view.now.date() and not view.is_used(waiver):
            yield Finding(
                problem=f"the waiver of {waiver.check} for {waiver.subject} matches no finding",
                evidence=_evidence(waiver),
                consequence="it would hide a defect that nobody accepted knowingly",
                locus=_locus(waiver),
            )


def _locus(waiver: Waiver) -> str:
    return f"{waiver.check}:{waiver.subject}:{waiver.locus}"


def _evidence(waiver: Waiver) -> tuple[Evidence, ...]:
    owner = waiver.owner or "nobody named"
    return (Evidence("reason", f"{waiver.reason} ({owner})", "site file, waivers"),)
