"""Corrections of the site's values files. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from gapcheck.errors import CannotPlan
from gapcheck.fixtures.helm_values import ValuesFile, key_path, last_file_with, values_files
from gapcheck.fixtures.images import parse_reference
from gapcheck.remediations.objects import edit_file
from gapcheck.remediations.plan import EditYaml, KeyEdit
from gapcheck.view import View


def set_values(
    view: View[Any], wanted: Mapping[str, str], *, remove: tuple[str, ...] = ()
) -> Iterator[EditYaml]:
    """Edits after which the values files give `wanted` and set none of `remove`.

    A path is changed in the file that counts for it, the last that sets it; a new one goes
    into the last file. Nothing where all of it is so already.
    """
    files = values_files(view)
    edits: dict[str, list[KeyEdit]] = {}
    for path, value in wanted.items():
        where = last_file_with(view, path) or (files[-1].path if files else "")
        if not where:
            shown = ", ".join(f"{key}={each}" for key, each in wanted.items())
            reason = f"the site file names no values file (release.values); set {shown}"
            raise CannotPlan(reason)
        held = next(each for each in files if each.path == where)
        if held.values.get(path) != value:
            edit = KeyEdit(op="set", keys=key_path(path), value=value)
            edits.setdefault(where, []).append(edit)
    for each in files:
        gone = [path for path in remove if path in each.paths]
        for keys in dict.fromkeys(_removed(each, path, wanted) for path in gone):
            edits.setdefault(each.path, []).append(KeyEdit(op="delete", keys=keys))
    for where, found in edits.items():
        yield edit_file(view, where, found)


def _removed(file: ValuesFile, path: str, wanted: Mapping[str, str]) -> tuple[str | int, ...]:
    """The key to delete for `path`: with it goes every table that would be left empty."""
    keys = key_path(path)
    others = [key_path(each) for each in (*file.paths, *wanted) if each != path]
    for depth in range(1, len(keys)):
        if not any(other[:depth] == keys[:depth] for other in others):
            return keys[:depth]
    return keys


def image_values(path: str, image: str) -> dict[str, str]:
    """The values that make a chart use `image`, where its key is `path`.

    `coder.image` stands for the pair repo and tag that newer charts have.
    """
    if path != "coder.image":
        return {path: image}
    reference = parse_reference(image)
    version = {"coder.image.tag": reference.tag} if reference.tag else {}
    return {"coder.image.repo": f"{reference.domain}/{reference.path}", **version}
