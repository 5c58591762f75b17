"""The HTML report: one self-contained page that needs no script and fetches nothing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import TextIO

from gapcheck.model import Status, Verdict
from gapcheck.record import Record
from gapcheck.reports.wording import evidence_line, headline, printable, reason_of

_LISTED = 5000
_ORDER = (
    Status.FAIL,
    Status.ERROR,
    Status.BLOCKED,
    Status.WARN,
    Status.WAIVED,
    Status.PASS,
    Status.NOT_APPLICABLE,
)
FAMILIES = {
    "CERT": "certificate",
    "REG": "registry",
    "NODE": "node trust",
    "RUN": "runtime",
    "DNS": "names",
    "SECRET": "secret",
    "REL": "release",
    "SVC": "services",
    "SITE": "site",
}


@dataclass(frozen=True, slots=True)
class Link:
    """One link of the chain: a family of checks, its worst status, and how many are how."""

    name: str
    status: Status
    said: str


def write(record: Record, out: TextIO) -> None:
    """Write `record` as a page."""
    from jinja2 import Environment, StrictUndefined

    source = files("gapcheck.reports").joinpath("page.html.j2").read_text(encoding="utf-8")
    environment = Environment(
        finalize=lambda value: printable(value) if isinstance(value, str) else value,
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["headline"] = headline
    environment.filters["reason"] = reason_of
    environment.filters["evidence"] = evidence_line
    by_cause = {verdict.cause: verdict for verdict in record.verdicts}
    stream = environment.from_string(source).generate(
        record=record,
        roots=[by_cause[cause] for cause in record.roots()],
        chain=list(links(record.verdicts)),
        counts=[(status, record.counts[status]) for status in _ORDER if record.counts[status]],
        listed=list(listed(record.verdicts)),
        left_out=max(0, len(record.verdicts) - _LISTED),
        diff_class={"+": "added", "-": "removed", "@": "place"},
    )
    out.writelines(stream)


def links(verdicts: Sequence[Verdict]) -> Iterator[Link]:
    """The chain from certificate to release, each link with its worst status."""
    for family, name in FAMILIES.items():
        mine = [verdict for verdict in verdicts if verdict.check.startswith(f"{family}-")]
        if not mine:
            continue
        worst = min((verdict.status for verdict in mine), key=_ORDER.index)
        counts = {status: sum(v.status is status for v in mine) for status in _ORDER}
        said = ", ".join(f"{count} {_word(status)}" for status, count in counts.items() if count)
        yield Link(name, worst, said)


def listed(verdicts: Sequence[Verdict]) -> Iterator[Verdict]:
    """The verdicts that the page lists one by one: the worst first, at most 5,000."""
    ranked = sorted(verdicts, key=lambda verdict: _ORDER.index(verdict.status))
    yield from ranked[:_LISTED]


def _word(status: Status) -> str:
    return status.value.replace("_", " ")
