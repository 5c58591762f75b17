"""Statuses as a page says them: sign, word, letter; and what an exit code means."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from gapcheck.exits import Exit
from gapcheck.model import Status

WORST_FIRST = (
    Status.FAIL,
    Status.ERROR,
    Status.BLOCKED,
    Status.WARN,
    Status.WAIVED,
    Status.PASS,
    Status.NOT_APPLICABLE,
)
WORDS = {
    Status.FAIL: "failed",
    Status.ERROR: "not measured",
    Status.BLOCKED: "blocked",
    Status.WARN: "warned",
    Status.WAIVED: "waived",
    Status.PASS: "passed",
    Status.NOT_APPLICABLE: "not applicable",
}
SHORT = {**WORDS, Status.ERROR: "unmeasured"}
SIGNS = {
    Status.FAIL: "\u2717",
    Status.ERROR: "?",
    Status.BLOCKED: "\u2298",
    Status.WARN: "!",
    Status.WAIVED: "~",
    Status.PASS: "\u2713",
    Status.NOT_APPLICABLE: "\u2013",
}
LETTERS = {
    Status.FAIL: "f",
    Status.ERROR: "e",
    Status.BLOCKED: "b",
    Status.WARN: "w",
    Status.WAIVED: "v",
    Status.PASS: "p",
    Status.NOT_APPLICABLE: "n",
}
BY_LETTER = {letter: status for status, letter in LETTERS.items()}
NOT_JUDGED = "."

EXITS = {
    Exit.OK: "every check that was judged passed or is waived",
    Exit.FAILED: "a check failed",
    Exit.INTERRUPTED: "interrupted",
    Exit.INTERNAL: "a defect of gapcheck",
    Exit.USAGE: "the command line, the site file or a bundle is not usable",
    Exit.NOTHING: "nothing was checked",
    Exit.UNMEASURED: "something could not be measured",
    Exit.REPAIR: "a repair failed, was refused or was rolled back",
    Exit.DRIFT: "the site differs from an earlier run, although every check passes",
}


def exit_meaning(code: int) -> str:
    """What the process's exit code tells its caller; '' for a code of nobody's."""
    return next((text for exit_, text in EXITS.items() if exit_ == code), "")


def counted_statuses(counts: Mapping[Status, int]) -> tuple[tuple[Status, int], ...]:
    """The statuses that occur with their numbers, the worst first."""
    return tuple((status, counts[status]) for status in WORST_FIRST if counts.get(status))


def worst_of(statuses: Iterable[Status]) -> Status:
    """The status that matters most; NOT_APPLICABLE for none."""
    return min(statuses, key=WORST_FIRST.index, default=Status.NOT_APPLICABLE)


def grouped_digits(number: int) -> str:
    """`number` with its thousands apart: 12,345."""
    return f"{number:,}"


def many(number: int, noun: str) -> str:
    """A number with its noun: "1 node", "12,345 nodes"."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
