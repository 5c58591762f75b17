"""The last runs of a site as bars: failed, not measured and warned verdicts of each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from gapcheck.model import Status
from gapcheck.record import PastRun, Record

HEIGHT = 72
STEP = 22
_BAR = 16
_MOST = 30
_PARTS = (
    ("fail", (Status.FAIL,)),
    ("error", (Status.ERROR, Status.BLOCKED)),
    ("warn", (Status.WARN,)),
)


@dataclass(frozen=True, slots=True)
class Part:
    """One part of a bar, in units of the picture."""

    kind: str
    x: int
    y: float
    width: int
    height: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Past:
    """One run as the table says it, and its bar."""

    run: str
    began: datetime
    exit: int
    failed: int
    unmeasured: int
    warned: int
    parts: tuple[Part, ...] = ()


@dataclass(frozen=True, slots=True)
class Trend:
    """The runs, oldest first and this one last, drawn to the highest of them."""

    runs: tuple[Past, ...]
    most: int

    @property
    def width(self) -> int:
        """Width of the picture."""
        return STEP * len(self.runs)


def trend(record: Record) -> Trend | None:
    """The trend up to this run; None where no earlier run is known."""
    if not record.trend:
        return None
    run = record.run
    counts = {status.value: count for status, count in record.counts.items()}
    this = PastRun(run=run.id, began=run.started, exit=run.exit, counts=counts)
    runs = [each for each in record.trend if each.run != run.id][1 - _MOST :]
    shown = [*runs, this]
    most = max(1, *(sum(_numbers(each)) for each in shown))
    return Trend(tuple(_past(each, index, most) for index, each in enumerate(shown)), most)


def _numbers(past: PastRun) -> Sequence[int]:
    return [sum(past.counts.get(s.value, 0) for s in statuses) for _, statuses in _PARTS]


def _past(past: PastRun, index: int, most: int) -> Past:
    failed, unmeasured, warned = _numbers(past)
    parts = []
    top = float(HEIGHT)
    for (kind, _), number in zip(_PARTS, (failed, unmeasured, warned), strict=True):
        height = round((HEIGHT - 4) * number / most, 1)
        if number:
            height = max(2.0, height)
            top = round(top - height, 1)
            parts.append(Part(kind, index * STEP + 3, max(0.0, top), _BAR, height))
    return Past(
        run=past.run, began=past.began, exit=past.exit, failed=failed, unmeasured=unmeasured,
        warned=warned, parts=tuple(parts),
    )  # fmt: skip
