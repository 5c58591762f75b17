"""Repairs of guide step 4: a configuration the runtime starts with, and reads."""

from __future__ import annotations

from collections.abc import Iterator

from gapcheck.errors import CannotPlan
from gapcheck.fixtures.containerd import CONF_D, ConfigFile, load_config
from gapcheck.fixtures.containerd_types import SHORT_CRI
from gapcheck.fixtures.docker_config import MISSPELT
from gapcheck.fixtures.node_files import before_sha256
from gapcheck.fixtures.runtimes import CONTAINERD_CONFIG, DOCKER_CONFIG, require_runtime
from gapcheck.fixtures.tomls import dig, duplicate_table, table_at
from gapcheck.model import Finding, Risk
from gapcheck.registry import remedy
from gapcheck.remediations.plan import (
    Change,
    EditBlock,
    EditJson,
    EditToml,
    KeyEdit,
    LineEdit,
    RemoveFile,
)
from gapcheck.remediations.runtime.settle import restart, settle
from gapcheck.view import NodeView


@remedy("RUN-CONF-001", risk=Risk.RESTART)
def plan_parsable(finding: Finding, view: NodeView) -> Iterator[Change]:
    """Leave one of two equal tables, or take a plugin's short name off disabled_plugins.

    Anything else in a file that does not parse is for its author.
    """
    path = finding.data["path"]
    kind = finding.data["kind"]
    if kind == "duplicate":
        file = next(each for each in load_config(view).files if each.path == path)
        yield _without_duplicate(view, file)
    elif kind == "disabled":
        yield from _enabled(view)
    else:
        raise CannotPlan(f"correct {path} by hand: {finding.evidence[0].value}")
    yield from restart(view, require_runtime(view))


@remedy("RUN-CONF-002", risk=Risk.RESTART)
def plan_read(finding: Finding, view: NodeView) -> Iterator[Change]:
    """Write the settings where this version reads them, and delete those it does not."""
    kind = finding.data["kind"]
    path = finding.data["path"]
    if kind == "misspelt":
        edit = KeyEdit(op="delete", keys=(MISSPELT,))
        before = before_sha256(view.facts, DOCKER_CONFIG)
        yield EditJson(target=view.subject, path=DOCKER_CONFIG, before_sha256=before, edits=(edit,))
    elif kind == "unread-dropin":
        yield from _dropin(view, path)
    elif kind == "replaced-section" and not _only_registry(view, path):
        raise CannotPlan(
            f"{path} holds more than registry settings: merge it into {CONTAINERD_CONFIG} by hand"
        )
    else:
        yield from settle(view)


def _without_duplicate(view: NodeView, file: ConfigFile) -> Change:
    """The table once, in a block of its own at the end; both former places are emptied."""
    twice = duplicate_table(file.text)
    assert twice is not None
    where = (
        f"{file.path}: [{twice.name}] stands in lines {twice.first[0]}-{twice.first[1]} "
        f"and {twice.again[0]}-{twice.again[1]}"
    )
    if not twice.identical:
        raise CannotPlan(f"{where} with different keys: join them by hand")
    lines = file.text.splitlines()
    spans = (twice.first, twice.again)
    inside = [number for first, last in spans for number in range(first, last + 1)]
    gone = {lines[number - 1] for number in inside if lines[number - 1].strip()}
    elsewhere = [
        number for number, line in enumerate(lines, 1) if line in gone and number not in inside
    ]
    if elsewhere:
        raise CannotPlan(f"{where}: delete the second by hand (line {elsewhere[0]} looks the same)")
    return EditBlock(
        target=view.subject,
        path=file.path,
        before_sha256=file.fact.sha256,
        marker="duplicate table",
        lines=tuple(line for line in twice.lines if line.strip()),
        line_edits=tuple(LineEdit(before=line) for line in sorted(gone)),
        in_place=False,
    )


def _enabled(view: NodeView) -> Iterator[Change]:
    """disabled_plugins without the short name of the CRI plugin."""
    for file in load_config(view).files:
        listed = file.table.get("disabled_plugins")
        names = [str(each) for each in listed] if isinstance(listed, list) else []
        short = [each for each in names if "." not in each]
        if any(each != SHORT_CRI for each in short):
            raise CannotPlan(f"write whole plugin ids in disabled_plugins of {file.path} by hand")
        if short:
            kept = [each for each in names if each not in short]
            yield EditToml(
                target=view.subject,
                path=file.path,
                before_sha256=file.fact.sha256,
                edits=(KeyEdit(op="set", keys=("disabled_plugins",), value=kept),),
            )


def _dropin(view: NodeView, path: str) -> Iterator[Change]:
    """Name the folder in `imports`, or drop a file that only repeats registry settings."""
    config = load_config(view)
    file = next(each for each in config.unread if each.path == path)
    others = set(file.table) - {"version", "plugins"}
    plugins = table_at(file.table, "plugins")
    registry = [name for name in plugins if dig(plugins, name, "registry") is not None]
    if registry and not others and all(set(plugins[name]) == {"registry"} for name in plugins):
        yield RemoveFile(target=view.subject, path=path, before_sha256=file.fact.sha256)
        yield from settle(view)
        return
    main = config.main
    if registry or file.defect or main is None or not config.generation.is_2:
        raise CannotPlan(f"move the settings of {path} into {CONTAINERD_CONFIG} by hand")
    listed = main.table.get("imports")
    imports = [*(listed if isinstance(listed, list) else []), f"{CONF_D}/*.toml"]
    edit = KeyEdit(op="set", keys=("imports",), value=imports)
    yield EditToml(
        target=view.subject, path=main.path, before_sha256=main.fact.sha256, edits=(edit,)
    )
    yield from restart(view, require_runtime(view))


def _only_registry(view: NodeView, path: str) -> bool:
    config = load_config(view)
    file = next(each for each in config.files if each.path == path)
    return set(table_at(file.table, "plugins", config.old_cri_id)) == {"registry"}
