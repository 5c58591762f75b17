"""Repairs of guide step 4: kubelet's interface of containerd."""

from __future__ import annotations

from collections.abc import Iterator

from gapcheck.errors import CannotPlan
from gapcheck.fixtures.containerd import load_config
from gapcheck.fixtures.containerd_types import CRI_1, SHORT_CRI
from gapcheck.fixtures.runtimes import require_runtime
from gapcheck.model import Finding, Risk
from gapcheck.registry import remedy
from gapcheck.remediations.plan import Change, EditToml, KeyEdit
from gapcheck.remediations.runtime.settle import restart
from gapcheck.view import NodeView


@remedy("RUN-CRI-001", risk=Risk.RESTART)
def plan_cri(finding: Finding, view: NodeView) -> Iterator[Change]:
    """Take the CRI plugin off disabled_plugins and restart containerd."""
    if finding.data["kind"] != "disabled":
        raise CannotPlan(
            "the plugin is off because of something else: repair the finding named as root, or "
            "read `journalctl -u containerd`"
        )
    for file in load_config(view).files:
        listed = file.table.get("disabled_plugins")
        names = [str(each) for each in listed] if isinstance(listed, list) else []
        kept = [each for each in names if each not in (CRI_1, SHORT_CRI)]
        if kept != names:
            yield EditToml(
                target=view.subject,
                path=file.path,
                before_sha256=file.fact.sha256,
                edits=(KeyEdit(op="set", keys=("disabled_plugins",), value=kept),),
            )
    yield from restart(view, require_runtime(view))
