"""Plain values as YAML text, in the two styles that an edit needs. Pure."""

from __future__ import annotations

import json
import re

from gapcheck.remediations.editing.keys import Plain

_PLAIN = re.compile(r"[A-Za-z/][A-Za-z0-9_./@+-]*(?::[A-Za-z0-9_./@+-]+)*(?: [A-Za-z0-9_./@+-]+)*")
_WORDS = frozenset(("y", "n", "yes", "no", "on", "off", "true", "false", "null", "nan", "inf"))
_BLOCK_LINE = re.compile(r"[^\x00-\x1f\x7f-\x9f\u2028\u2029\ufeff\ud800-\udfff]*")


def scalar(value: Plain, like: str = "") -> str:
    """`value` on one line; `like` is the old text, whose quotes are kept."""
    if not isinstance(value, str):
        return json.dumps(value)
    if like.startswith("'") and _BLOCK_LINE.fullmatch(value):
        return "'" + value.replace("'", "''") + "'"
    if not like.startswith('"') and _PLAIN.fullmatch(value) and value.lower() not in _WORDS:
        return value
    quoted = json.dumps(value, ensure_ascii=False)
    return re.sub(
        r"[\x7f-\x9f\u2028\u2029\ufeff\ud800-\udfff]", lambda m: f"\\u{ord(m[0]):04x}", quoted
    )


def flow(value: Plain) -> str:
    """`value` on one line, tables and lists in brackets."""
    if isinstance(value, dict):
        inner = (f"{scalar(key)}: {flow(each)}" for key, each in value.items())
        return "{" + ", ".join(inner) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(flow, value)) + "]"
    text = scalar(value)
    return json.dumps(value, ensure_ascii=False) if ":" in text and text[0] != '"' else text


def after_colon(value: Plain, column: int, dash: int, like: str = "") -> str:
    """What follows `key:` where the key stands at `column`.

    Lists under a key are indented by `dash` spaces; inner tables always by two.
    """
    if isinstance(value, dict) and value:
        return "".join(f"\n{' ' * (column + 2)}{line}" for line in _table(value, column + 2, dash))
    if isinstance(value, list | tuple) and value:
        inner = column + dash
        return "".join(f"\n{' ' * inner}- {item(each, inner, dash)}" for each in value)
    if isinstance(value, dict | list | tuple):
        return f" {flow(value)}"
    if isinstance(value, str) and _fits_block(value) and not like.startswith(("'", '"')):
        return f" {_literal(value, column + 2)}"
    return f" {scalar(value, like)}"


def item(value: Plain, column: int, dash: int) -> str:
    """What follows `- ` where the dash stands at `column`."""
    if isinstance(value, dict) and value:
        return f"\n{' ' * (column + 2)}".join(_table(value, column + 2, dash))
    if isinstance(value, str) and _fits_block(value):
        return _literal(value, column + 2)
    return flow(value)


def _table(value: dict[str, Plain], column: int, dash: int) -> list[str]:
    return [f"{scalar(key)}:{after_colon(each, column, dash)}" for key, each in value.items()]


def _fits_block(value: str) -> bool:
    """Whether `value` is lines that a literal block holds without an indentation hint."""
    lines = value.split("\n")
    return (
        len(lines) > 1
        and bool(lines[0].strip())
        and not lines[0].startswith(" ")
        and all(_BLOCK_LINE.fullmatch(line) for line in lines)
        and not (value.endswith("\n\n") or any(line and not line.strip() for line in lines))
    )


def _literal(value: str, column: int) -> str:
    header = "|" if value.endswith("\n") else "|-"
    lines = value.removesuffix("\n").split("\n")
    return header + "".join(f"\n{' ' * column}{line}" if line else "\n" for line in lines)
