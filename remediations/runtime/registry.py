"""Repairs of guide step 4: settings for this registry that have effect."""

from __future__ import annotations

from collections.abc import Iterator

from gapcheck.model import Finding, Risk
from gapcheck.registry import remedy
from gapcheck.remediations.plan import Change
from gapcheck.remediations.runtime.settle import settle
from gapcheck.view import NodeView


@remedy("RUN-REG-001", risk=Risk.RESTART)
def plan_effective(finding: Finding, view: NodeView) -> Iterator[Change]:
    """One explicit config_path, the registry's folder under its right name, nothing beside it."""
    del finding  # the whole state is planned, whichever part is wrong
    yield from settle(view)
