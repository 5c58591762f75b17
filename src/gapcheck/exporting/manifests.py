"""`gapcheck export manifests`: the objects that would be patched, for kubectl or GitOps. Pure.

Each document is whole where the object is new, and else only what is to be set, which a
server-side apply merges in. What has to go is a command of its own: apply takes nothing away
that it did not put there.
"""

from __future__ import annotations

import hashlib
import json
import shlex
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from gapcheck.exporting.objects import live_objects
from gapcheck.exporting.source import Export, Recast, Source
from gapcheck.exporting.text import DOCUMENT, comment, document
from gapcheck.fixtures.facts import HostAlias, Present, ReleaseFacts, Workload
from gapcheck.model import DNS, RELEASE, CheckId, SubjectId
from gapcheck.remediations.plan import PatchObject, PlannedChange

Json = Any  # what JSON can hold
Keys = tuple[str, ...]


def in_part(check: CheckId, subject: SubjectId) -> bool:
    """Whether a verdict is one that objects of the cluster repair."""
    return subject in (RELEASE, DNS) and check.startswith(("SECRET-", "DNS-"))


def manifests(source: Source) -> Export:
    """The secret with the CA, hostAliases, and the name service's texts, as far as they fail."""
    site, facts = live_objects(source.evaluation.site, source.evaluation.facts)
    plan = source.plan(Recast(source.evaluation, site=site, facts=facts))
    left = source.remainder(in_part, plan)
    left.first(plan)
    release = facts.by_subject.get(RELEASE)
    workloads = _workloads(release) if isinstance(release, ReleaseFacts) else ()
    parts: list[str] = []
    for each in plan.changes:
        mine = any(in_part(cause.check, cause.subject) for cause in each.causes)
        if mine and isinstance(each.change, PatchObject):
            parts += _parts(each, each.change, workloads)
    return left.export("".join([_head(source, parts), *parts]))


def _workloads(release: ReleaseFacts) -> tuple[Workload, ...]:
    return release.workloads.value if isinstance(release.workloads, Present) else ()


def _head(source: Source, parts: list[str]) -> str:
    taken = f"{source.evaluation.facts.taken_at:%Y-%m-%d %H:%M} UTC"
    lines = [*comment(f"Changes of objects, by what was measured {taken}. It may be run again.")]
    if not parts:
        lines += comment("Nothing that was judged asks for a change of an object.")
        return "\n".join(lines) + "\n"
    if any(part.startswith(DOCUMENT) for part in parts):  # kubectl fails where there is none
        # An apply takes away what the same manager applied before and now leaves out: each export
        # has a manager of its own, so that a later one undoes nothing of an earlier one.
        manager = f"gapcheck-{hashlib.sha256(''.join(parts).encode()).hexdigest()[:8]}"
        options = f"--server-side --field-manager={manager} --force-conflicts"
        lines.append(f"#   kubectl apply {options} -f FILE")
    if not all(part.startswith(DOCUMENT) for part in parts):
        lines.append("# A line that begins with `# $` is a command of its own.")
    return "\n".join(lines) + "\n"


def _parts(
    planned: PlannedChange, change: PatchObject, workloads: Iterable[Workload]
) -> Iterator[str]:
    head = [
        *comment(", ".join(dict.fromkeys(each.check for each in planned.causes)), _word(change))
    ]
    identity = {
        "apiVersion": change.api_version,
        "kind": change.kind,
        "metadata": {"name": change.name, "namespace": change.namespace},
    }
    if change.creates:
        yield document(head, _joined(identity, change.patch))
        return
    aliases = _aliases(change, workloads)
    if aliases is not None and aliases.gone:
        yield _command(head, change, "strategic", _nested(aliases.keys, aliases.strategic))
        return
    body = change.patch
    if aliases is not None:
        body = _replaced(body, aliases.keys, aliases.changed)
    kept, gone = _without_nulls(body), _nulls(body)
    if gone:
        yield _command(head, change, "merge", gone)
    if kept:
        yield document(head, _joined(identity, kept))


def _word(change: PatchObject) -> str:
    if change.creates:
        return "It is not there yet."
    if change.rolls_out:
        return "Its pods start anew."
    return "It is loaded without a restart." if change.kind == "ConfigMap" else ""


def _command(head: Iterable[str], change: PatchObject, kind: str, patch: Json) -> str:
    words = [
        "kubectl", "-n", change.namespace, "patch", change.kind.lower(), change.name,
        f"--type={kind}", "-p", json.dumps(patch),
    ]  # fmt: skip
    return "\n".join(("", *head, f"# $ {shlex.join(words)}")) + "\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Aliases:
    """What becomes of a workload's hostAliases, which the API merges by address."""

    keys: Keys
    changed: list[Json]
    gone: list[str]

    @property
    def strategic(self) -> list[Json]:
        """As a strategic merge patch writes it."""
        return [*self.changed, *({"$patch": "delete", "ip": each} for each in self.gone)]


def _aliases(change: PatchObject, workloads: Iterable[Workload]) -> _Aliases | None:
    for workload in workloads:
        if (workload.kind, workload.name) != (change.kind, change.name):
            continue
        keys = (*workload.pod_path, "hostAliases")
        wanted = _dig(change.patch, keys)
        if isinstance(wanted, list):
            return _compared(keys, workload.host_aliases, wanted)
    return None


def _compared(keys: Keys, before: tuple[HostAlias, ...], wanted: list[Json]) -> _Aliases:
    old = {each.ip: list(each.hostnames) for each in before}
    new = {each["ip"]: each["hostnames"] for each in wanted}
    changed = [{"ip": ip, "hostnames": names} for ip, names in new.items() if old.get(ip) != names]
    return _Aliases(keys=keys, changed=changed, gone=[ip for ip in old if ip not in new])


def _dig(value: Json, keys: Keys) -> Json:
    for key in keys:
        value = value.get(key) if isinstance(value, dict) else None
    return value


def _nested(keys: Keys, value: Json) -> Json:
    for key in reversed(keys):
        value = {key: value}
    return value


def _replaced(body: Json, keys: Keys, value: Json) -> Json:
    if not keys:
        return value
    return {**body, keys[0]: _replaced(body[keys[0]], keys[1:], value)}


def _joined(one: Json, other: Json) -> Json:
    if not (isinstance(one, dict) and isinstance(other, dict)):
        return other
    both = {**one, **other}
    return {k: _joined(one[k], other[k]) if k in one and k in other else v for k, v in both.items()}


def _nulls(value: Json) -> Json:
    """The part of a merge patch that takes away."""
    inner = {k: _nulls(v) for k, v in value.items() if isinstance(v, dict)}
    gone = {k: None for k, v in value.items() if v is None}
    return {**{k: v for k, v in inner.items() if v}, **gone}


def _without_nulls(value: Json) -> Json:
    """The part of a merge patch that sets."""
    inner = {k: _without_nulls(v) for k, v in value.items() if isinstance(v, dict)}
    plain = {k: v for k, v in value.items() if v is not None and k not in inner}
    return {**{k: v for k, v in inner.items() if v}, **plain}
