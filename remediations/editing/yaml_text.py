"""Key edits of a YAML file: the text of the edited value changes and nothing else. Pure.

The edit is cut into the text, so comments, order, quotes, anchors and other documents keep
their bytes. The result is read back and compared with what the edit asks for; an edit that
would change more (through an anchor, say) is refused.
"""

from __future__ import annotations

from gapcheck.counting import counted
from gapcheck.errors import EditRefused
from gapcheck.remediations.editing.keys import Plain, dotted, edited_data, same
from gapcheck.remediations.editing.lines import decode
from gapcheck.remediations.editing.yaml_layout import Place
from gapcheck.remediations.editing.yaml_render import after_colon, flow, item, scalar
from gapcheck.remediations.plan import EditYaml, KeyEdit


def edit_yaml(change: EditYaml, content: bytes | None) -> bytes:
    """`content` with the edits of `change`; raises EditRefused where one does not apply."""
    text = decode(change.path, content)
    body = text.body
    if body and not body.endswith("\n"):
        ended = body + "\n"
        edited = _edited(change, ended)
        return text.encode(body if edited == ended else edited)
    return text.encode(_edited(change, body))


def _edited(change: EditYaml, body: str) -> str:
    for edit in change.edits:
        body = _one(change.path, body, change.document, edit)
    return body


def _one(path: str, body: str, document: int, edit: KeyEdit) -> str:
    documents = _load(path, body)
    if not documents and document == 0:
        documents = [None]
    if not 0 <= document < len(documents):
        raise EditRefused(
            path, f"it holds {counted(len(documents), 'document')}; {document + 1} was meant"
        )
    before = documents[document]
    wanted = edited_data(path, {} if before is None else before, (edit,))
    if same(before, wanted) or (before is None and wanted == {}):
        return body
    if before is None:
        candidate = _first_entry(path, body, len(documents), wanted)
    else:
        candidate = _Cut(body, _compose(body)[document]).apply(edit)
    documents[document] = wanted
    if not same(_load_or_none(candidate), documents):
        raise EditRefused(
            path,
            f"{dotted(edit.keys)} cannot be changed without touching other parts "
            "(an anchor, a merge or an unusual layout); edit it by hand",
        )
    return candidate


def _first_entry(path: str, body: str, documents: int, wanted: Plain) -> str:
    if documents > 1:
        raise EditRefused(path, "the document is empty; write its first key by hand")
    return body + after_colon(wanted, -2, 2).removeprefix("\n") + "\n"


def _yaml() -> Plain:
    from ruamel.yaml import YAML

    return YAML(typ="safe", pure=True)


def _load(path: str, body: str) -> list[Plain]:
    from ruamel.yaml.error import MarkedYAMLError, YAMLError

    try:
        return [_unshared(each) for each in _yaml().load_all(body)]
    except MarkedYAMLError as bad:
        where = f" (line {bad.problem_mark.line + 1})" if bad.problem_mark else ""
        raise EditRefused(path, f"it is not YAML: {bad.problem}{where}") from bad
    except (YAMLError, ValueError, RecursionError) as bad:
        raise EditRefused(path, f"it is not YAML: {bad}") from bad


def _load_or_none(body: str) -> list[Plain] | None:
    try:
        return _load("", body)
    except EditRefused:
        return None


def _compose(body: str) -> list[Plain]:
    return list(_yaml().compose_all(body))


