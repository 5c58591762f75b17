"""Guide step 4: the daemon runs with the configuration that lies on disk."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

from gapcheck.errors import NotApplicable, Unmeasured
from gapcheck.fixtures.containerd import load_config
from gapcheck.fixtures.facts import FileFact, PluginFact, Present, UnitFact
from gapcheck.fixtures.node_files import file_at
from gapcheck.fixtures.runtimes import SINGLE_FILES, Runtime, require_runtime
from gapcheck.model import CheckId, Evidence, Finding, Scope, Severity
from gapcheck.registry import Judgement, Source, check
from gapcheck.view import NodeView


@check(
    "RUN-LOAD-001",
    scope=Scope.NODE,
    severity=Severity.MAJOR,
    after=("RUN-CONF-001",),
    source=Source(step=4, fault=("K16", "N05")),
)
def daemon_loaded_its_configuration(view: NodeView) -> Judgement:
    """The runtime runs, and was started after its configuration last changed."""
    runtime = require_runtime(view)
    if not view.facts.running:
        raise NotApplicable("the root of an image runs no daemon")
    if runtime.unit is None:
        reason = runtime.unit_gap or "no systemd unit runs it"
        raise Unmeasured(f"the start time of {runtime.kind}", reason)
    unit = runtime.unit
    yield Evidence("started", _moment(unit.started), unit.name)
    if unit.active_state != "active":
        yield _finding(unit, f"{unit.name} does not run: it is {unit.active_state}", "down")
        return
    if unit.need_daemon_reload:
        yield _finding(unit, f"systemd has not read the changed files of {unit.name}", "unit")
    for file in _files(view, runtime):
        if file.mtime > unit.started:
            yield _finding(
                unit,
                f"{file.path} was changed after {runtime.kind} had started",
                "changed",
                Evidence("changed", _moment(file.mtime), file.path),
            )
    if runtime.kind == "containerd":
        yield from _exported(view, unit)


def _files(view: NodeView, runtime: Runtime) -> Iterator[FileFact]:
    """The configuration files that the daemon reads at its start."""
    if runtime.kind == "containerd":
        for each in load_config(view).files:
            yield each.fact
    elif runtime.kind in SINGLE_FILES:
        file = file_at(view.facts, SINGLE_FILES[runtime.kind])
        if file:
            yield file
    for path, observed in view.facts.files.items():
        if f"/systemd/system/{runtime.service}.d/" in path and isinstance(observed, Present):
            yield observed.value


def _exported(view: NodeView, unit: UnitFact) -> Iterator[Finding]:
    """The folder that the running daemon says it uses, against the file's."""
    plugins = view.facts.containerd_plugins
    if not isinstance(plugins, Present):
        return
    used = _config_path(plugins.value)
    wanted = load_config(view).config_path
    if used and used != wanted:
        yield _finding(
            unit,
            f"containerd uses config_path {used}; the file says {wanted or 'none'}",
            "exports",
            Evidence("RegistryConfigPath", used, "ctr plugins ls -d id==images"),
        )


def _config_path(plugins: tuple[PluginFact, ...]) -> str:
    return next(
        (each.exports.get("RegistryConfigPath", "") for each in plugins if each.exports), ""
    )


def _finding(unit: UnitFact, problem: str, kind: str, *evidence: Evidence) -> Finding:
    return Finding(
        problem=problem,
        evidence=(Evidence("started", _moment(unit.started), unit.name), *evidence),
        consequence="kubelet cannot create pods on this node"
        if kind == "down"
        else "the daemon goes by what it read when it started",
        remedy_hint=f"restart {unit.name}",
        locus=unit.name,
        severity=Severity.CRITICAL if kind == "down" else None,
        because=(CheckId("RUN-CONF-001"),),
        data={"unit": unit.name, "kind": kind},
    )


def _moment(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")
