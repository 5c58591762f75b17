"""Nodes by checks: nodes that every check says the same of are one row."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from gapcheck.model import CheckId, Status, SubjectId, Verdict
from gapcheck.reports.page.stations import TITLES, station_of
from gapcheck.reports.page.status_words import (
    BY_LETTER,
    LETTERS,
    NOT_JUDGED,
    WORST_FIRST,
)
from gapcheck.reports.wording import printable

MOST_ROWS = 200
_NODE = "node/"


@dataclass(frozen=True, slots=True)
class Row:
    """Nodes that are alike; `cells` holds one letter a column, `names` come in the site's order."""

    cells: str
    names: tuple[str, ...]

    @property
    def statuses(self) -> tuple[Status | None, ...]:
        """The status in each column; None where the check was not judged of these nodes."""
        return tuple(BY_LETTER.get(letter) for letter in self.cells)


@dataclass(frozen=True, slots=True)
class Matrix:
    """`columns` are checks by station, `rows` the groups of equal nodes, the worst first."""

    columns: tuple[CheckId, ...]
    rows: tuple[Row, ...]
    nodes: int

    @property
    def shown(self) -> tuple[Row, ...]:
        """The rows that are written out; a script finds the others."""
        return self.rows[:MOST_ROWS]

    @property
    def bands(self) -> tuple[tuple[str, int], ...]:
        """Stations over the columns, each with how many it spans."""
        found: dict[str, int] = {}
        for check in self.columns:
            found[station_of(check)] = found.get(station_of(check), 0) + 1
        return tuple((TITLES[key], count) for key, count in found.items())


def matrix(verdicts: Sequence[Verdict]) -> Matrix:
    """The matrix of everything that was judged of nodes."""
    order = list(TITLES)
    judged = dict.fromkeys(v.check for v in verdicts if v.subject.startswith(_NODE))
    columns = tuple(sorted(judged, key=lambda check: order.index(station_of(check))))
    place = {check: index for index, check in enumerate(columns)}
    by_node: dict[SubjectId, list[str]] = {}
    for verdict in verdicts:
        if verdict.subject.startswith(_NODE):
            cells = by_node.get(verdict.subject)
            if cells is None:
                cells = by_node[verdict.subject] = [NOT_JUDGED] * len(columns)
            cells[place[verdict.check]] = LETTERS[verdict.status]
    groups: dict[str, list[str]] = {}
    for subject, letters in by_node.items():
        groups.setdefault("".join(letters), []).append(subject.removeprefix(_NODE))
    rows = [Row(cells, tuple(names)) for cells, names in groups.items()]
    return Matrix(columns, tuple(sorted(rows, key=_rank)), len(by_node))


def _rank(row: Row) -> tuple[object, ...]:
    """Rows with more of what is worse come first; equal ones by how many nodes they are."""
    counts = tuple(-row.cells.count(LETTERS[status]) for status in WORST_FIRST[:4])
    return (*counts, -len(row.names), row.names[0])


def script_data(found: Matrix, verdicts: Iterable[Verdict]) -> dict[str, Any]:
    """What filters look up: every group, and the status of every other subject's checks."""
    others: dict[str, dict[str, str]] = {}
    for verdict in verdicts:
        if not verdict.subject.startswith(_NODE):
            others.setdefault(printable(verdict.subject), {})[verdict.check] = LETTERS[
                verdict.status
            ]
    return {
        "columns": list(found.columns),
        "groups": [[row.cells, "\n".join(map(_on_one_line, row.names))] for row in found.rows],
        "others": others,
    }


def _on_one_line(name: str) -> str:
    return printable(name).replace("\n", " ")
