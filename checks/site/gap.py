"""Gaps: what the site names and nobody could measure."""

from __future__ import annotations

from gapcheck.errors import Unmeasured
from gapcheck.model import Scope, Severity
from gapcheck.registry import Judgement, Source, check
from gapcheck.view import SiteView

_SHOWN = 5


@check(
    "SITE-GAP-001",
    scope=Scope.SITE,
    severity=Severity.MAJOR,
    source=Source(step=0),
    manual="make the named targets reachable, or take them out of the site file",
)
def everything_was_measured(view: SiteView) -> Judgement:
    """Every target that the site file names was reached and read."""
    yield from ()
    gaps = view.gaps
    if gaps:
        shown = "; ".join(f"{gap.subject} ({gap.stage}): {gap.reason}" for gap in gaps[:_SHOWN])
        more = f"; and {len(gaps) - _SHOWN} more" if len(gaps) > _SHOWN else ""
        raise Unmeasured(f"{len(gaps)} of the site's targets", shown + more)
