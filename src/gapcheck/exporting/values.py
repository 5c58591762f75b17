"""`gapcheck export values`: the Helm values that would repair the release. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from gapcheck.errors import CannotPlan, Unmeasured, UsageError
from gapcheck.exporting.overlay import (
    OVERLAY,
    Keys,
    apply_edits,
    put,
    tree_of,
    value_at,
    whole_key,
    with_overlay,
)
from gapcheck.exporting.pull_secret import wanted_pull_secret
from gapcheck.exporting.source import Export, Recast, Remainder, Source
from gapcheck.exporting.text import Noted, comment, document
from gapcheck.fixtures.helm_values import key_path, values_files
from gapcheck.model import RELEASE, CheckId, SubjectId
from gapcheck.remediations.plan import EditYaml, KeyEdit, Plan
from gapcheck.site import Release

_PULL = "SECRET-PULL-001"


def in_part(check: CheckId, subject: SubjectId) -> bool:
    """Whether a verdict is one that values repair."""
    return subject == RELEASE and (check.startswith("REL-") or check == _PULL)


def values(source: Source) -> Export:
    """Values for `helm upgrade -f`, each key with the finding that asks for it.

    Only keys that change are in it; a key that reaches nothing is set to null. Raises
    UsageError where the site names no release.
    """
    release = source.evaluation.site.release
    if release is None:
        raise UsageError("the site file names no release", "add release: to it")
    try:
        recast = with_overlay(source.evaluation)
    except Unmeasured as gap:
        left = Remainder()
        left.miss(str(gap))
        return left.export("")
    plan = source.plan(recast)
    left = source.remainder(in_part, plan)
    edits = [*_edits(plan)]
    words = _words(source, recast)
    tree = tree_of(recast.facts.by_subject[RELEASE].values[OVERLAY].value.user_values)  # type: ignore[union-attr] # with_overlay put it there
    apply_edits(tree, edits)
    changed: dict[str, Any] = {}
    for keys in dict.fromkeys(whole_key(edit.keys) for edit in edits):
        if _is_known(recast, keys, edits):
            put(changed, keys, Noted(value_at(tree, keys), words.get(keys, ())))
        else:
            shown = ".".join(keys)
            left.leave(f"{shown} is a list with entries that are not read: correct it by hand")
    _add_pull_secret(source, recast, changed, left)
    return left.export(document(_head(source, release, empty=not changed), changed or {}))


def _edits(plan: Plan) -> Iterator[KeyEdit]:
    for each in plan.changes:
        if isinstance(each.change, EditYaml) and each.change.path == OVERLAY:
            yield from each.change.edits


def _words(source: Source, recast: Recast) -> Mapping[Keys, tuple[str, ...]]:
    """By key that is given whole: the findings that ask for it."""
    words: dict[Keys, list[str]] = {}
    for verdict in source.failing(in_part):
        remedy = recast.catalogue.remedies.get(verdict.check)
        for finding in verdict.findings if remedy else ():
            assert remedy is not None
            try:
                changes = tuple(remedy.plan(finding, recast.view(RELEASE)))
            except (CannotPlan, Unmeasured):
                continue  # the plan itself says so
            for edit in (e for c in changes if isinstance(c, EditYaml) for e in c.edits):
                word = f"{verdict.check}: {finding.problem}"
                words.setdefault(whole_key(edit.keys), []).append(word)
    return {keys: tuple(dict.fromkeys(found)) for keys, found in words.items()}


def _is_known(recast: Recast, keys: tuple[str, ...], edits: Iterable[KeyEdit]) -> bool:
    """Whether all of a list is known that has to be given whole; a table is merged by Helm."""
    if not any(whole_key(edit.keys) == keys != edit.keys for edit in edits):
        return True
    (file,) = values_files(recast.view(RELEASE))
    below = [path for path in file.paths if key_path(path)[: len(keys)] == keys]
    return all(path in file.values for path in below)


def _add_pull_secret(
    source: Source, recast: Recast, changed: dict[str, Any], left: Remainder
) -> None:
    if not source.asked(CheckId(_PULL), RELEASE):
        return
    found = wanted_pull_secret(recast.view(RELEASE))
    if found is None:
        return
    put(changed, key_path(found.key), Noted(found.value, found.words))
    if found.to_make:
        left.leave(found.to_make)


def _head(source: Source, release: Release, *, empty: bool) -> Iterator[str]:
    evaluation = source.evaluation
    files = " ".join(f"-f {path}" for path in release.values) or "--reuse-values"
    taken = f"{evaluation.facts.taken_at:%Y-%m-%d %H:%M} UTC"
    yield from comment(f"Values for the release {release.name}, by what was measured {taken}.")
    if empty:
        yield from comment("Nothing that was judged asks for another value.")
        return
    yield f"#   helm upgrade {release.name} CHART -n {release.namespace} {files} -f {OVERLAY}"
