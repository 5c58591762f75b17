"""YAML text with comments, in a form that YAML 1.1 and 1.2 read alike. Pure."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gapcheck.remediations.editing.yaml_render import after_colon, flow, item, scalar

DOCUMENT = "---\n"
_WIDTH = 96
_STEP = 2


@dataclass(frozen=True, slots=True)
class Noted:
    """A value of a table with the comment that stands above its key."""

    value: Any
    words: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Unsafe:
    """Text that Ansible must take as it is, whatever braces it holds."""

    text: str


def comment(*words: str) -> Iterator[str]:
    """Each text as comment lines, wrapped; whatever line breaks it had."""
    for each in words:
        yield from (f"# {line}" for line in textwrap.wrap(" ".join(each.split()), _WIDTH))


def document(head: Iterable[str], body: Any) -> str:  # noqa: ANN401 - any tree of plain values
    """One document: `---`, the comment lines of `head`, and `body`, a table or a list."""
    lines: Iterable[str] = _list(body, 0) if isinstance(body, list) else table(body, 0)
    if not body:
        lines = (flow(body),)
    return DOCUMENT + "\n".join((*head, *lines)) + "\n"


def table(value: Mapping[str, Any], column: int = 0) -> Iterator[str]:
    """The lines of a table whose keys stand at `column`."""
    pad = " " * column
    for key, each in value.items():
        if isinstance(each, Noted):
            yield from (f"{pad}{line}" for line in comment(*each.words))
        bare = each.value if isinstance(each, Noted) else each
        yield from _keyed(f"{pad}{scalar(key)}:", bare, column)


def _keyed(head: str, value: Any, column: int) -> Iterator[str]:  # noqa: ANN401 - as in document
    if isinstance(value, Unsafe):
        yield f"{head} !unsafe{_text(value.text, column)}"
    elif isinstance(value, str):
        yield head + _text(value, column)
    elif isinstance(value, Mapping) and value:
        yield head
        yield from table(value, column + _STEP)
    elif isinstance(value, list | tuple) and value:
        yield from _keyed_list(head, value, column)
    else:
        yield head + after_colon(value, column, _STEP)


def _keyed_list(head: str, value: Sequence[Any], column: int) -> Iterator[str]:
    """Short lists of single values stand behind their key."""
    if not any(isinstance(each, Mapping | list | tuple) for each in value):
        line = f"{head} {flow(value)}"
        if len(line) <= _WIDTH:
            yield line
            return
    yield head
    yield from _list(value, column + _STEP)


def _text(value: str, column: int) -> str:
    """A text behind its key; lines are kept as lines where that loses nothing."""
    rest = value.rstrip("\n")
    blank = value[len(rest) + 1 :]
    text = after_colon(f"{rest}\n", column, _STEP) if blank else ""
    if text.startswith(" |\n"):
        return f" |+{text.removeprefix(' |')}{blank}"
    return after_colon(value, column, _STEP)


def _list(value: Iterable[Any], column: int) -> Iterator[str]:
    pad = " " * column
    for each in value:
        if isinstance(each, Mapping) and each:
            first, *rest = table(each, column + _STEP)
            yield f"{pad}- {first[column + _STEP :]}"
            yield from rest
        else:
            yield f"{pad}- {item(each, column, _STEP)}"
