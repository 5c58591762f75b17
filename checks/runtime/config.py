"""Guide step 4: the runtime's configuration can be parsed, and is read by this version."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

from gapcheck.errors import Unmeasured
from gapcheck.fixtures.certs_d import find_folder
from gapcheck.fixtures.containerd import ConfigFile, ContainerdConfig, load_config
from gapcheck.fixtures.containerd_refusals import Refusal, refusals
from gapcheck.fixtures.containerd_types import CRI_1, IMAGES_2
from gapcheck.fixtures.docker_config import MISSPELT, load_docker_config
from gapcheck.fixtures.facts import measured
from gapcheck.fixtures.node_trust import is_trusted
from gapcheck.fixtures.registries_conf import registries_conf_defects
from gapcheck.fixtures.registries_yaml import load_registries_yaml
from gapcheck.fixtures.runtimes import DOCKER_CONFIG, Runtime, require_runtime
from gapcheck.fixtures.tomls import dig, duplicate_table, table_at
from gapcheck.model import Evidence, Finding, Scope, Severity
from gapcheck.registry import Judgement, Source, check
from gapcheck.view import NodeView

DEAD = "the daemon does not start: no pod can be created on this node"
UNREAD = (
    "the setting has no effect: where nothing else trusts the CA, pulls fail with "
    "x509: certificate signed by unknown authority"
)


@check(
    "RUN-CONF-001",
    scope=Scope.NODE,
    severity=Severity.CRITICAL,
    source=Source(step=4, fault=("K01", "K22", "K23")),
)
def configuration_parses(view: NodeView) -> Judgement:
    """The runtime's configuration files are ones that the runtime starts with."""
    runtime = require_runtime(view)
    match runtime.kind:
        case "containerd":
            yield from _containerd(view)
        case "docker":
            docker = load_docker_config(view)
            if docker.defect:
                yield _dead(DOCKER_CONFIG, docker.defect, {"kind": "json"})
            elif docker.present:
                yield Evidence("parsed", DOCKER_CONFIG)
        case "k3s" | "rke2":
            found = load_registries_yaml(view, runtime.kind)
            if found.defect:
                yield _dead(found.path, found.defect, {"kind": "yaml"})
        case _:
            for path, why in registries_conf_defects(view):
                yield _dead(path, why, {"kind": "registries.conf"})


@check(
    "RUN-CONF-002",
    scope=Scope.NODE,
    severity=Severity.MAJOR,
    after=("RUN-CONF-001",),
    source=Source(step=4, fault=("K03", "K04", "K07", "K14", "K25", "K26", "K27", "K28")),
)
def settings_are_read_by_this_version(view: NodeView) -> Judgement:
    """Every registry setting stands where this version of the runtime reads it."""
    runtime = require_runtime(view, "containerd", "docker")
    if runtime.kind == "docker":
        yield from _misspelt(view)
        return
    config = load_config(view)
    yield Evidence("read as", _shown(config), config.path)
    yield from _empty_names(config)
    yield from _unread_dropins(config)
    if config.generation.is_2:
        yield from _unread_by_2(config)
        yield from _list_in_transfer(view, config, runtime)
    else:
        yield from _unread_by_1(config)


def _containerd(view: NodeView) -> Judgement:
    config = load_config(view)
    said = measured(view.facts.containerd_valid, "containerd config dump")
    found = refusals(config)
    if said == "" and found and found[0].kind != "missing":
        # The program itself is right: what this reader refuses, it does not know.
        what = f"{found[0].path} ({found[0].why})"
        raise Unmeasured(what, "containerd config dump takes it nevertheless")
    for each in found:
        yield _refused(config, each)
    if found:
        return
    if said:
        yield _dead(config.path, said, {"kind": "refused"})
        return
    how = "containerd config dump" if said is not None else ""
    yield Evidence("parsed", ", ".join(each.path for each in config.files) or "no file", how)


def _refused(config: ContainerdConfig, refusal: Refusal) -> Finding:
    if refusal.kind == "syntax":
        return _unparsable(next(each for each in config.files if each.path == refusal.path))
    return _dead(refusal.path, refusal.why, {"kind": refusal.kind})


def _unparsable(file: ConfigFile) -> Finding:
    twice = duplicate_table(file.text)
    if twice is None:
        return _dead(file.path, file.defect, {"kind": "syntax"})
    why = (
        f"the table [{twice.name}] stands twice, in lines {twice.first[0]}-{twice.first[1]} "
        f"and {twice.again[0]}-{twice.again[1]}"
    )
    return _dead(file.path, why, {"kind": "duplicate"})


def _dead(path: str, why: str, data: dict[str, str]) -> Finding:
    return Finding(
        problem=f"{path} is refused by the runtime: {why}",
        evidence=(Evidence("refused", why, path),),
        consequence=DEAD,
        remedy_hint="correct the file, then restart",
        locus=path,
        data={"path": path, **data},
    )


def _shown(config: ContainerdConfig) -> str:
    version = "no version key" if config.version is None else f"version = {config.version}"
    assumed = config.generation.assumed
    by = f"assumed from {assumed}" if assumed else "measured"
    return f"{version}, containerd {config.generation} ({by})"


