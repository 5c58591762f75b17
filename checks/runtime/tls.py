"""Guide step 4: verification of the registry's certificate is not switched off."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from gapcheck.fixtures.certs_d import host_names
from gapcheck.fixtures.containerd import load_config
from gapcheck.fixtures.docker_config import INSECURE, load_docker_config
from gapcheck.fixtures.effective import effective_registry
from gapcheck.fixtures.facts import Present
from gapcheck.fixtures.registries_yaml import load_registries_yaml
from gapcheck.fixtures.runtimes import DOCKER_CONFIG, require_runtime
from gapcheck.fixtures.tomls import TomlDefect, dig, read_toml, table_at
from gapcheck.model import CheckId, Evidence, Finding, Scope, Severity
from gapcheck.registry import Judgement, Source, check
from gapcheck.view import NodeView

_UNREAD_BECAUSE = ("RUN-CONF-002", "RUN-REG-001")


@dataclass(frozen=True, slots=True, kw_only=True)
class Skip:
    """A place that says not to verify: its file, the key, and the value as written."""

    path: str
    key: str
    value: str


@check(
    "RUN-TLS-001",
    scope=Scope.NODE,
    severity=Severity.MAJOR,
    after=("RUN-CONF-001",),
    source=Source(step=4, fault=("K05", "K21", "K28")),
)
def verification_is_on(view: NodeView) -> Judgement:
    """No setting of this node's runtime skips verification of the registry's certificate.

    Also where this version ignores the setting: the next upgrade, or the next reader of the
    file, may not.
    """
    runtime = require_runtime(view)
    effective = effective_registry(view)
    honoured = bool(effective and effective.skip_verify)
    switches = "switches" if honoured else "is meant to switch"
    for skip in _skips(view, runtime.kind):
        consequence = "whoever answers under the registry's name may serve any image"
        yield Finding(
            problem=f"{skip.key} in {skip.path} {switches} verification of the registry off",
            evidence=(Evidence(skip.key, skip.value, skip.path),),
            consequence=consequence
            if honoured
            else f"{runtime.named} ignores it here; where it is read, {consequence}",
            remedy_hint="trust the CA and delete the setting",
            locus=skip.path,
            because=() if honoured else tuple(CheckId(each) for each in _UNREAD_BECAUSE),
            data={"path": skip.path, "key": skip.key},
        )
    yield Evidence("verification skipped", "yes" if honoured else "no", runtime.named)


def _skips(view: NodeView, kind: str) -> Iterator[Skip]:
    if kind == "containerd":
        yield from _in_config(view)
        yield from _in_hosts(view)
    elif kind == "docker":
        config = load_docker_config(view)
        entry = config.insecure_for(view.site.registry.netloc, view.site.expected_address)
        if entry:
            yield Skip(path=DOCKER_CONFIG, key=INSECURE, value=entry)
    elif kind in ("k3s", "rke2"):
        found = load_registries_yaml(view, kind)
        for name in registry_names(view):
            if dig(found.configs, name, "tls", "insecure_skip_verify") is True:
                yield Skip(path=found.path, key=f'configs."{name}".tls', value="true")


def registry_names(view: NodeView) -> tuple[str, ...]:
    """Every way this registry is written as a key, the empty name of an unset variable too."""
    registry = view.site.registry
    host = f"[{registry.host}]" if ":" in registry.host else registry.host
    return tuple(dict.fromkeys((registry.netloc, host, f"{host}:{registry.port}", "")))


def _in_config(view: NodeView) -> Iterator[Skip]:
    config = load_config(view)
    for file in (*config.files, *config.unread):
        for plugin in (plugins := table_at(file.table, "plugins")):
            table = table_at(plugins, plugin)
            for name in registry_names(view):
                tls = table_at(table, "registry", "configs", name, "tls")
                if tls.get("insecure_skip_verify") is True:
                    key = f'{plugin} registry.configs."{name}".tls.insecure_skip_verify'
                    yield Skip(path=file.path, key=key, value="true")
            yield from _plain_mirrors(view, file.path, table)


def _plain_mirrors(view: NodeView, path: str, table: Mapping[str, Any]) -> Iterator[Skip]:
    for name in registry_names(view):
        listed = dig(table, "registry", "mirrors", name, "endpoint")
        for url in listed if isinstance(listed, list) else []:
            if str(url).startswith("http://"):
                yield Skip(path=path, key=f'registry.mirrors."{name}".endpoint', value=str(url))


def _in_hosts(view: NodeView) -> Iterator[Skip]:
    folders = host_names(view.site.registry.netloc)
    for path, observed in sorted(view.facts.files.items()):
        parts = path.split("/")
        if not isinstance(observed, Present) or parts[-1] != "hosts.toml":
            continue
        if "certs.d" not in parts or parts[-2] not in folders:
            continue
        try:
            table = read_toml(view.content(observed.value).decode(errors="replace"))
        except TomlDefect:
            continue  # nothing in it has effect; RUN-HOSTS-001 reports it
        yield from _in_hosts_table(path, table)


def _in_hosts_table(path: str, table: Mapping[str, Any]) -> Iterator[Skip]:
    if table.get("skip_verify") is True:
        yield Skip(path=path, key="skip_verify", value="true")
    for url, host in table_at(table, "host").items():
        if isinstance(host, Mapping) and host.get("skip_verify") is True:
            yield Skip(path=path, key=f'host."{url}".skip_verify', value="true")
