"""The release as if its values came from one file that is still to be written. Pure.

The planners write into values files. Here they find one that holds what counts today, so that
what they would write into it is what a further file of `helm upgrade -f` has to say.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from itertools import pairwise
from typing import Any

import msgspec

from gapcheck.engine import Evaluation
from gapcheck.errors import NotApplicable
from gapcheck.exporting.objects import live_objects
from gapcheck.exporting.source import Recast
from gapcheck.exporting.text import table
from gapcheck.fixtures.fact_set import FactSet
from gapcheck.fixtures.facts import FileFact, Present
from gapcheck.fixtures.helm_values import key_path, user_paths, user_values
from gapcheck.fixtures.kube_facts import ReleaseFacts, ReleaseRecord
from gapcheck.model import RELEASE
from gapcheck.remediations.plan import KeyEdit
from gapcheck.site import Site

OVERLAY = "gapcheck-values.yaml"
Keys = tuple[str | int, ...]


def with_overlay(judged: Evaluation) -> Recast:
    """The evaluation to plan with; raises Unmeasured where the present values are not known."""
    site, release = judged.site, judged.site.release
    assert release is not None
    view = judged.view(RELEASE)
    values = dict(user_values(view))
    try:
        paths = user_paths(view)
    except NotApplicable:
        paths = ()
    content = "\n".join((*table(tree_of(values)), "")).encode()
    digest = hashlib.sha256(content).hexdigest()
    file = FileFact(path=OVERLAY, sha256=digest, size=len(content), blob=digest)
    record = ReleaseRecord(
        name=release.name,
        namespace=release.namespace,
        revision=0,
        status="values",
        chart="",
        chart_version="",
        user_values=values,
        user_paths=tuple(dict.fromkeys((*paths, *values))),
    )
    site, facts = live_objects(site, judged.facts)
    found: Any = facts.by_subject[RELEASE]
    changed: ReleaseFacts = msgspec.structs.replace(
        found,
        values={**found.values, OVERLAY: Present(record)},
        files={**found.files, OVERLAY: Present(file)},
    )
    return Recast(
        judged,
        site=_only_file(site),
        facts=_with(facts, changed, {digest: content}),
    )


def _only_file(site: Site) -> Site:
    assert site.release is not None
    release = site.release.model_copy(update={"values": (OVERLAY,)})
    return site.model_copy(update={"release": release})


def _with(facts: FactSet, release: ReleaseFacts, blobs: Mapping[str, bytes]) -> FactSet:
    by_subject = {**facts.by_subject, RELEASE: release}
    return msgspec.structs.replace(facts, by_subject=by_subject, blobs={**facts.blobs, **blobs})


def tree_of(values: Mapping[str, Any]) -> dict[str, Any]:
    """Values by dotted path as nested tables and lists; a path that contradicts one before goes."""
    tree: dict[str, Any] = {}
    for path, value in sorted(values.items()):
        put(tree, key_path(path), value)
    return tree


def put(tree: dict[str, Any], keys: Keys, value: Any) -> None:  # noqa: ANN401 - any value of YAML
    """`value` at `keys`, with tables and lists made on the way."""
    at: Any = tree
    for key, following in pairwise(keys):
        made: Any = [] if isinstance(following, int) else {}
        at = _child(at, key, made)
    _set(at, keys[-1], value)


def _child(at: Any, key: str | int, made: Any) -> Any:  # noqa: ANN401 - the same
    found = at.get(key) if isinstance(at, dict) else (at[int(key)] if int(key) < len(at) else None)
    if isinstance(found, type(made)):
        return found
    _set(at, key, made)
    return made


def _set(at: Any, key: str | int, value: Any) -> None:  # noqa: ANN401 - the same
    if isinstance(at, list):
        at.extend({} for _ in range(len(at), int(key) + 1))
    at[key] = value


def apply_edits(tree: dict[str, Any], edits: Iterable[KeyEdit]) -> None:
    """Carry out `edits`; a deleted key becomes None, which takes a value away in Helm."""
    for edit in edits:
        put(tree, edit.keys, edit.value if edit.op == "set" else None)


def whole_key(keys: Keys) -> tuple[str, ...]:
    """The key that has to be given whole: Helm merges tables, and replaces lists."""
    names: list[str] = []
    for key in keys:
        if isinstance(key, int):
            break
        names.append(key)
    return tuple(names)


def value_at(tree: Mapping[str, Any], keys: tuple[str, ...]) -> Any:  # noqa: ANN401 - the same
    """What stands at `keys`."""
    at: Any = tree
    for key in keys:
        at = at[key]
    return at
