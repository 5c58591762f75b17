"""containerd's configuration in its good state, as edits for the generation that reads it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from gapcheck.errors import CannotPlan
from gapcheck.fixtures.containerd import ConfigFile, ContainerdConfig
from gapcheck.fixtures.containerd_types import CRI_1, IMAGES_2, SHORT_CRI
from gapcheck.fixtures.tomls import dig, table_at
from gapcheck.remediations.plan import Change, EditToml, KeyEdit, Literal, Stage, WriteFile
from gapcheck.view import NodeView

CERTS_D = "/etc/containerd/certs.d"
_FOREIGN = ("auths", "headers")


def root_for(config: ContainerdConfig) -> str:
    """The one folder that config_path will name: the first configured one, else containerd's."""
    return config.registry.config_path.partition(":")[0] or CERTS_D


def config_changes(
    view: NodeView, config: ContainerdConfig, root: str, ca_path: str
) -> Iterator[Change]:
    """Edits after which the registry's folder below `root` counts and nothing is skipped."""
    if config.main is None:
        if view.site.policy.trust != "os" and config.config_path != root:
            yield _new_file(view, config, root)
        return
    plan = _two(view, config, root) if config.generation.is_2 else _one(view, config, root, ca_path)
    by_path: dict[str, list[KeyEdit]] = {}
    for path, edit in plan:
        by_path.setdefault(path, []).append(edit)
    shas = {each.path: each.fact.sha256 for each in config.files}
    for path, edits in by_path.items():
        edits.sort(key=lambda each: each.op == "delete")
        yield EditToml(target=view.subject, path=path, before_sha256=shas[path], edits=tuple(edits))


def names_of(view: NodeView) -> tuple[str, ...]:
    """The keys under which this registry may have been set, the empty name too."""
    registry = view.site.registry
    host = f"[{registry.host}]" if ":" in registry.host else registry.host
    return tuple(dict.fromkeys((registry.netloc, host, f"{host}:{registry.port}", "")))


def _new_file(view: NodeView, config: ContainerdConfig, root: str) -> Change:
    version, plugin = (3, IMAGES_2) if config.generation.is_2 else (2, CRI_1)
    text = f'version = {version}\n\n[plugins."{plugin}".registry]\n  config_path = "{root}"\n'
    return WriteFile(
        target=view.subject,
        path=config.path,
        before_sha256=None,
        content=Literal(text.encode()),
        stage=Stage.RUNTIME,
    )


def _one(
    view: NodeView, config: ContainerdConfig, root: str, ca_path: str
) -> Iterator[tuple[str, KeyEdit]]:
    """Edits for 1.x: the version key, our tables gone, and config_path where it can be had."""
    yield from _version(config)
    plugin = SHORT_CRI if _is_version_1(config) else CRI_1
    holder = _holder(config, plugin)
    registry = table_at(holder.table, "plugins", plugin, "registry")
    ours = names_of(view)
    foreign = [key for key in table_at(registry, "mirrors") if key not in ours]
    foreign += [
        key
        for key, value in table_at(registry, "configs").items()
        if key not in ours and isinstance(value, Mapping) and "tls" in value
    ]
    legacy = bool(foreign) or not config.generation.has_config_path
    if legacy and registry.get("config_path"):
        raise CannotPlan(
            f"registry settings of {', '.join(foreign)} exclude config_path: move them to "
            f"hosts.toml files below {root} by hand"
        )
    yield from _our_tables(
        config, (CRI_1, SHORT_CRI, IMAGES_2), ours, keep=holder if legacy else None
    )
    if view.site.policy.trust == "os":
        return
    where = ("plugins", plugin, "registry")
    if legacy:
        keys = (*where, "configs", view.site.registry.netloc, "tls", "ca_file")
        if dig(holder.table, *keys) != ca_path:
            yield holder.path, KeyEdit(op="set", keys=keys, value=ca_path)
    elif registry.get("config_path") != root:
        yield holder.path, KeyEdit(op="set", keys=(*where, "config_path"), value=root)


def _is_version_1(config: ContainerdConfig) -> bool:
    """Whether the file is written in the first format throughout, and works."""
    return not config.reads_long_ids and bool(
        config.main and dig(config.main.table, "plugins", SHORT_CRI) is not None
    )


def _version(config: ContainerdConfig) -> Iterator[tuple[str, KeyEdit]]:
    if config.reads_long_ids or config.main is None:
        return
    plugins = table_at(config.main.table, "plugins")
    long_ids = [each for each in plugins if "." in each]
    short_ids = [each for each in plugins if "." not in each]
    if short_ids:
        if long_ids:
            raise CannotPlan(
                f"{config.main.path} mixes tables of two formats ({short_ids[0]}, {long_ids[0]}): "
                "write it in the format of version 2 by hand"
            )
        return
    yield config.main.path, KeyEdit(op="set", keys=("version",), value=2)
    listed = config.main.table.get("disabled_plugins")
    names = [str(each) for each in listed] if isinstance(listed, list) else []
    if any("." not in each and each != SHORT_CRI for each in names):
        raise CannotPlan(
            f"disabled_plugins of {config.main.path} has short names, which version 2 refuses: "
            "write whole plugin ids by hand"
        )
    if SHORT_CRI in names:
        kept = [each for each in names if each != SHORT_CRI]
        yield config.main.path, KeyEdit(op="set", keys=("disabled_plugins",), value=kept)


