"""Repairs of guide step 4: verification switched on again, with the CA in place."""

from __future__ import annotations

from collections.abc import Iterator

from gapcheck.errors import CannotPlan
from gapcheck.fixtures.docker_config import INSECURE, load_docker_config
from gapcheck.fixtures.node_files import before_sha256, content_at
from gapcheck.fixtures.runtimes import DOCKER_CONFIG, require_runtime
from gapcheck.fixtures.tomls import read_toml, table_at
from gapcheck.model import Finding, Risk
from gapcheck.registry import remedy
from gapcheck.remediations.plan import Change, EditJson, EditToml, FileChange, KeyEdit
from gapcheck.remediations.runtime.settle import restart, settle
from gapcheck.view import NodeView


@remedy("RUN-TLS-001", risk=Risk.RESTART)
def plan_verification(finding: Finding, view: NodeView) -> Iterator[Change]:
    """Install the CA for the registry, then delete the setting that skips verification."""
    path = finding.data["path"]
    changes = tuple(settle(view))
    yield from changes
    if path == DOCKER_CONFIG:
        yield from _docker(view)
    elif path.endswith("/hosts.toml") and not _covers(changes, path):
        yield from _other_hosts(view, path)


def _covers(changes: tuple[Change, ...], path: str) -> bool:
    return any(isinstance(each, FileChange) and each.path == path for each in changes)


def _docker(view: NodeView) -> Iterator[Change]:
    """The entry off the list; the list itself stays, because dockerd keeps what is not named."""
    config = load_docker_config(view)
    entry = config.insecure_for(view.site.registry.netloc, view.site.expected_address)
    if "/" in entry:
        raise CannotPlan(f"insecure-registries holds the network {entry}: others may rely on it")
    kept = [each for each in config.table.get(INSECURE, []) if str(each) != entry]
    yield EditJson(
        target=view.subject,
        path=DOCKER_CONFIG,
        before_sha256=before_sha256(view.facts, DOCKER_CONFIG),
        edits=(KeyEdit(op="set", keys=(INSECURE,), value=kept),),
    )
    yield from restart(view, require_runtime(view))


def _other_hosts(view: NodeView, path: str) -> Iterator[Change]:
    """A hosts.toml that is not in use: only the setting goes."""
    content = content_at(view, view.facts, path) or b""
    table = read_toml(content.decode(errors="replace"))
    edits = [KeyEdit(op="delete", keys=("skip_verify",))] if "skip_verify" in table else []
    edits += [
        KeyEdit(op="delete", keys=("host", url, "skip_verify"))
        for url, host in table_at(table, "host").items()
        if isinstance(host, dict) and "skip_verify" in host
    ]
    yield EditToml(
        target=view.subject,
        path=path,
        before_sha256=before_sha256(view.facts, path),
        edits=tuple(edits),
    )
