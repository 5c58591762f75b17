"""What reports cost, against the cheapest of them on the same machine at the same moment."""

import io
import time
import tracemalloc
from collections.abc import Callable, Iterable

import pytest
from support.large_sites import distinct

from gapcheck.record import Record
from gapcheck.reports import html, json, junit, openmetrics, policyreport, sarif, terminal


class Nowhere(io.StringIO):
    """Takes everything and keeps nothing."""

    def write(self, text: str, /) -> int:
        return len(text)

    def writelines(self, lines: Iterable[str], /) -> None:  # type: ignore[override]  # StringIO's own stub asks for less than TextIO
        for each in lines:
            self.write(each)


def in_colour(record: Record, out: Nowhere) -> None:
    terminal.write(record, out, colour=True)


Write = Callable[[Record, Nowhere], None]
WRITERS: dict[str, Write] = {
    "terminal": terminal.write,
    "terminal in colour": in_colour,
    "junit": junit.write,
    "html": html.write,
    "sarif": sarif.write,
    "openmetrics": openmetrics.write,
    "policyreport": policyreport.write,
}
# Of JSON's time, with half as much room again for a busy machine.
MOST_TIMES_JSON = dict(zip(WRITERS, (4.5, 5, 2.8, 8, 4, 1.5, 2), strict=True))
MOST_BYTES_A_VERDICT = 300


def seconds(write: Write, record: Record) -> float:
    start = time.process_time()
    write(record, Nowhere())
    return time.process_time() - start


@pytest.mark.parametrize("name", WRITERS)
def test_no_report_of_a_large_site_takes_long_beside_the_cheapest(name: str) -> None:
    record = distinct(1000, 40)
    turns = [(seconds(WRITERS[name], record), seconds(json.write, record)) for _ in range(3)]
    ours, cheapest = (min(each) for each in zip(*turns, strict=True))
    assert ours < MOST_TIMES_JSON[name] * cheapest


@pytest.mark.parametrize("name", WRITERS)
def test_reports_are_written_as_they_are_made(name: str) -> None:
    record = distinct(1000, 40)
    WRITERS[name](record, Nowhere())  # what is imported and compiled once is not the report's
    tracemalloc.start()
    WRITERS[name](record, Nowhere())
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < MOST_BYTES_A_VERDICT * len(record.verdicts)