def _holder(config: ContainerdConfig, plugin: str) -> ConfigFile:
    """The file whose CRI section counts: the last with more in it than registry settings."""
    assert config.main is not None
    found = config.main
    for file in config.files[1:]:
        section = table_at(file.table, "plugins", plugin)
        if section and set(section) != {"registry"}:
            found = file
    return found


def _our_tables(
    config: ContainerdConfig,
    plugins: tuple[str, ...],
    ours: tuple[str, ...],
    keep: ConfigFile | None,
) -> Iterator[tuple[str, KeyEdit]]:
    """Deletions of this registry's tables; in the file `keep` only what skips verification."""
    for file in config.files:
        for plugin in plugins:
            section = ("plugins", plugin)
            if file is not config.main and set(table_at(file.table, *section)) == {"registry"}:
                yield file.path, KeyEdit(op="delete", keys=section)
                continue
            for keys in _our_keys(file, (*section, "registry"), ours, kept=file is keep):
                yield file.path, KeyEdit(op="delete", keys=keys)


def _our_keys(
    file: ConfigFile, where: tuple[str, ...], ours: tuple[str, ...], *, kept: bool
) -> Iterator[tuple[str, ...]]:
    for name in ours:
        if dig(file.table, *where, "mirrors", name) is not None:
            yield (*where, "mirrors", name)
        keys = (*where, "configs", name, "tls")
        tls = dig(file.table, *keys)
        if tls is None:
            continue
        if not (kept and name == ours[0]):
            yield keys
        elif "insecure_skip_verify" in tls:
            yield (*keys, "insecure_skip_verify")


def _two(view: NodeView, config: ContainerdConfig, root: str) -> Iterator[tuple[str, KeyEdit]]:
    """Edits for 2.x: no table under the 1.x id, no dropped key, one folder as config_path."""
    assert config.main is not None
    ours = names_of(view)
    target = config.main
    id_to_set = IMAGES_2
    for file in config.files:
        for plugin in (CRI_1, SHORT_CRI, IMAGES_2):
            registry = table_at(file.table, "plugins", plugin, "registry")
            rest = _without_ours(registry, ours, dict_is_read=plugin == IMAGES_2)
            _refuse_mirrors(file, rest)
            if plugin != IMAGES_2 and rest and config.reads_old_registry:
                id_to_set, target = plugin, file
            if plugin == IMAGES_2 and registry.get("config_path"):
                target = file if id_to_set == IMAGES_2 else target
            yield from _deletions(file, plugin, registry, rest, ours)
    if view.site.policy.trust == "os":
        return
    keys = ("plugins", id_to_set, "registry", "config_path")
    if dig(target.table, *keys) != root:
        yield target.path, KeyEdit(op="set", keys=keys, value=root)


def _without_ours(
    registry: Mapping[str, Any], ours: tuple[str, ...], *, dict_is_read: bool
) -> dict[str, Any]:
    """What of a registry table has effect on 2.x and is not about this registry."""
    rest: dict[str, Any] = {key: registry[key] for key in _FOREIGN if registry.get(key)}
    mirrors = {k: v for k, v in table_at(registry, "mirrors").items() if k not in ours}
    configs = {
        key: value
        for key, value in table_at(registry, "configs").items()
        if isinstance(value, Mapping) and set(value) - {"tls"}
    }
    rest.update({k: v for k, v in (("mirrors", mirrors), ("configs", configs)) if v})
    if dict_is_read and registry.get("config_path"):
        rest["config_path"] = registry["config_path"]
    return rest


def _refuse_mirrors(file: ConfigFile, rest: Mapping[str, Any]) -> None:
    if "mirrors" in rest:
        names = ", ".join(rest["mirrors"])
        raise CannotPlan(
            f"{file.path} sets registry.mirrors for {names}, which excludes config_path: "
            f"write them as hosts.toml files below {CERTS_D} by hand"
        )


def _deletions(
    file: ConfigFile,
    plugin: str,
    registry: Mapping[str, Any],
    rest: Mapping[str, Any],
    ours: tuple[str, ...],
) -> Iterator[tuple[str, KeyEdit]]:
    where = ("plugins", plugin, "registry")
    if plugin != IMAGES_2 and registry and not rest:
        yield file.path, KeyEdit(op="delete", keys=where)
        return
    for name, value in table_at(registry, "configs").items():
        if isinstance(value, Mapping) and "tls" in value:
            yield file.path, KeyEdit(op="delete", keys=(*where, "configs", name, "tls"))
    for name in ours:
        if dig(registry, "mirrors", name) is not None:
            yield file.path, KeyEdit(op="delete", keys=(*where, "mirrors", name))
