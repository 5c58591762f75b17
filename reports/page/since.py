"""What changed since an earlier run, in groups as the drift report has them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from gapcheck.drift import Drift, FactChange, Item
from gapcheck.model import CheckId, SubjectId
from gapcheck.reports.drift import TITLES, both_sides, item_groups, moment_line, why_line
from gapcheck.reports.drift import summary as drift_summary
from gapcheck.reports.page.subjects import Names, Who
from gapcheck.reports.wording import cut

_MOST_GROUPS = 60
_MOST_FACTS = 60
_LONGEST = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Changed:
    """Verdicts that changed alike."""

    check: CheckId
    who: Who
    was: str
    now: str
    said: str
    since: str
    causes: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangedFact:
    """A fact that differs, both sides, and by what."""

    fact: str
    who: Who
    sides: str
    by: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Since:
    """Everything that differs, ready to be shown; what did not change is apart."""

    before: str
    at: datetime
    summary: str
    found: bool
    between: tuple[str, ...]
    groups: tuple[tuple[str, tuple[Changed, ...], int], ...]
    unchanged: tuple[tuple[str, tuple[Changed, ...], int], ...]
    moved: tuple[tuple[str, Who], ...]
    facts: tuple[ChangedFact, ...]
    more_facts: int


def since(drift: Drift, names: Names) -> Since:
    """`drift` for the page."""
    moved = [(word, found) for word, found in (("joined", drift.joined), ("left", drift.left))
             if found]  # fmt: skip
    return Since(
        before=moment_line(drift.before),
        at=drift.before.at,
        summary=drift_summary(drift),
        found=drift.found,
        between=tuple(_between(drift)),
        groups=tuple(_groups(drift, names, TITLES[:-1])),
        unchanged=tuple(_groups(drift, names, TITLES[-1:])),
        moved=tuple((word, names.who([SubjectId(s) for s in found])) for word, found in moved),
        facts=tuple(_fact(each, names) for each in drift.facts[:_MOST_FACTS]),
        more_facts=max(0, drift.counts.get("facts", len(drift.facts)) - _MOST_FACTS),
    )


def _between(drift: Drift) -> Iterator[str]:
    for repair in drift.repairs:
        yield f"{repair.what} of {repair.at:%Y-%m-%d %H:%M:%SZ} wrote on {', '.join(repair.wrote)}"
    yield from (cut(why_line(why), _LONGEST) for why in drift.settings[:_MOST_FACTS])


def _groups(
    drift: Drift, names: Names, titles: Sequence[tuple[str, str]]
) -> Iterator[tuple[str, tuple[Changed, ...], int]]:
    for kind, title in titles:
        found = [item for item in drift.items if item.kind == kind]
        if found:
            groups = item_groups(found)
            shown = tuple(_changed(group, names) for group in groups[:_MOST_GROUPS])
            yield title, shown, max(0, len(groups) - _MOST_GROUPS)


def _changed(group: Sequence[Item], names: Names) -> Changed:
    first = group[0]
    return Changed(
        check=first.check,
        who=names.who([item.subject for item in group]),
        was="" if first.kind == "unchanged" else first.was.replace("_", " ") or "not judged",
        now=first.now.replace("_", " ") or "not judged",
        said=cut(first.said, _LONGEST),
        since=f"{first.since:%Y-%m-%d %H:%MZ}" if first.since else "",
        causes=tuple(cut(why_line(why), _LONGEST) for why in first.causes),
    )


def _fact(change: FactChange, names: Names) -> ChangedFact:
    return ChangedFact(
        fact=cut(change.fact, _LONGEST),
        who=names.who([SubjectId(s) for s in change.subjects]),
        sides=cut(both_sides(change.before, change.after), _LONGEST),
        by=change.by,
    )
