"""Key edits on plain data: what an edited file must hold when it is read back. Pure."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Sequence
from typing import Any

from gapcheck.errors import EditRefused
from gapcheck.remediations.plan import KeyEdit

Keys = Sequence[str | int]
Plain = Any  # what a parser of TOML, YAML or JSON gives: known only when it is read


def dotted(keys: Keys) -> str:
    """`keys` as a reader writes them: dots between names, positions in brackets."""
    text = ""
    for key in keys:
        if isinstance(key, int):
            text += f"[{key}]"
            continue
        quoted = key if key.replace("-", "").replace("_", "").isalnum() else f'"{key}"'
        text += f".{quoted}" if text else quoted
    return text


def edited_data(path: str, data: Plain, edits: Iterable[KeyEdit]) -> Plain:
    """A copy of `data` with `edits` applied; raises EditRefused where one does not apply.

    Setting makes the tables it needs; deleting what is not there changes nothing.
    """
    data = copy.deepcopy(data)
    for edit in edits:
        if not edit.keys:
            raise EditRefused(path, "an edit names no key")
        if edit.op == "set":
            set_value(path, data, edit.keys, copy.deepcopy(edit.value))
        elif edit.op == "delete":
            _delete(path, data, edit.keys)
        else:
            raise EditRefused(path, f"{edit.op!r} is not an edit; set and delete are")
    return data


def set_value(path: str, data: Plain, keys: Keys, value: Plain) -> None:
    """Set `value` at `keys` of `data` in place, making the tables on the way."""
    for depth, key in enumerate(keys[:-1]):
        inner = step(path, data, keys, depth)
        if inner is None and isinstance(key, str):
            inner = data[key] = {}
        data = inner
    last = keys[-1]
    step(path, data, keys, len(keys) - 1, may_append=True)
    if isinstance(last, int) and last == len(data):
        data.append(value)
    else:
        data[last] = value


def step(path: str, data: Plain, keys: Keys, depth: int, *, may_append: bool = False) -> Plain:
    """What lies at `keys[depth]` of `data`, None where that key is absent or null.

    Raises EditRefused where `data` is no table (or list) or the position is not in it.
    """
    key = keys[depth]
    if isinstance(key, int):
        if not isinstance(data, list):
            raise EditRefused(path, f"{dotted(keys[:depth])} is not a list")
        if not 0 <= key < len(data) + (1 if may_append else 0):
            raise EditRefused(path, f"{dotted(keys[:depth])} has no position {key}")
        return data[key] if key < len(data) else None
    if not isinstance(data, dict):
        raise EditRefused(path, f"{dotted(keys[:depth]) or 'the whole file'} is not a table")
    return data.get(key)


def _delete(path: str, data: Plain, keys: Keys) -> None:
    for depth in range(len(keys) - 1):
        data = step(path, data, keys, depth)
        if data is None:
            return
    last = keys[-1]
    if isinstance(last, int):
        step(path, data, keys, len(keys) - 1)
        del data[last]
    elif step(path, data, keys, len(keys) - 1) is not None or last in data:
        del data[last]


def has(data: Plain, keys: Keys) -> bool:
    """Whether there is something at `keys`, a null included."""
    for key in keys:
        if isinstance(key, int):
            if not isinstance(data, list) or not 0 <= key < len(data):
                return False
        elif not isinstance(data, dict) or key not in data:
            return False
        data = data[key]
    return True


def value_at(data: Plain, keys: Keys) -> Plain:
    """What lies at `keys`; only for keys that `has` confirms."""
    for key in keys:
        data = data[key]
    return data


def same(one: Plain, other: Plain) -> bool:
    """Whether two plain values are equal in value and type: 1, 1.0 and true are three values."""
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(same, one, other))
    return type(one) is type(other) and (one == other or (one != one and other != other))  # noqa: PLR0124 - NaN
