"""Guide step 4: what was set for this registry has effect."""

from __future__ import annotations

import posixpath
from collections.abc import Iterator, Mapping
from typing import Any

from gapcheck.fixtures.containerd import load_config
from gapcheck.fixtures.containerd_types import CRI_1, IMAGES_2
from gapcheck.fixtures.effective import (
    Effective,
    effective_registry,
    legacy_keys,
    names_no_folder,
)
from gapcheck.fixtures.node_files import content_at, exists
from gapcheck.fixtures.node_trust import is_trusted
from gapcheck.fixtures.registries_yaml import load_registries_yaml
from gapcheck.fixtures.registry_ca import registry_ca
from gapcheck.fixtures.runtimes import EMBEDDED, require_runtime
from gapcheck.fixtures.tomls import TomlDefect, read_toml, table_at
from gapcheck.fixtures.trust_store import copies
from gapcheck.model import Evidence, Finding, Scope, Severity
from gapcheck.registry import Judgement, Source, check
from gapcheck.view import NodeView

_HTTPS = ":443"


@check(
    "RUN-REG-001",
    scope=Scope.NODE,
    severity=Severity.MAJOR,
    after=("RUN-CONF-001", "RUN-CONF-002"),
    source=Source(step=4, fault=("K02", "K06", "K08", "K19", "K20")),
)
def registry_settings_are_effective(view: NodeView) -> Judgement:
    """The runtime accepts its settings for this registry and goes by them.

    They stand under the registry's name with its port as image references write it, in a
    folder that exists, and do not exclude each other.
    """
    require_runtime(view)
    effective = effective_registry(view)
    assert effective is not None
    if effective.conflict:
        yield _conflict(effective)
        return
    trusted = is_trusted(view)
    severity = Severity.MINOR if trusted else None
    for place in _misnamed(view, effective):
        yield Finding(
            problem=f"{place} is not used for {effective.netloc}: its name has to be "
            f"{effective.netloc}",
            evidence=(Evidence("found", place), Evidence("image references", effective.netloc)),
            consequence="pulls go by the system's roots alone: "
            "x509: certificate signed by unknown authority",
            remedy_hint=f"name it {effective.netloc}",
            locus=place,
            severity=severity,
            data={"path": place, "kind": "name"},
        )
    ca = registry_ca(view)
    if effective.runtime.kind in EMBEDDED:
        yield from _edited_generated(view, effective)
    held = copies(view, ca.fingerprints) if ca else ()
    # A copy elsewhere than in a registry's folder is another defect: NODE-TRUST names it.
    if not trusted and ca and (not held or any(map(_in_folder, held))):
        yield from _absent_roots(view, effective)
    yield from _used(effective)


def _in_folder(path: str) -> bool:
    """Whether `path` lies in the folder of a registry, as ROOT/certs.d/HOST/ca.crt does."""
    return path.split("/")[-3:-2] == ["certs.d"]


def _conflict(effective: Effective) -> Finding:
    assert effective.config is not None  # only containerd's settings conflict
    path = effective.config.path
    return Finding(
        problem=f"the settings exclude each other: {effective.conflict}",
        evidence=(Evidence("config_path", effective.config.config_path, path),),
        consequence="the CRI plugin is off while the unit looks active; kubelet reports "
        "unknown service runtime.v1.RuntimeService, the node is NotReady",
        remedy_hint="keep config_path and the registry's folder alone",
        locus=path,
        severity=Severity.CRITICAL,
        data={"path": path, "kind": "conflict"},
    )


def _misnamed(view: NodeView, effective: Effective) -> Iterator[str]:
    """Folders and keys for the same host under another port, where the right one is not there."""
    folder = effective.folder
    wrong = _other_names(view.site.registry.host, effective.netloc)
    if folder is None or folder.path.endswith("/_default"):
        for path in (posixpath.join(root, name) for root in effective.roots for name in wrong):
            if exists(view.facts, path):
                yield path
    for place, configs, used in _keyed(view, effective):
        if not any(key in configs for key in used):
            yield from (f'{place}."{name}"' for name in wrong if name in configs)


def _keyed(
    view: NodeView, effective: Effective
) -> Iterator[tuple[str, Mapping[str, Any], tuple[str, ...]]]:
    """Tables with settings by registry: where, the table, and the keys that count."""
    config = effective.config
    if config and not config.generation.is_2:
        used = legacy_keys(config, effective.netloc)
        yield f"{config.path}: registry.configs", config.registry.configs, used
    if effective.runtime.kind in EMBEDDED:
        found = load_registries_yaml(view, effective.runtime.kind)
        yield f"{found.path}: configs", found.configs, (effective.netloc,)


def _other_names(host: str, netloc: str) -> tuple[str, ...]:
    shown = f"[{host}]" if ":" in host else host
    return tuple(each for each in (shown, f"{shown}{_HTTPS}") if each != netloc)


def _absent_roots(view: NodeView, effective: Effective) -> Iterator[Finding]:
    if not names_no_folder(view, effective):
        return
    config = load_config(view)
    listed = ", ".join(effective.roots)
    yield Finding(
        problem=f"config_path names {listed}, which does not exist",
        evidence=(Evidence("config_path", listed, config.path),),
        consequence="containerd says nothing; pulls fail with "
        "x509: certificate signed by unknown authority",
        remedy_hint=f"create the folder of {effective.netloc} there",
        locus=listed,
        data={"path": listed, "kind": "absent"},
    )


def _edited_generated(view: NodeView, effective: Effective) -> Iterator[Finding]:
    """Settings in the file that k3s writes anew at every start, and nowhere else."""
    kind = effective.runtime.kind
    path = f"/var/lib/rancher/{kind}/agent/etc/containerd/config.toml"
    content = content_at(view, view.facts, path)
    source = load_registries_yaml(view, kind)
    try:
        plugins = table_at(read_toml((content or b"").decode(errors="replace")), "plugins")
    except TomlDefect:
        return  # k3s writes it anew
    for plugin in (CRI_1, IMAGES_2):
        for key in table_at(plugins, plugin, "registry", "configs"):
            if key == effective.netloc and key not in source.configs:
                yield Finding(
                    problem=f'{path} has settings of "{key}" that {source.path} does not have',
                    evidence=(Evidence("generated file", path), Evidence("source", source.path)),
                    consequence=f"{kind} writes the file anew at its next start: they are lost",
                    remedy_hint=f"set them in {source.path}",
                    locus=path,
                    data={"path": path, "kind": "generated"},
                )


def _used(effective: Effective) -> Iterator[Evidence]:
    if effective.folder:
        yield Evidence("folder in use", effective.folder.path, effective.runtime.named)
    elif effective.legacy:
        yield Evidence("CA file in use", effective.legacy[0].path, effective.runtime.named)
    else:
        yield Evidence("folder in use", "none: the system's roots decide", effective.runtime.named)
