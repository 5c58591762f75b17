"""Repairs beyond guide step 4: the pause image from the site's registry."""

from __future__ import annotations

from collections.abc import Iterator

from gapcheck.errors import CannotPlan
from gapcheck.fixtures.containerd import load_config
from gapcheck.fixtures.images import parse_reference
from gapcheck.fixtures.runtimes import require_runtime
from gapcheck.model import Finding, Risk
from gapcheck.registry import remedy
from gapcheck.remediations.plan import Change, EditToml, KeyEdit
from gapcheck.remediations.runtime.settle import restart
from gapcheck.view import NodeView


@remedy("RUN-SANDBOX-001", risk=Risk.RESTART)
def plan_sandbox(finding: Finding, view: NodeView) -> Iterator[Change]:
    """Set the sandbox image to the site's own pause image, where registry.images names one."""
    del finding  # there is one such setting
    config = load_config(view)
    netloc = view.site.registry.netloc
    found = [
        each
        for each in view.site.registry.images
        if each.startswith(f"{netloc}/") and parse_reference(each).path.endswith("pause")
    ]
    if len(found) != 1:
        raise CannotPlan(
            f"push the pause image that kubelet expects to {netloc} and name it in "
            "registry.images of the site file"
        )
    _, keys = config.sandbox_image
    holder = config.main
    if holder is None:
        raise CannotPlan(f"write {config.path} with `containerd config default` first")
    yield EditToml(
        target=view.subject,
        path=holder.path,
        before_sha256=holder.fact.sha256,
        edits=(KeyEdit(op="set", keys=keys, value=found[0]),),
    )
    yield from restart(view, require_runtime(view))
