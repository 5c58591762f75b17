"""The verdict in one sentence, and what it rests on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from gapcheck.exits import Exit
from gapcheck.model import Status
from gapcheck.record import Record
from gapcheck.reports.page.findings import Card, Cards
from gapcheck.reports.page.status_words import WORDS, counted_statuses, exit_meaning, many
from gapcheck.reports.wording import cut

_LONGEST = 240


@dataclass(frozen=True, slots=True, kw_only=True)
class Overview:
    """`verdict` and `problem` are the sentence; `root` is the card that it is about, if any."""

    status: Status
    verdict: str
    problem: str
    root: Card | None
    lines: tuple[str, ...]
    exit_meaning: str


def overview(record: Record, cards: Cards) -> Overview:
    """The one thing to know of this run."""
    counts = record.counts
    meaning = exit_meaning(record.run.exit)
    failed = cards.roots or [card for card in cards.follows if card.status is Status.FAIL]
    if failed:
        return _not_ready(record, failed, meaning)
    unmeasured = counts[Status.ERROR] + counts[Status.BLOCKED]
    if unmeasured or record.gaps:
        return _undecided(record, cards, meaning)
    judged = len({v.check for v in record.verdicts if v.status is not Status.NOT_APPLICABLE})
    if not any(counts[each] for each in (Status.PASS, Status.WARN, Status.WAIVED)):
        return Overview(
            status=Status.NOT_APPLICABLE, verdict="Nothing was checked", problem="", root=None,
            lines=(), exit_meaning=meaning,
        )  # fmt: skip
    return _ready(record, judged, meaning)


def _ready(record: Record, judged: int, meaning: str) -> Overview:
    counts = record.counts
    beside = [
        f"{counts[status]:,} {WORDS[status]}"
        for status in (Status.WARN, Status.WAIVED)
        if counts[status]
    ]
    lines = [f"Beside that: {', '.join(beside)}."] if beside else []
    fixed = sum(verdict.fixed for verdict in record.verdicts)
    if fixed:
        lines.append(f"{many(fixed, 'verdict')} repaired by this run.")
    status, verdict = Status.PASS, "Ready"
    if record.run.exit == Exit.FAILED:
        status, verdict = Status.WARN, "Not accepted: warnings fail this run"
    elif record.run.exit not in (Exit.OK, Exit.UNMEASURED):
        status, verdict = Status.WARN, f"Ready, but {meaning}"
    return Overview(
        status=status,
        verdict=verdict,
        problem=f"nothing fails in the {many(judged, 'check')} that this run judged",
        root=None,
        lines=tuple(lines),
        exit_meaning=meaning,
    )


def _not_ready(record: Record, failed: Sequence[Card], meaning: str) -> Overview:
    """`failed` are the root causes, or what fails because of something that was not measured."""
    first, *others = failed
    lines = []
    if first.behind:
        held: dict[Status, int] = {}
        for each in first.behind:
            for status, number in each.counts:
                held[status] = held.get(status, 0) + number
        said = ", ".join(f"{number:,} {WORDS[s]}" for s, number in counted_statuses(held))
        lines.append(f"It stands behind {many(first.held_up, 'other verdict')}: {said}.")
    if others:
        lines.append(f"{many(len(others), 'more root cause')} below.")
    if record.counts[Status.ERROR] or record.gaps:
        lines.append("Not everything could be measured.")
    return Overview(
        status=Status.FAIL,
        verdict="Not ready",
        problem=f"{first.who.text}: {cut(first.headline, _LONGEST)}",
        root=first,
        lines=tuple(lines),
        exit_meaning=meaning,
    )


def _undecided(record: Record, cards: Cards, meaning: str) -> Overview:
    counts = record.counts
    first = next(iter(cards.unmeasured), None)
    problem = ""
    if record.gaps:
        gap = record.gaps[0]
        problem = f"{gap.subject}, {gap.stage}: {cut(gap.reason, _LONGEST)}"
    elif first is not None:
        problem = f"{first.who.text}: {cut(first.headline, _LONGEST)}"
    number = counts[Status.ERROR] + counts[Status.BLOCKED]
    lines = [f"{many(number, 'verdict')} could not be given; none of them counts as passed."]
    return Overview(
        status=Status.ERROR,
        verdict="Undecided, as not everything could be measured",
        problem=problem,
        root=None if record.gaps else first,
        lines=tuple(lines),
        exit_meaning=meaning,
    )
