"""Every check of the run as one line, with what it requires and what was seen."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from gapcheck.model import CheckId, Status, Verdict
from gapcheck.record import Record
from gapcheck.reports.page.findings import Card, Explained, explained
from gapcheck.reports.page.stations import TITLES, station_of
from gapcheck.reports.page.status_words import LETTERS, counted_statuses
from gapcheck.reports.page.subjects import Names, Who
from gapcheck.reports.wording import cut, evidence_line

_MOST_SEEN = 3
_MOST_REASONS = 5
_LONGEST = 400


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One check. `seen` is evidence of passes, `reasons` why it was blocked or did not apply."""

    explained: Explained
    counts: tuple[tuple[Status, int], ...]
    cards: tuple[Card, ...]
    seen: tuple[tuple[str, str], ...]
    reasons: tuple[tuple[Status, str, Who], ...]
    more_reasons: int
    repaired: int

    @property
    def letters(self) -> str:
        """The statuses that its verdicts have, as scripts know them."""
        return "".join(LETTERS[status] for status, _ in self.counts)


@dataclass(slots=True)
class _Tally:
    counts: Counter[Status] = field(default_factory=Counter)
    seen: list[tuple[str, str]] = field(default_factory=list)
    reasons: dict[tuple[Status, str], list[Verdict]] = field(default_factory=dict)
    repaired: int = 0


def entries(
    record: Record, cards: Sequence[Card], names: Names
) -> Iterator[tuple[str, str, tuple[Entry, ...]]]:
    """Key, name and entries of each station of the chain, in its order."""
    tallies = _tallies(record.verdicts)
    by_station: dict[str, list[CheckId]] = {}
    for check in tallies:
        by_station.setdefault(station_of(check), []).append(check)
    for key, title in TITLES.items():
        found = [
            _entry(check, tallies[check], record, [c for c in cards if c.check == check], names)
            for check in by_station.get(key, ())
        ]
        yield key, title, tuple(found)


def _tallies(verdicts: Sequence[Verdict]) -> Mapping[CheckId, _Tally]:
    found: dict[CheckId, _Tally] = {}
    for verdict in verdicts:
        tally = found.get(verdict.check)
        if tally is None:
            tally = found[verdict.check] = _Tally()
        status = verdict.status
        tally.counts[status] += 1
        tally.repaired += verdict.fixed
        if status is Status.PASS:
            if len(tally.seen) < _MOST_SEEN:
                tally.seen += [(verdict.subject, cut(evidence_line(e), _LONGEST))
                               for e in verdict.evidence[:_MOST_SEEN]]  # fmt: skip
        elif status is Status.BLOCKED or status is Status.NOT_APPLICABLE:
            tally.reasons.setdefault((status, verdict.reason), []).append(verdict)
    return found


def _entry(
    check: CheckId, tally: _Tally, record: Record, cards: Sequence[Card], names: Names
) -> Entry:
    reasons = list(tally.reasons.items())
    return Entry(
        explained=explained(check, record.catalogue.get(check)),
        counts=counted_statuses(tally.counts),
        cards=tuple(cards),
        seen=tuple(tally.seen[:_MOST_SEEN]),
        reasons=tuple(
            (status, cut(reason, _LONGEST), names.who([v.subject for v in verdicts]))
            for (status, reason), verdicts in reasons[:_MOST_REASONS]
        ),
        more_reasons=max(0, len(reasons) - _MOST_REASONS),
        repaired=tally.repaired,
    )
