"""Keys of a site file that nothing reads, because of what else stands there or does not."""

from __future__ import annotations

from collections.abc import Iterator

from gapcheck.site import NodesFrom, Registry, Site


def unread_keys(site: Site) -> Iterator[str]:
    """Each key that is written and has no effect, with the reason, in the file's order."""
    yield from _registry(site.registry)
    if isinstance(site.nodes, NodesFrom):
        yield from _nodes(site.nodes)
    if site.cluster and site.cluster.manifests and site.cluster.context:
        yield "cluster.context: manifests have no context"
    if site.release and not (site.cluster or site.release.chart):
        yield "release: without cluster or release.chart nothing shows what it renders"
    if site.registry.images_from and not site.release:
        yield "registry.images_from: there is no release"


def _registry(registry: Registry) -> Iterator[str]:
    if registry.proxy is not None:
        yield "registry.proxy: the registry is asked directly"
    if registry.target is None:
        for key in ("certificate", "key", "issuer", "storage", "container"):
            if getattr(registry, key) is not None:
                yield f"registry.{key}: without registry.target its machine is not asked"
        if registry.reload != "none":
            yield "registry.reload: without registry.target its machine is not asked"


def _nodes(nodes: NodesFrom) -> Iterator[str]:
    if nodes.source == "cluster" and nodes.allow_exec:
        yield "nodes.allow_exec: only an inventory is run"
    if nodes.source == "inventory" and "target" in nodes.model_fields_set:
        yield "nodes.target: the inventory says how its hosts are reached"
