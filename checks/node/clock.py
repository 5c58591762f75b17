"""Guide step 1 as a node sees it: certificates are judged by the node's own clock."""

from __future__ import annotations

from gapcheck.errors import NotApplicable
from gapcheck.fixtures.facts import require
from gapcheck.model import Evidence, Finding, Scope, Severity
from gapcheck.registry import Judgement, Source, check
from gapcheck.view import NodeView


@check(
    "NODE-CLOCK-001",
    scope=Scope.NODE,
    severity=Severity.MAJOR,
    source=Source(step=1, fault=("C07",)),
    manual="Setting a clock moves every timer on the node, so it is left to a person: point "
    "chrony, systemd-timesyncd or ntpd at a time source of the site and let it step the clock.",
)
def node_clock_agrees(view: NodeView) -> Judgement:
    """The node's clock agrees with this machine's within policy.max_clock_skew_s."""
    if not view.facts.running:
        raise NotApplicable("the root of an image has no clock")
    clock = require(view.facts.clock, "the clock", view.subject)
    limit = view.site.policy.max_clock_skew_s
    skew = Evidence("skew", f"{clock.skew_s:+.1f} s", "date +%s")
    yield skew
    if abs(clock.skew_s) > limit:
        side = "behind" if clock.skew_s < 0 else "ahead"
        yield Finding(
            problem=f"the node's clock is {abs(clock.skew_s):.1f} s {side}; "
            f"{limit:g} s are allowed",
            evidence=(skew,),
            consequence="certificates look expired or not yet valid: "
            "x509: certificate has expired or is not yet valid",
            remedy_hint="set the clock from a time source of the site",
        )
