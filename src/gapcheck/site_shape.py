"""Plain data against the shape of the site file: every defect, in the file's own words.

Kinds, keys and closed sets of words are compared here, with the keys and words that would be
right; ranges and meanings by the models themselves, whose complaints are put into plain words.
"""

from __future__ import annotations

import datetime as dt
import difflib
import types
import typing
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import pydantic

from gapcheck.site import Part, Site
from gapcheck.site_yaml import Document, KeyPath, Problem

if typing.TYPE_CHECKING:
    from pydantic.fields import FieldInfo
    from pydantic_core import ErrorDetails

RESERVED = {
    "registries": "is reserved for a later version; name the one registry under registry",
}

_NEEDS: dict[object, str] = {
    str: "text is needed",
    bool: "true or false is needed",
    int: "a whole number is needed",
    float: "a number is needed",
    dt.date: "a date is needed, YYYY-MM-DD",
}


def keys_of(part: type[Part]) -> dict[str, FieldInfo]:
    """The keys a table has, as people write them."""
    return {field.alias or name: field for name, field in part.model_fields.items()}


def judged(document: Document) -> tuple[Site | None, list[Problem]]:
    """The site that `document` describes, None with the problems where it describes none."""
    problems = list(document.problems)
    if problems and document.data is None:
        return None, problems
    version = document.data.get("version") if isinstance(document.data, dict) else None
    if type(version) is int and version > 1:
        line = document.line_of(("version",))
        why = f"is {version}; this gapcheck reads version 1, a newer one is needed"
        return None, [Problem(line, ("version",), why)]
    problems += _Shape(document).compare(document.data, Site, ())
    site: Site | None = None
    try:
        site = Site.model_validate(_without_nulls(document.data, document.empty, ()))
    except pydantic.ValidationError as wrong:
        problems += _untold(wrong.errors(), document, problems)
    once = dict.fromkeys(problems)
    return (None if problems else site), sorted(once, key=lambda each: each.line)


def _without_nulls(data: object, empty: set[KeyPath], path: KeyPath) -> object:
    """`data` without the keys that hold nothing, which then have their defaults."""
    if isinstance(data, dict):
        return {
            key: _without_nulls(value, empty, (*path, key))
            for key, value in data.items()
            if value is not None
        }
    if isinstance(data, list):
        return [_without_nulls(each, empty, (*path, at)) for at, each in enumerate(data)]
    return data


class _Shape:
    """Compares kinds and keys; everything it finds is yielded, nothing stops it."""

    def __init__(self, document: Document) -> None:
        self.document = document

    def compare(self, data: object, wanted: Any, path: KeyPath) -> Iterator[Problem]:  # noqa: ANN401 - an annotation
        kinds = tuple(_kinds(wanted))
        parts = [kind for kind in kinds if isinstance(kind, type) and issubclass(kind, Part)]
        lists = [kind for kind in kinds if typing.get_origin(kind) is tuple]
        if isinstance(data, dict) and parts:
            yield from self._table(data, parts[0], path)
        elif isinstance(data, list) and lists:
            item = typing.get_args(lists[0])[0]
            for at, each in enumerate(data):
                yield from self.compare(each, item, (*path, at))
        elif not (isinstance(data, str) and any(part.text_is for part in parts)):
            yield from self._scalar(data, kinds, path)

    def _table(
        self, data: Mapping[str, object], part: type[Part], path: KeyPath
    ) -> Iterator[Problem]:
        keys = keys_of(part)
        for name, value in data.items():
            here = (*path, name)
            if name not in keys:
                yield self._problem(here, _unknown(name, keys, path))
            elif value is None:
                yield from self._nothing(here, keys[name])
            elif value != "" or keys[name].get_default() != "":
                yield from self.compare(value, keys[name].annotation, here)

    def _nothing(self, path: KeyPath, field: FieldInfo) -> Iterator[Problem]:
        """A key without a value: the default where that is a list or a table of defaults."""
        harmless = isinstance(field.get_default(), tuple | Part)
        if harmless or (path not in self.document.empty and not field.is_required()):
            return
        kinds = tuple(_kinds(field.annotation))
        table = any(isinstance(kind, type) and issubclass(kind, Part) for kind in kinds)
        advice = "write {} for the defaults, or delete the line" if table else "or delete the line"
        if field.is_required():
            advice = _need(kinds)
        elif not table:
            advice = f"{_need(kinds)}, or delete the line"
        yield self._problem(path, f"has no value; {advice}")

    def _scalar(self, data: object, kinds: tuple[Any, ...], path: KeyPath) -> Iterator[Problem]:
        words = [word for kind in kinds if _is_literal(kind) for word in typing.get_args(kind)]
        exact = any(data == word and type(data) is type(word) for word in words)
        if words and not exact and not _any_kind(data, kinds):
            allowed = ", ".join(f"{each}" for each in words)
            quoted = " (without quotes)" if data in [str(each) for each in words] else ""
            hint = _nearest("" if quoted else data, words)
            yield self._problem(path, f"is {_shown(data)}{hint} allowed: {allowed}{quoted}")
        elif not words and not _any_kind(data, kinds):
            quote = (
                "; put it in quotes" if str in kinds and not isinstance(data, list | dict) else ""
            )
            yield self._problem(path, f"is {_shown(data)}; {_need(kinds)}{quote}")
        elif isinstance(data, str) and not data.strip():
            yield self._problem(path, "is an empty text; delete the line or give a value")

    def _problem(self, path: KeyPath, why: str) -> Problem:
        return Problem(self.document.line_of(path), path, why)


