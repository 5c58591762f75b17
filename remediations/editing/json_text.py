"""Key edits of a JSON file: only the bytes of the edited value change. Pure."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field

from gapcheck.errors import EditRefused
from gapcheck.remediations.editing.keys import Plain, dotted, edited_data, same
from gapcheck.remediations.editing.lines import decode
from gapcheck.remediations.plan import EditJson, KeyEdit

_SPACE = re.compile(r"[ \t\r\n]*")
_DECODER = json.JSONDecoder()


@dataclass(slots=True)
class _Node:
    """A value's place in the text; members of a table or a list with their own places."""

    start: int
    end: int
    kind: str = "scalar"
    members: list[_Member] = field(default_factory=list)


@dataclass(slots=True)
class _Member:
    key: str | int
    start: int
    value: _Node


def edit_json(change: EditJson, content: bytes | None) -> bytes:
    """`content` with the edits of `change`; raises EditRefused where one does not apply."""
    text = decode(change.path, content)
    body = text.body if text.body.strip() else "{}\n"
    _parse(change.path, body)
    for edit in change.edits:
        body = _edited(change.path, body, edit)
    return text.encode(body)


def _parse(path: str, body: str) -> Plain:
    try:
        return json.loads(body)
    except json.JSONDecodeError as bad:
        raise EditRefused(path, f"it is not JSON: {bad}") from bad


def _edited(path: str, body: str, edit: KeyEdit) -> str:
    data = _parse(path, body)
    wanted = edited_data(path, data, (edit,))
    if same(data, wanted):
        return body
    layout = _Layout(body)
    candidate = layout.set(edit) if edit.op == "set" else layout.delete(edit)
    if not same(_parse(path, candidate), wanted):
        raise EditRefused(path, f"{dotted(edit.keys)} stands there twice; edit it by hand")
    return candidate


class _Layout:
    def __init__(self, body: str) -> None:
        self.body = body
        self.root = self._scan(_skip(body, 0))
        found = re.search(r"\n([ \t]+)\S", body)
        self.indent = found[1] if found else "" if "\n" in body.strip() else "  "
        self.multiline = "\n" in body.strip() or body.strip() == "{}"

    def set(self, edit: KeyEdit) -> str:
        node, depth = self._deepest(edit)
        value = edit.value
        rest = edit.keys[depth:]
        if not rest:
            return self._spliced(node.start, node.end, self._dump(value, depth))
        for key in reversed(rest[1:]):
            value = {key: value}
        return self._insert(node, depth, rest[0], value)

    def delete(self, edit: KeyEdit) -> str:
        parent, _ = self._deepest(edit, stop=len(edit.keys) - 1)
        at = next(i for i, m in enumerate(parent.members) if m.key == edit.keys[-1])
        members = parent.members
        if len(members) == 1:
            return self._spliced(parent.start + 1, parent.end - 1, "")
        if at + 1 < len(members):
            return self._spliced(members[at].start, members[at + 1].start, "")
        return self._spliced(members[at - 1].value.end, members[at].value.end, "")

    def _deepest(self, edit: KeyEdit, stop: int | None = None) -> tuple[_Node, int]:
        node = self.root
        for depth, key in enumerate(edit.keys[:stop]):
            found = [member.value for member in node.members if member.key == key]
            if not found or (self.body[found[-1].start] == "n" and depth + 1 < len(edit.keys)):
                return (node, depth) if not found else (found[-1], depth + 1)
            node = found[-1]
        return node, len(edit.keys[:stop])

    def _insert(self, node: _Node, depth: int, key: str | int, value: Plain) -> str:
        entry = self._dump(value, depth + 1)
        if node.kind == "scalar":  # null
            return self._spliced(node.start, node.end, self._dump({key: value}, depth))
        if isinstance(key, str):
            entry = f"{json.dumps(key, ensure_ascii=False)}: {entry}"
        if not node.members:
            closing = f"\n{self.indent * depth}" if self.multiline else ""
            opening = f"\n{self.indent * (depth + 1)}" if self.multiline else ""
            return self._spliced(node.start + 1, node.end - 1, f"{opening}{entry}{closing}")
        last = node.members[-1]
        before = self.body[: last.start]
        lead = before[len(before.rstrip(" \t\r\n")) :]
        if "\n" not in lead and len(node.members) > 1:
            lead = " "
        return self._spliced(last.value.end, last.value.end, f",{lead or ' '}{entry}")

    def _dump(self, value: Plain, depth: int) -> str:
        if not self.multiline:
            return json.dumps(value, ensure_ascii=False)
        text = json.dumps(value, ensure_ascii=False, indent=self.indent or "  ")
        return text.replace("\n", f"\n{self.indent * depth}")

    def _spliced(self, start: int, end: int, text: str) -> str:
        return self.body[:start] + text + self.body[end:]

    def _scan(self, at: int) -> _Node:
        opening = self.body[at]
        if opening not in "{[":
            _, end = _DECODER.raw_decode(self.body, at)
            return _Node(at, end)
        node = _Node(at, at, "table" if opening == "{" else "list")
        at = _skip(self.body, at + 1)
        while self.body[at] not in "}]":
            start, key = at, len(node.members)
            name: str | int = key
            if node.kind == "table":
                name, at = _DECODER.raw_decode(self.body, at)
                at = _skip(self.body, _skip(self.body, at) + 1)
            value = self._scan(at)
            node.members.append(_Member(name, start, value))
            at = _skip(self.body, value.end)
            if self.body[at] == ",":
                at = _skip(self.body, at + 1)
        node.end = at + 1
        return node


def _skip(body: str, at: int) -> int:
    found = _SPACE.match(body, at)
    return found.end() if found else at
