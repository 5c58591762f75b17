"""Many subjects in few words: how many, a few of them, and the rest where there is room."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from gapcheck.counting import counted
from gapcheck.model import SubjectId

_EXAMPLES = 4
_ROOM = 400_000


@dataclass(frozen=True, slots=True)
class Who:
    """Subjects: `text` says how many and names a few, `rest` names the others.

    `unnamed` is the number of those that there was no room for.
    """

    text: str
    count: int
    rest: str = ""
    unnamed: int = 0


class Names:
    """Names subjects within the room that one page has for names, in characters."""

    def __init__(self, room: int = _ROOM) -> None:
        self._left = room

    def who(self, subjects: Sequence[SubjectId]) -> Who:
        """`subjects` (at least one) as a page names them."""
        if len(subjects) == 1:
            return Who(subjects[0], 1)
        kinds = {subject.partition("/")[0] for subject in subjects}
        kind = kinds.pop() if len(kinds) == 1 else "subject"
        short = [subject.partition("/")[2] or subject for subject in subjects]
        examples = ", ".join(short[:_EXAMPLES])
        if len(short) <= _EXAMPLES:
            return Who(f"{counted(len(short), kind)} ({examples})", len(short))
        said = f"{len(short):,} {kind}s ({examples}, ...)"
        rest = self._fitting(short[_EXAMPLES:])
        return Who(said, len(short), ", ".join(rest), len(short) - _EXAMPLES - len(rest))

    def _fitting(self, names: Sequence[str]) -> Sequence[str]:
        for index, name in enumerate(names):
            self._left -= len(name) + 2
            if self._left < 0:
                return names[:index]
        return names
