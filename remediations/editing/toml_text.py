"""Key edits of a TOML file: comments, order and layout kept. Pure.

Every result is read back by the standard library's parser and compared with what the edit
asks for: an edit that a writer would get wrong is refused, never half done.
"""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Iterator, Mapping

from gapcheck.errors import EditRefused
from gapcheck.remediations.editing.keys import Keys, Plain, dotted, edited_data, has, same, value_at
from gapcheck.remediations.editing.lines import decode
from gapcheck.remediations.plan import EditToml, KeyEdit


def edit_toml(change: EditToml, content: bytes | None) -> bytes:
    """`content` with the edits of `change`; raises EditRefused where one does not apply.

    A new table is written under its own header at the end of the file. A table that a
    deletion empties goes as well, unless comments stand in it.
    """
    text = decode(change.path, content)
    body = text.body
    _parse(change.path, body)
    for edit in change.edits:
        body = _edited(change.path, body, edit)
    return text.encode(body)


def _parse(path: str, body: str) -> dict[str, Plain]:
    try:
        return tomllib.loads(body)
    except tomllib.TOMLDecodeError as bad:
        raise EditRefused(path, f"it is not TOML: {bad}") from bad


def _edited(path: str, body: str, edit: KeyEdit) -> str:
    data = _parse(path, body)
    wanted = edited_data(path, data, (edit,))
    if same(data, wanted):
        return body
    if edit.op == "delete":
        writers = _deletions(path, wanted, edit)
    else:
        writers = _settings(path, data, wanted, edit)
    for expected, write in writers:
        candidate = _attempt(write, body)
        if candidate is not None and same(_read_back(candidate), expected):
            return candidate
    raise EditRefused(
        path, f"{dotted(edit.keys)} cannot be changed without touching other keys; edit it by hand"
    )


Writer = Callable[[str], str]
_Candidate = tuple[Plain, Writer]


def _attempt(write: Writer, body: str) -> str | None:
    from tomlkit.exceptions import TOMLKitError

    try:
        return write(body)
    except (TOMLKitError, LookupError, TypeError, ValueError, AttributeError, EditRefused):
        return None  # the writer cannot place this edit; another one is tried, or it is refused


def _read_back(body: str) -> Plain:
    try:
        return tomllib.loads(body)
    except tomllib.TOMLDecodeError:
        return None


def _settings(path: str, data: Plain, wanted: Plain, edit: KeyEdit) -> Iterator[_Candidate]:
    def key_by_key(body: str) -> str:
        for part in _parts(value_at(data, edit.keys), edit):
            body = _edited(path, body, part)
        return body

    known, is_table = has(data, edit.keys), isinstance(edit.value, dict)
    if is_table and known and isinstance(value_at(data, edit.keys), dict):
        yield wanted, key_by_key
    if not has(data, edit.keys[:-1]) or (is_table and not known):
        yield wanted, lambda body: _at_the_end(body, edit)
    yield wanted, lambda body: _in_place(body, edit)


def _in_place(body: str, edit: KeyEdit) -> str:
    import tomlkit

    document = tomlkit.parse(body)
    table: Plain = document
    for key in edit.keys[:-1]:
        table = table[key]
    value, last = tomlkit.value(_inline(edit.value)), edit.keys[-1]
    if isinstance(last, int) and last == len(table):
        table.append(value)
    else:
        table[last] = value
    return tomlkit.dumps(document)


def _at_the_end(body: str, edit: KeyEdit) -> str:
    gap = "" if not body or body.endswith("\n\n") else "\n" if body.endswith("\n") else "\n\n"
    if isinstance(edit.value, dict):
        return body + gap + _sections(edit.keys, edit.value)
    return body + gap + _sections(edit.keys[:-1], {edit.keys[-1]: edit.value})


def _parts(old: Mapping[str, Plain], edit: KeyEdit) -> Iterator[KeyEdit]:
    """The edits of single keys that make the table `old` what `edit` asks for."""
    for key, value in edit.value.items():
        yield KeyEdit(op="set", keys=(*edit.keys, key), value=value)
    for key in old:
        if key not in edit.value:
            yield KeyEdit(op="delete", keys=(*edit.keys, key))


def _sections(keys: Keys, table: Mapping[Plain, Plain]) -> str:
    """`table` under its header, its inner tables under theirs."""
    header = ".".join(_key(key) for key in keys)
    plain = {key: value for key, value in table.items() if not isinstance(value, dict)}
    inner = {key: value for key, value in table.items() if isinstance(value, dict)}
    lines = [f"{_key(key)} = {_inline(value)}\n" for key, value in plain.items()]
    parts = [f"[{header}]\n{''.join(lines)}"] if plain or not inner else []
    parts += [_sections((*keys, key), value) for key, value in inner.items()]
    return "\n".join(parts)


def _key(key: str | int) -> str:
    import tomlkit

    return tomlkit.key(str(key)).as_string()


def _inline(value: Plain) -> str:
    """`value` on one line."""
    import tomlkit

    if isinstance(value, dict):
        inner = (f"{_key(key)} = {_inline(each)}" for key, each in value.items())
        return "{" + ", ".join(inner) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(_inline, value)) + "]"
    return tomlkit.item(value).as_string()


def _deleted(body: str, keys: Keys) -> str:
    import tomlkit

    document = tomlkit.parse(body)
    table: Plain = document
    for key in keys[:-1]:
        table = table[key]
    del table[keys[-1]]
    return tomlkit.dumps(document)


def _deletions(path: str, wanted: Plain, edit: KeyEdit) -> Iterator[_Candidate]:
    emptied, pruned = _emptied(path, wanted, edit.keys)

    def whole_table(body: str) -> str:
        without, kept = _deleted(body, emptied), _deleted(body, edit.keys)
        if without.count("#") < kept.count("#"):
            msg = "a comment stands in the table"
            raise ValueError(msg)
        return without

    if emptied != edit.keys:
        yield pruned, whole_table
    yield wanted, lambda body: _deleted(body, edit.keys)


def _emptied(path: str, wanted: Plain, keys: Keys) -> tuple[Keys, Plain]:
    """The outermost table that deleting `keys` leaves empty, and the data without it."""
    while len(keys) > 1 and isinstance(keys[-2], str) and value_at(wanted, keys[:-1]) == {}:
        keys = keys[:-1]
        wanted = edited_data(path, wanted, (KeyEdit(op="delete", keys=tuple(keys)),))
    return keys, wanted
