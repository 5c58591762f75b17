"""Positions inside a manifest that facts do not hold, found in its redacted text. Pure."""

from __future__ import annotations

from typing import Any

from gapcheck.errors import CannotPlan
from gapcheck.fixtures.facts import Present
from gapcheck.fixtures.kube_facts import Workload
from gapcheck.fixtures.yaml_nodes import YamlDefect, load
from gapcheck.view import View


def variable_position(
    view: View[Any], workload: Workload, container: tuple[str | int, ...], name: str
) -> int:
    """Place of the variable `name` in the env list of the container at those keys."""
    value: Any = _document(view, workload)
    for key in (*workload.object_path, *container, "env"):
        value = value[key]
    return [each.get("name") for each in value].index(name)


def _document(view: View[Any], workload: Workload) -> Any:  # noqa: ANN401 - any YAML document
    observed = view.release.files.get(workload.file)
    if not isinstance(observed, Present):
        reason = f"{workload.file} was not read; correct it by hand"
        raise CannotPlan(reason)
    try:
        documents = load(view.content(observed.value).decode("utf-8"))
    except YamlDefect as bad:
        reason = f"{workload.file}: {bad}"
        raise CannotPlan(reason) from bad
    return documents[workload.document].value