def _kinds(wanted: Any) -> Iterator[Any]:  # noqa: ANN401 - an annotation
    """The alternatives of an annotation, unions and Annotated taken apart."""
    origin = typing.get_origin(wanted)
    if origin in (typing.Union, types.UnionType):
        for each in typing.get_args(wanted):
            yield from _kinds(each)
    elif origin is typing.Annotated:
        yield from _kinds(typing.get_args(wanted)[0])
    elif wanted is not type(None):
        yield wanted


def _is_literal(kind: object) -> bool:
    return typing.get_origin(kind) is typing.Literal


def _any_kind(data: object, kinds: Iterable[object]) -> bool:
    """Whether a scalar may be tried as one of `kinds`; a text may name a number, not vice versa."""
    if isinstance(data, bool):
        return bool in kinds
    if isinstance(data, int | float):
        return int in kinds or float in kinds
    return isinstance(data, str) and any(kind in _NEEDS for kind in kinds)


def _need(kinds: Iterable[Any]) -> str:
    for kind in kinds:
        if kind in _NEEDS:
            return _NEEDS[kind]
        if typing.get_origin(kind) is tuple:
            return "a list is needed"
        if isinstance(kind, type) and issubclass(kind, Part):
            return f"a table is needed; its keys: {', '.join(keys_of(kind))}"
    return "one of the allowed words is needed"


def _unknown(name: str, keys: Mapping[str, object], path: KeyPath) -> str:
    if not path and name in RESERVED:
        return RESERVED[name]
    return f"unknown key{_nearest(name, keys)} allowed: {', '.join(keys)}"


def _nearest(word: object, words: Iterable[object]) -> str:
    """The question, or just the punctuation, that stands before the allowed words."""
    near = difflib.get_close_matches(str(word), [str(each) for each in words], n=1)
    return f"; did you mean {near[0]}?" if near else ";"


def _shown(data: object) -> str:
    match data:
        case bool():
            return "true" if data else "false"
        case str():
            return f"the text {data!r}" if len(data) < 60 else f"the text {data[:57]!r}..."  # noqa: PLR2004 - one line
        case list():
            return "a list"
        case dict():
            return "a table"
        case None:
            return "nothing"
        case _:
            return f"the number {data}"


def _untold(
    errors: Iterable[ErrorDetails], document: Document, told: Iterable[Problem]
) -> Iterator[Problem]:
    """The models' complaints about places that nothing was said of yet."""
    known = {each.path for each in told if each.whole}
    for error in errors:
        loc = tuple(step for step in error["loc"] if not str(step).startswith("<"))
        path, why = _in_words(error, loc)
        if not any(path[: len(each)] == each for each in known):
            yield Problem(document.line_of(path), path, why)


_WORDS: dict[str, Callable[[dict[str, Any], str], str]] = {
    "missing": lambda _, __: "is missing",
    "int_parsing": lambda _, seen: f"is {seen}; a whole number is needed",
    "int_from_float": lambda _, seen: f"is {seen}; a whole number is needed",
    "float_parsing": lambda _, seen: f"is {seen}; a number is needed, or a time such as 20s",
    "finite_number": lambda _, seen: f"is {seen}; a finite number is needed",
    "bool_parsing": lambda _, seen: f"is {seen}; true or false is needed",
    "greater_than_equal": lambda ctx, seen: f"is {seen}; {ctx['ge']} is the least",
    "greater_than": lambda ctx, seen: f"is {seen}; more than {ctx['gt']} is needed",
    "less_than_equal": lambda ctx, seen: f"is {seen}; {ctx['le']} is the most",
    "value_error": lambda ctx, _: str(ctx["error"]),
}


def _in_words(error: ErrorDetails, loc: KeyPath) -> tuple[KeyPath, str]:
    kind, ctx = error["type"], dict(error.get("ctx", {}))
    seen = _shown(error["input"])
    if kind == "elsewhere":
        return tuple(ctx["at"]), error["msg"]
    if kind.startswith("date"):
        return loc, f"is {seen}; a date is needed, YYYY-MM-DD"
    if kind in _WORDS:
        return loc, _WORDS[kind](ctx, seen)
    return loc, f"is {seen}; a value of another kind is needed ({kind})"
