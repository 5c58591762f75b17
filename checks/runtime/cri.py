"""Guide step 4: kubelet's interface of the runtime is there."""

from __future__ import annotations

from gapcheck.fixtures.containerd import load_config
from gapcheck.fixtures.containerd_types import CRI_1, SHORT_CRI
from gapcheck.fixtures.facts import PluginFact, require
from gapcheck.fixtures.runtimes import Runtime, require_runtime
from gapcheck.model import CheckId, Evidence, Finding, Scope, Severity
from gapcheck.registry import Judgement, Source, check
from gapcheck.view import NodeView

NO_CRI = "kubelet reports unknown service runtime.v1.RuntimeService: the node is NotReady"
_IDS = (CRI_1, SHORT_CRI)


@check(
    "RUN-CRI-001",
    scope=Scope.NODE,
    severity=Severity.CRITICAL,
    after=("RUN-CONF-001",),
    source=Source(step=4, fault=("K15", "K02")),
)
def cri_plugin_is_on(view: NodeView) -> Judgement:
    """Containerd's CRI plugin, through which kubelet pulls, is switched on and loaded."""
    runtime = require_runtime(view, "containerd")
    config = load_config(view)
    off = [each for each in config.disabled if each in _IDS]
    if off:
        yield Finding(
            problem=f"disabled_plugins switches the CRI plugin off ({', '.join(off)})",
            evidence=(Evidence("disabled_plugins", ", ".join(config.disabled), config.path),),
            consequence=NO_CRI,
            remedy_hint="take it off the list and restart containerd",
            locus=config.path,
            data={"path": config.path, "kind": "disabled"},
        )
        return
    if not view.facts.running:
        yield Evidence("disabled_plugins", ", ".join(config.disabled) or "none", config.path)
        return
    if runtime.unit and runtime.unit.active_state != "active":
        yield _down(runtime)
        return
    plugins = require(view.facts.containerd_plugins, "the plugins of containerd", view.subject)
    yield from _loaded(plugins)


def _down(runtime: Runtime) -> Finding:
    state = runtime.unit.active_state if runtime.unit else ""
    return Finding(
        problem=f"containerd does not run ({state}), and with it the CRI plugin",
        evidence=(Evidence("state", state, runtime.service),),
        consequence=NO_CRI,
        because=(CheckId("RUN-LOAD-001"),),
        data={"kind": "down"},
    )


def _loaded(plugins: tuple[PluginFact, ...]) -> Judgement:
    found = [each for each in plugins if each.id == SHORT_CRI]
    if not found:
        yield Finding(
            problem="containerd runs without a CRI plugin",
            evidence=(Evidence("plugins", str(len(plugins)), "ctr plugins ls"),),
            consequence=NO_CRI,
            because=(CheckId("RUN-LOAD-001"),),
            data={"kind": "absent"},
        )
    for each in found:
        if each.status == "ok":
            yield Evidence("CRI plugin", each.status, "ctr plugins ls")
            continue
        why = f": {each.error}" if each.error else ""
        yield Finding(
            problem=f"the CRI plugin did not load (status {each.status}){why}",
            evidence=(Evidence("CRI plugin", each.status, "ctr plugins ls"),),
            consequence=NO_CRI,
            because=tuple(
                CheckId(name) for name in ("RUN-REG-001", "RUN-CONF-002", "RUN-LOAD-001")
            ),
            data={"kind": "error"},
        )
