"""Repairs of guide step 3: files of the CA that lie where nothing reads them."""

from __future__ import annotations

from collections.abc import Iterator

from gapcheck.errors import CannotPlan
from gapcheck.model import Finding, Risk
from gapcheck.registry import remedy
from gapcheck.remediations.node.system_store import known_family, rebuild
from gapcheck.remediations.node.whole_files import removed
from gapcheck.remediations.plan import Change
from gapcheck.view import NodeView


@remedy("NODE-TRUST-002", risk=Risk.SAFE)
def plan_removal(finding: Finding, view: NodeView) -> Iterator[Change]:
    """Remove the copy: no program loses a CA by it; NODE-TRUST-001 installs one that counts."""
    yield removed(view, finding.data["path"])


@remedy("NODE-TRUST-003", risk=Risk.RESTART)
def plan_rebuild(finding: Finding, view: NodeView) -> Iterator[Change]:
    """Rebuild the bundle from the anchors, and restart the runtime where it needs the CA."""
    if finding.data["kind"] == "blocked":
        raise CannotPlan(
            f"somebody distrusted it on purpose: take {finding.data['path']} away by hand"
        )
    yield from rebuild(view, known_family(view))
