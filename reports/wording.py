"""The words reports share: one line for a verdict, its reason, a piece of evidence."""

from __future__ import annotations

import re
from collections.abc import Iterator

from gapcheck.model import Evidence, Verdict

_UNPRINTABLE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]"
)


def printable(text: str) -> str:
    """`text` without what would steer a terminal or break a page: a target may say anything."""
    return text if text.isprintable() else _UNPRINTABLE.sub("\ufffd", text)


def headline(verdict: Verdict) -> str:
    """What is true now, in one line; the count of further findings behind it."""
    if not verdict.findings:
        return reason_of(verdict)
    first, *others = verdict.findings
    return f"{first.problem} (and {len(others)} more)" if others else first.problem


def reason_of(verdict: Verdict) -> str:
    """Why a verdict is not a plain pass or fail; '' where nothing was said."""
    return verdict.waived_by or verdict.reason or "; ".join(f.problem for f in verdict.findings)


def evidence_line(evidence: Evidence) -> str:
    """Label, value and where it was read."""
    where = f" ({evidence.source})" if evidence.source else ""
    return f"{evidence.label}: {evidence.value}{where}"


def counted(number: int, singular: str, plural: str = "") -> str:
    """A number with its noun: "1 node", "3 nodes"."""
    return f"{number} {singular if number == 1 else plural or singular + 's'}"


def cut(text: str, longest: int) -> str:
    """`text`, or its first `longest` characters and how many more there are."""
    if len(text) <= longest:
        return text
    return f"{text[:longest]}... ({len(text) - longest:,} characters more)"


def wrapped(text: str, width: int, *, indent: int) -> Iterator[str]:
    """`text` in lines of at most `width` columns, further ones indented; words stay whole.

    The lines of `textwrap`, which takes five times as long: a large site has 100,000 of them.
    """
    rest = text.expandtabs().replace("\n", " ") if "\n" in text or "\t" in text else text
    before = ""
    while len(before) + len(rest) > width:
        end = max(0, rest.rfind(" ", 0, width - len(before) + 1))
        if not rest[:end].strip(" "):
            if rest.startswith(" "):
                rest = rest.lstrip(" ")
                continue
            end = rest.find(" ") if " " in rest else len(rest)  # longer than a line, and whole
        yield before + rest[:end].rstrip(" ")
        rest, before = rest[end:].lstrip(" "), " " * indent
    if rest.strip(" "):
        yield before + rest.rstrip(" ")
