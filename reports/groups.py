"""Names of many places in few words: numbered ones as ranges. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

_NUMBERED = re.compile(r"(.*?)(\d+)(\D*)", re.DOTALL)
_SHORTEST = 3


def ranges(names: Iterable[str]) -> str:
    """`names` with runs of consecutive numbers as `node-1 to node-9`; all of them are covered."""
    return ", ".join(_ranges(list(names)))


def _ranges(names: list[str]) -> Iterator[str]:
    at = 0
    while at < len(names):
        end = at
        while end + 1 < len(names) and _follows(names[end], names[end + 1]):
            end += 1
        if end - at + 1 >= _SHORTEST:
            yield f"{names[at]} to {names[end]}"
        else:
            yield from names[at : end + 1]
        at = end + 1


def _follows(one: str, other: str) -> bool:
    """Whether `other` is `one` with its last number one higher, written as wide or not padded."""
    first, second = _NUMBERED.fullmatch(one), _NUMBERED.fullmatch(other)
    if first is None or second is None or first[1] != second[1] or first[3] != second[3]:
        return False
    if int(second[2]) != int(first[2]) + 1:
        return False
    padded = first[2].startswith("0") or second[2].startswith("0")
    return not padded or len(first[2]) == len(second[2])


def in_order(names: Iterable[str]) -> list[str]:
    """`names` each once, numbers in them compared as numbers."""
    return sorted(set(names), key=_by_number)


def _by_number(name: str) -> tuple[list[tuple[bool, int, str]], str]:
    parts = [part for part in re.split(r"(\d+)", name) if part]
    return [(not part.isdigit(), int(part) if part.isdigit() else 0, part) for part in parts], name
