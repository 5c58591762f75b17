"""The HTML report: one self-contained page that fetches nothing, read without a script too."""

from __future__ import annotations

import hashlib
import json
from base64 import b64encode
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.resources import files
from typing import Any, TextIO

from gapcheck.model import Status
from gapcheck.record import Record
from gapcheck.reports.page import expiry, status_words
from gapcheck.reports.page.changes import rounds
from gapcheck.reports.page.entries import entries
from gapcheck.reports.page.findings import cards
from gapcheck.reports.page.matrix import MOST_ROWS, matrix, script_data
from gapcheck.reports.page.overview import overview
from gapcheck.reports.page.since import since
from gapcheck.reports.page.stations import BESIDE, stations
from gapcheck.reports.page.subjects import Names, Who
from gapcheck.reports.page.trend import HEIGHT, trend
from gapcheck.reports.unmeasured import behind_gaps, gap_groups
from gapcheck.reports.wording import cut, printable

_LONGEST = 2_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Untold:
    """What was not measured for one reason: of whom, and which checks miss it."""

    id: str
    stage: str
    reason: str
    who: Who
    checks: tuple[tuple[str, int], ...]


def write(record: Record, out: TextIO) -> None:
    """Write `record` as a page, piece by piece."""
    from jinja2 import Environment, PackageLoader, StrictUndefined
    from markupsafe import Markup

    environment = Environment(
        loader=PackageLoader("gapcheck.reports", "page"),
        # What the template itself made is whole already; what targets said is not.
        finalize=lambda value: printable(value) if type(value) is str else value,
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["n"] = status_words.grouped_digits
    environment.filters["day"] = lambda moment: moment.strftime("%Y-%m-%d")
    environment.filters["minute"] = lambda moment: moment.strftime("%Y-%m-%d %H:%M UTC")
    style, script = (_asset(name) for name in ("style.css", "script.js"))
    stream = environment.get_template("page.html.j2").stream(
        **_view(record),
        style=Markup(style),  # noqa: S704 - our own file
        script=Markup(script),  # noqa: S704 - our own file
        policy=_policy(style, script),
    )
    stream.enable_buffering(200)
    out.writelines(stream)


def _asset(name: str) -> str:
    return files("gapcheck.reports.page").joinpath(name).read_text(encoding="utf-8")


def _policy(style: str, script: str) -> str:
    """A content security policy: nothing is fetched, and only our own two blocks count."""
    return (
        f"default-src 'none'; style-src {_digest(style)}; script-src {_digest(script)};"
        " base-uri 'none'; form-action 'none'"
    )


def _digest(text: str) -> str:
    return f"'sha256-{b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def _view(record: Record) -> dict[str, Any]:
    """What the template shows, worked out."""
    names = Names()
    errors = [v for v in record.verdicts if v.status is Status.ERROR and not v.root_causes]
    behind = behind_gaps(errors, record.gaps)
    folded = frozenset(verdict.cause for found in behind.values() for verdict in found)
    found = cards(record, names, folded=folded)
    chain = list(stations(record.verdicts, [card.check for card in found.roots]))
    grid = matrix(record.verdicts)
    repair = list(rounds(record.rounds, names))
    return {
        "run": record.run,
        "notes": [cut(note, _LONGEST) for note in record.notes],
        "overview": overview(record, found),
        "counts": status_words.counted_statuses(record.counts),
        "chain": [station for station in chain if station.key != BESIDE],
        "beside": next((station for station in chain if station.key == BESIDE), None),
        "cards": found,
        "untold": list(_untold(record, behind, names)),
        "matrix": grid,
        "most_rows": MOST_ROWS,
        "card_of": {(card.check, card.status): card.id for card in reversed(list(found))},
        "lives": list(expiry.lives(record.certificates, now=record.run.now)),
        "more_lives": max(0, len(record.certificates) - expiry.MOST),
        "scale": expiry,
        "rounds": repair,
        "diffs": {
            check: each.id
            for done in reversed(repair)
            for each in reversed(done.changes)
            for check in each.checks
        },
        "since": since(record.drift, names) if record.drift else None,
        "trend": trend(record),
        "trend_height": HEIGHT,
        "stations": list(entries(record, list(found), names)),
        "data": _script_json(script_data(grid, record.verdicts)),
        "words": status_words.WORDS,
        "short": status_words.SHORT,
        "signs": status_words.SIGNS,
        "letters": status_words.LETTERS,
        "status": Status,
        "counted": status_words.many,
    }


def _untold(record: Record, behind: dict[Any, Any], names: Names) -> Iterator[Untold]:
    for said, gaps in gap_groups(record.gaps).items():
        stage, reason = said
        checks: dict[str, int] = {}
        for verdict in behind.get(said, ()):
            checks[verdict.check] = checks.get(verdict.check, 0) + 1
        digest = hashlib.sha256(f"{stage}\n{reason}".encode("utf-8", "replace")).hexdigest()
        yield Untold(
            id=f"not-measured.{digest[:8]}",
            stage=stage,
            reason=cut(reason, _LONGEST),
            who=names.who([gap.subject for gap in gaps]),
            checks=tuple(checks.items()),
        )


def _script_json(data: dict[str, Any]) -> Iterator[Any]:
    """`data` as it may stand in a script element, in pieces.

    It is ASCII without the signs that could end the element.
    """
    from markupsafe import Markup

    for piece in json.JSONEncoder(separators=(",", ":")).iterencode(data):
        text = piece
        for sign in "<>&":
            text = text.replace(sign, f"\\u{ord(sign):04x}")
        yield Markup(text)  # noqa: S704 - escaped just above
