"""The fact sheet of a subject: what was measured of it, as short texts by name.

Two runs over an untouched site give equal sheets: times, process ids, free space and what a
server says differently each time are left out. So a sheet that differs is a change of the
site, and its name ("file /etc/containerd/config.toml") can be shown. Pure.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec

from gapcheck.drift import GAP, SETTING, UNMEASURED
from gapcheck.fixtures.fact_set import FactSet
from gapcheck.model import NODES, Scope, SubjectId
from gapcheck.registry import Catalogue
from gapcheck.site import Site

_LONGEST = 160
_ENCODER = msgspec.json.Encoder(order="deterministic")

# Fields that differ between two looks at the same thing, or that only say where it was seen.
_VOLATILE = frozenset({
    "type", "clock", "date", "seconds", "peer", "error", "error_first", "openssl_error",
    "alert_after", "pid", "started", "restarts", "restart_count", "available_bytes",
    "available_inodes", "headers", "body", "detail", "trouble", "uid", "resource_version",
    "generation",
    "replicas", "locus", "document", "object_path", "pod_path", "blobs", "size_bytes",
    "unread_keys", "environment_unread", "system_roots_from", "running", "ready", "waits",
})  # fmt: skip
_SINGULAR = {"files": "file", "dirs": "folder", "programs": "program", "units": "unit",
             "images": "image", "filesystems": "filesystem", "blob": "content sha256"}  # fmt: skip
_MAPS = frozenset({
    *_SINGULAR.values(), "resolver", "dns_only", "resolvers", "pods", "values", "environment",
    "exports", "labels", "user_values", "default_values", "env_images", "ports", "items",
})  # fmt: skip
_NAMES = (
    "kind",
    "namespace",
    "name",
    "key",
    "id",
    "reference",
    "path",
    "ip",
    "volume",
    "destination",
)

Sheet = Mapping[str, str]


class Sheets(msgspec.Struct, frozen=True, kw_only=True):
    """The sheets of one run: their digests by subject, '' where it was not measured.

    `contents` holds each sheet once, however many subjects share it.
    """

    by_subject: dict[str, str]
    contents: dict[str, Sheet]


def sheets_of(site: Site, facts: FactSet, catalogue: Catalogue, *, version: str) -> Sheets:
    """Every subject's sheet, and under `SETTING` what it is judged by."""
    by_subject: dict[str, str] = {}
    contents: dict[str, Sheet] = {}
    every = {subject for scope in Scope for subject in site.subjects(scope)}
    gaps: dict[SubjectId, dict[str, str]] = {}
    for gap in facts.gaps:
        lines = gaps.setdefault(gap.subject, {})
        lines[f"{GAP}{gap.stage}"] = f"{UNMEASURED}{gap.reason}"[:_LONGEST]
    # The nodes together have no facts of their own; there is only whether they were found.
    for subject in sorted({*(every - {NODES}), *facts.by_subject, *gaps}):
        found = facts.by_subject.get(subject)
        if found is None:
            by_subject[subject] = ""
            continue
        lines = dict(_lines((), msgspec.to_builtins(found)))
        lines |= gaps.get(subject, {})
        by_subject[subject] = _keep(contents, lines)
    by_subject[SETTING] = _keep(contents, setting_sheet(site, catalogue, version=version))
    return Sheets(by_subject=by_subject, contents=contents)


def setting_sheet(site: Site, catalogue: Catalogue, *, version: str) -> dict[str, str]:
    """What verdicts depend on beside facts: the site file, the checks, the version."""
    written = site.model_dump(mode="json", exclude={"nodes"}, exclude_none=True, by_alias=True)
    waivers = written.pop("waivers", [])
    lines = dict(_lines((), written))
    for waiver in waivers:
        name = f"waiver {waiver['check']} {waiver['subject']} {waiver['locus']}"
        lines[name] = f"until {waiver['until']}"
    lines |= {f"check {check}": "" for check in catalogue.checks}
    return {**lines, "gapcheck": version}


def parse_sheet(content: bytes) -> dict[str, str]:
    """A sheet as `encode_sheet` wrote it."""
    return msgspec.json.decode(content, type=dict[str, str])


def encode_sheet(sheet: Sheet) -> bytes:
    """A sheet as bytes; equal sheets give equal bytes."""
    try:
        return _ENCODER.encode(sheet)
    except UnicodeEncodeError:
        # A file name that is not UTF-8 reads as lone surrogates.
        return _ENCODER.encode({_escaped(key): _escaped(said) for key, said in sheet.items()})


def _escaped(text: str) -> str:
    return text.encode("utf-8", "backslashreplace").decode()


def _keep(contents: dict[str, Sheet], sheet: Sheet) -> str:
    digest = hashlib.blake2b(encode_sheet(sheet), digest_size=16).hexdigest()
    contents.setdefault(digest, sheet)
    return digest


def _lines(path: tuple[str, ...], value: Any) -> Iterator[tuple[str, str]]:  # noqa: ANN401 - decoded facts of any shape
    match value:
        case {"type": "present", "value": inner}:
            yield from _lines(path, inner)
        case {"type": "absent"}:
            yield " ".join(path), "absent"
        case {"type": "unreadable", "reason": reason}:
            yield " ".join(path), f"{UNMEASURED}{reason}"[:_LONGEST]
        case {"path": _, "sha256": str(digest), "mode": int(mode), **rest}:
            link = f", link to {rest['link']}" if rest.get("link") else ""
            owner = f"{rest.get('uid')}:{rest.get('gid')}"
            yield " ".join(path), f"sha256 {digest[:16]}, mode {mode:o}, owner {owner}{link}"
        case dict():
            yield from _table(path, value)
        case list() | tuple():
            yield from _list(path, value)
        case _:
            yield " ".join(path), _short(_word(value))


def _table(path: tuple[str, ...], table: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for key, value in table.items():
        if key in _VOLATILE and not _is_map(path):
            continue
        name = _SINGULAR.get(key, key) if not _is_map(path) else key
        yield from _lines((*path, str(name)), value)


def _is_map(path: tuple[str, ...]) -> bool:
    """Whether the keys below `path` are names of the site, not fields of a struct."""
    return bool(path) and path[-1] in _MAPS


def _list(path: tuple[str, ...], items: Sequence[Any]) -> Iterator[tuple[str, str]]:
    if path and path[0] == "folder":
        names = sorted(f"{each['name']}{'/' * (each['kind'] == 'dir')}" for each in items)
        yield " ".join(path), _short(", ".join(names))
    elif all(isinstance(each, dict) for each in items) and items:
        for index, each in enumerate(items):
            name = "/".join(str(each[key]) for key in _NAMES if each.get(key))
            yield from _lines((*path, name or str(index)), each)
    else:
        yield " ".join(path), _short(", ".join(sorted(map(_word, items))))


def _word(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) or value is None else str(value)


def _short(text: str) -> str:
    if len(text) <= _LONGEST:
        return text
    digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]
    return f"{text[:60]}... ({len(text)} characters, sha256 {digest})"
