"""Repairs of guide step 4: a daemon that runs with what lies on disk."""

from __future__ import annotations

from collections.abc import Iterator

from gapcheck.model import Finding, Risk
from gapcheck.registry import remedy
from gapcheck.remediations.plan import Change, RestartUnit
from gapcheck.view import NodeView


@remedy("RUN-LOAD-001", risk=Risk.RESTART)
def plan_restart(finding: Finding, view: NodeView) -> Iterator[Change]:
    """Restart the runtime; running containers stay, log streams and exec sessions break."""
    yield RestartUnit(target=view.subject, unit=finding.data["unit"])