def _unshared(value: Plain) -> Plain:
    """A copy in which aliases are values of their own, as an edit sees them."""
    if isinstance(value, dict):
        return {key: _unshared(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_unshared(each) for each in value]
    return value


class _Cut:
    """One edit of one document, made by cutting the text."""

    def __init__(self, text: str, root: Plain) -> None:
        self.text = text
        self.root = Place(text, root, 0, -2)
        self.dash = _dash_indent(self.root)

    def apply(self, edit: KeyEdit) -> str:
        if edit.op == "delete":
            parent, _ = self.root.find(edit.keys[:-1])
            return self._delete(parent, edit.keys[-1])
        place, depth = self.root.find(edit.keys)
        value = edit.value
        for key in reversed(edit.keys[depth + 1 :]):
            value = {key: value}
        if depth == len(edit.keys):
            return self._replace(place, value)
        return self._insert(place, edit.keys[depth], value)

    def _spliced(self, start: int, end: int, text: str) -> str:
        return self.text[:start] + text + self.text[end:]

    def _line_end(self, at: int) -> int:
        """Index after the line feed that ends the line of `at`."""
        found = self.text.find("\n", at)
        return len(self.text) if found < 0 else found + 1

    def _replace(self, place: Place, value: Plain) -> str:
        old = self.text[place.start : place.end]
        if place.column == -1 or place.is_flow:  # inside brackets, or brackets itself
            whole = flow(value)
            if place.column == -1 and not isinstance(value, dict | list):
                whole = scalar(value, old) if ":" not in str(value) else flow(value)
            return self._spliced(place.start, place.end, whole)
        if place.is_list_item:
            return self._spliced(place.after, place.end, f" {item(value, place.column, self.dash)}")
        return self._spliced(
            place.after, place.end, after_colon(value, place.column, self.dash, old)
        )

    def _insert(self, place: Place, key: str | int, value: Plain) -> str:
        if place.is_flow and place.node.value:
            entry = flow(value) if isinstance(key, int) else f"{scalar(key)}: {flow(value)}"
            last = place.members()[-1][1]
            return self._spliced(last.end, last.end, f", {entry}")
        if place.after == 0 and not place.node.value:
            block = after_colon({key: value}, place.column, self.dash).removeprefix("\n")
            return self._spliced(place.start, place.end, block)
        if place.is_flow or place.is_scalar:
            return self._replace_empty(place, key, value)
        column = place.node.start_mark.column
        at = (
            self._line_end(place.end)
            if place.end == 0 or self.text[place.end - 1] != "\n"
            else place.end
        )
        if isinstance(key, int):
            entry = f"{' ' * column}- {item(value, column, self.dash)}\n"
        else:
            entry = f"{' ' * column}{scalar(key)}:{after_colon(value, column, self.dash)}\n"
        return self._spliced(at, at, entry)

    def _replace_empty(self, place: Place, key: str | int, value: Plain) -> str:
        """Set the first member of `{}`, `[]` or a null."""
        inner = [value] if isinstance(key, int) else {key: value}
        if place.column == -1:
            return self._spliced(place.start, place.end, flow(inner))
        rest = self._line_end(place.end)
        if place.is_list_item or not self.text[place.end : rest].strip():
            text = item(inner, place.column, self.dash) if place.is_list_item else ""
            if text:
                return self._spliced(place.after, place.end, f" {text}")
            return self._spliced(
                place.after, place.end, after_colon(inner, place.column, self.dash)
            )
        comment = self.text[place.end : rest]
        block = after_colon(inner, place.column, self.dash).removeprefix("\n")
        return self._spliced(place.after, rest, f"{comment}{block}\n")

    def _delete(self, parent: Place, key: str | int) -> str:
        members = parent.members()
        at = next(i for i, (name, _) in enumerate(members) if name == key)
        value = members[at][1]
        if len(members) == 1:
            empty = "{}" if parent.is_table else "[]"
            between = self.text[parent.after : parent.start]
            if parent.column == -1 or parent.is_flow or between.strip() or parent.after == 0:
                return self._spliced(parent.start, parent.end, empty)
            return self._spliced(parent.after, parent.end, f" {empty}")
        start = self._member_start(parent, at, value)
        if parent.is_flow:
            if at + 1 < len(members):
                return self._spliced(
                    start, self._member_start(parent, at + 1, members[at + 1][1]), ""
                )
            return self._spliced(members[at - 1][1].end, value.end, "")
        line = self.text.rfind("\n", 0, start) + 1
        if not self.text[line:start].strip():
            end = value.end if self.text[value.end - 1] == "\n" else self._line_end(value.end)
            return self._spliced(line, end, "")
        return self._spliced(start, self._member_start(parent, at + 1, members[at + 1][1]), "")

    def _member_start(self, parent: Place, at: int, value: Place) -> int:
        if parent.is_table:
            return int(parent.key(at).start_mark.index)
        return value.start if parent.is_flow else value.after - 1


def _dash_indent(place: Place) -> int:
    """How far lists under a key are indented in this document; 2 where it has none."""
    for _, inner in place.members() if place.is_table or place.is_list else ():
        if place.is_table and inner.is_list and not inner.is_flow:
            return max(0, int(inner.node.start_mark.column) - inner.column)
        if not inner.is_flow and (inner.is_table or inner.is_list):
            found = _dash_indent(inner)
            if found != _UNKNOWN:
                return found
    return _UNKNOWN


_UNKNOWN = 2
