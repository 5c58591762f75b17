"""Repairs beyond the guide: the registry past the proxy."""

from __future__ import annotations

from collections.abc import Iterator

from gapcheck.errors import CannotPlan
from gapcheck.fixtures.node_files import before_sha256
from gapcheck.fixtures.runtimes import require_runtime
from gapcheck.model import Finding, Risk
from gapcheck.registry import remedy
from gapcheck.remediations.plan import Change, Literal, Stage, WriteFile
from gapcheck.remediations.runtime.settle import restart
from gapcheck.view import NodeView

# systemd joins drop-ins by name: the last one sets the variable.
NAME = "zz-gapcheck-no-proxy.conf"


@remedy("RUN-PROXY-001", risk=Risk.RESTART)
def plan_no_proxy(finding: Finding, view: NodeView) -> Iterator[Change]:
    """Add the registry to NO_PROXY by a drop-in of the unit, keeping what it excepts already."""
    unit = finding.data["unit"]
    excepted = [each.strip() for each in finding.data["no_proxy"].split(",") if each.strip()]
    value = ",".join([*excepted, view.site.registry.host])
    if '"' in value or "\\" in value or "%" in value or "\n" in value:
        raise CannotPlan(f"NO_PROXY of {unit} has quotes or escapes: add the registry by hand")
    path = f"/etc/systemd/system/{unit}.d/{NAME}"
    text = f'[Service]\nEnvironment="NO_PROXY={value}" "no_proxy={value}"\n'
    yield WriteFile(
        target=view.subject,
        path=path,
        before_sha256=before_sha256(view.facts, path),
        content=Literal(text.encode()),
        stage=Stage.RUNTIME,
    )
    yield from restart(view, require_runtime(view))