def _finding(path: str, problem: str, kind: str, consequence: str = UNREAD) -> Finding:
    return Finding(
        problem=problem,
        evidence=(Evidence("file", path),),
        consequence=consequence,
        remedy_hint="one explicit config_path with a folder for the registry works everywhere",
        locus=path,
        data={"path": path, "kind": kind},
    )


def _empty_names(config: ContainerdConfig) -> Iterator[Finding]:
    for file in config.files:
        for plugin, table in table_at(file.table, "plugins").items():
            for kind in ("configs", "mirrors"):
                if dig(table, "registry", kind, "") is None:
                    continue
                problem = f'{file.path} has registry.{kind}."" of {plugin}: its name is empty'
                yield _finding(file.path, problem, "empty-name")


def _unread_dropins(config: ContainerdConfig) -> Iterator[Finding]:
    for file in config.unread:
        if not file.table and not file.defect:
            continue
        problem = f"{file.path} is not read: no imports line of {config.path} names it"
        consequence = "its settings have no effect, although `config dump` lists its folder"
        yield _finding(file.path, problem, "unread-dropin", consequence)


def _unread_by_1(config: ContainerdConfig) -> Iterator[Finding]:
    for file in config.files:
        plugins = table_at(file.table, "plugins")
        long_ids = sorted(each for each in plugins if each.startswith("io.containerd."))
        if long_ids and not config.reads_long_ids:
            problem = (
                f"{file.path} names plugins by whole ids ({long_ids[0]}) "
                f"and {config.path} has no `version = 2`: containerd "
                f"{config.generation} skips these tables"
            )
            yield _finding(file.path, problem, "no-version")
        elif IMAGES_2 in plugins and dig(config.plugins, CRI_1, "registry") is None:
            problem = f"{file.path} has a table of {IMAGES_2}, which containerd 1.x does not know"
            yield _finding(file.path, problem, "new-id")
    yield from _replaced_sections(config)


def _replaced_sections(config: ContainerdConfig) -> Iterator[Finding]:
    """A drop-in of 1.x that holds any part of the CRI section replaces all of it."""
    holders = [
        file for file in config.files if dig(file.table, "plugins", config.old_cri_id) is not None
    ]
    for before, file in pairwise(holders):
        lost = sorted(
            set(table_at(before.table, "plugins", config.old_cri_id))
            - set(table_at(file.table, "plugins", config.old_cri_id))
        )
        if not lost:
            continue
        problem = (
            f"{file.path} replaces the whole CRI section of {before.path}; lost: {', '.join(lost)}"
        )
        consequence = "these settings fall back to their defaults (pause image, cgroup driver)"
        yield _finding(file.path, problem, "replaced-section", consequence)


def _unread_by_2(config: ContainerdConfig) -> Iterator[Finding]:
    for file in config.files:
        plugins = table_at(file.table, "plugins")
        for plugin in (CRI_1, IMAGES_2):
            for key, table in table_at(plugins, plugin, "registry", "configs").items():
                if key and isinstance(table, dict) and "tls" in table:
                    problem = f'{file.path} has registry.configs."{key}".tls, which 2.x drops'
                    yield _finding(file.path, problem, "dropped-tls")
    plugins = config.plugins
    old, new = table_at(plugins, CRI_1, "registry"), table_at(plugins, IMAGES_2, "registry")
    where = _holder(config, CRI_1)
    if old and not config.reads_old_registry:
        problem = f"{where} has a registry table of {CRI_1}, which version 4 does not read"
        yield _finding(where, problem, "old-id")
    elif old and new.get("config_path") and not old.get("config_path"):
        problem = (
            f"the registry table of {CRI_1} in {where} replaces that of {IMAGES_2}: "
            f"config_path = {new['config_path']!r} is lost"
        )
        yield _finding(where, problem, "replaced-registry")


def _holder(config: ContainerdConfig, plugin: str) -> str:
    return next(
        (
            file.path
            for file in config.files
            if dig(file.table, "plugins", plugin, "registry") is not None
        ),
        config.path,
    )


def _list_in_transfer(
    view: NodeView, config: ContainerdConfig, runtime: Runtime
) -> Iterator[Finding]:
    path = config.config_path
    if ":" not in path or not config.pulls_by_transfer:
        return
    roots = tuple(path.split(":"))
    folder = find_folder(view.facts, roots, view.site.registry.netloc)
    if folder is None:
        return
    built_in = "" if config.registry.config_path else " (built in)"
    yield Finding(
        problem=f"config_path is a list of folders{built_in}, which {runtime.named} takes as one "
        f"name: {folder} is never read",
        evidence=(
            Evidence("config_path", path, config.path),
            Evidence("pull mode", "transfer service: no setting forces local pulls"),
        ),
        consequence=f"{UNREAD}, and nothing is logged",
        remedy_hint="set config_path to one folder",
        locus=config.path,
        severity=Severity.MINOR if is_trusted(view) else None,
        data={"path": config.path, "kind": "list"},
    )


def _misspelt(view: NodeView) -> Iterator[Finding]:
    if MISSPELT in load_docker_config(view).table:
        problem = f"{DOCKER_CONFIG} has the key {MISSPELT}, which dockerd accepts and ignores"
        yield _finding(DOCKER_CONFIG, problem, "misspelt", "the setting has no effect")
