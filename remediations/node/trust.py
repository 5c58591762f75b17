"""Repairs of guide step 3: the CA where this node's pulls read it."""

from __future__ import annotations

from collections.abc import Iterator

from gapcheck.fixtures.runtimes import runtime_of
from gapcheck.model import Finding, Risk
from gapcheck.registry import remedy
from gapcheck.remediations.node.system_store import system_store
from gapcheck.remediations.plan import Change, RestartUnit
from gapcheck.remediations.runtime.settle import settle, site_ca
from gapcheck.view import NodeView


@remedy("NODE-TRUST-001", risk=Risk.RESTART)
def plan_trust(finding: Finding, view: NodeView) -> Iterator[Change]:
    """Put the CA into the store that policy.trust names, and make the runtime read it.

    The runtime is restarted only where its configuration or the system store changes.
    """
    ca = site_ca(view)
    runtime = runtime_of(view)
    if runtime is None:
        yield from system_store(view, ca)
        return
    loads = finding.data.get("in_store") == "yes" and view.site.policy.trust == "os"
    if loads and view.facts.running and runtime.unit:
        yield RestartUnit(target=view.subject, unit=runtime.unit.name)
        return
    yield from settle(view)


@remedy("NODE-TRUST-007", risk=Risk.RESTART)
def plan_restart(finding: Finding, view: NodeView) -> Iterator[Change]:
    """Restart the runtime, which reads the system's roots once, when it starts."""
    yield RestartUnit(target=view.subject, unit=finding.locus)
