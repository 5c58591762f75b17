"""Repairs of guide step 3, ahead of time: the CA of tomorrow beside the one of today."""

from __future__ import annotations

from collections.abc import Iterator

from gapcheck.fixtures.node_trust import node_trust
from gapcheck.fixtures.runtimes import runtime_of
from gapcheck.model import Finding, Risk
from gapcheck.registry import remedy
from gapcheck.remediations.node.system_store import system_store
from gapcheck.remediations.plan import Change, RestartUnit
from gapcheck.remediations.runtime.settle import settle, site_ca
from gapcheck.view import NodeView


@remedy("NODE-TRUST-008", risk=Risk.RESTART)
def plan_ca_to_come(finding: Finding, view: NodeView) -> Iterator[Change]:
    """Put every CA of the site's CA file beside today's, in each store that holds this one.

    The runtime is restarted only where it reads the system store alone.
    """
    ca, trust, runtime = site_ca(view), node_trust(view), runtime_of(view)
    if runtime is not None:
        yield from settle(view)
    if runtime is None or ca.fingerprints <= trust.store.fingerprints:
        yield from system_store(view, ca)
    reads_system = view.site.policy.trust == "os" and finding.data["lacking"] == "everywhere"
    if reads_system and view.facts.running and runtime and runtime.unit:
        yield RestartUnit(target=view.subject, unit=runtime.unit.name)
