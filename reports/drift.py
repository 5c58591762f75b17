"""Drift as text: what is new first, then what went, what else differs, and why."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from itertools import zip_longest
from typing import TextIO

from gapcheck.counting import counted
from gapcheck.drift import Drift, FactChange, Item, Moment, RepairRun, Why
from gapcheck.reports.wording import printable

_MOST_GROUPS = 40
_WIDEST = 100
_MOST_FACTS = 20
_EXAMPLES = 3
TITLES = (
    ("new", "new"),
    ("changed", "still bad, but otherwise than before"),
    ("resolved", "resolved"),
    ("incomparable", "not comparable: not measured then or now"),
    ("unchanged", "unchanged and still bad"),
)


def write_drift(drift: Drift, out: TextIO) -> None:
    """Write `drift` as lines."""
    out.writelines(f"{_wrapped(line)}\n" for line in lines(drift))


def lines(drift: Drift) -> Iterator[str]:
    """The report's lines."""
    yield f"since {moment_line(drift.before)}"
    yield f"now   {moment_line(drift.after)}"
    yield from _between(drift)
    for kind, title in TITLES:
        found = [item for item in drift.items if item.kind == kind]
        if found:
            yield ""
            yield title
            yield from _items(found)
    yield from _subjects("joined the site", drift.joined)
    yield from _subjects("left the site", drift.left)
    yield from _facts(drift.facts)
    yield ""
    yield summary(drift)


def _wrapped(line: str) -> str:
    """`line` in at most 100 columns, what follows indented; paths and digests stay whole."""
    text = printable(line)
    indent = len(text) - len(text.lstrip()) + 4
    return textwrap.fill(
        text,
        _WIDEST,
        subsequent_indent=" " * indent,
        break_long_words=False,
        break_on_hyphens=False,
    )


def summary(drift: Drift) -> str:
    """One line: the counts of what differs."""
    said = [
        f"{drift.counts[kind]} {kind.replace('_', ' ')}"
        for kind in ("new", "resolved", "changed", "still_bad", "incomparable", "unchanged")
        if drift.counts[kind]
    ]
    if drift.counts["facts"]:
        said.append(counted(drift.counts["facts"], "fact differs", "facts differ"))
    moved = {kind: drift.counts[kind] for kind in ("joined", "left") if drift.counts[kind]}
    said += [f"{counted(count, 'subject')} {kind}" for kind, count in moved.items()]
    return f"{'drift' if drift.found else 'no drift'}: {', '.join(said) or 'nothing to compare'}"


def moment_line(moment: Moment) -> str:
    """A look at the site: its run, time and version, or the baseline."""
    told = f"run {moment.run} of {_time(moment.at)}, gapcheck {moment.version}"
    return f"baseline {moment.baseline}, accepted from {told}" if moment.baseline else told


def _between(drift: Drift) -> Iterator[str]:
    yield from map(_repair, drift.repairs)
    yield from (f"  {why_line(why)}" for why in drift.settings[:_MOST_FACTS])


def _repair(repair: RepairRun) -> str:
    places = "; ".join(
        f"{target} ({', '.join(list(wrote)[:_EXAMPLES])}{', ...' * (len(wrote) > _EXAMPLES)})"
        for target, wrote in repair.wrote.items()
    )
    return f"  in between, {_time(repair.at)}: {repair.what} wrote on {places}"


def _items(found: Sequence[Item]) -> Iterator[str]:
    groups = item_groups(found)
    for group in groups[:_MOST_GROUPS]:
        yield from _group(group)
    if len(groups) > _MOST_GROUPS:
        yield f"  and {len(groups) - _MOST_GROUPS} more; --report json:PATH holds them"


def item_groups(found: Sequence[Item]) -> list[list[Item]]:
    """Items that say the same of several subjects, together."""
    groups: dict[tuple[object, ...], list[Item]] = {}
    for item in found:
        why = tuple((each.kind, each.text, each.before, each.after) for each in item.causes)
        key = (item.check, item.was, item.now, item.said, why, item.since_run)
        groups.setdefault(key, []).append(item)
    return list(groups.values())


def _group(group: Sequence[Item]) -> Iterator[str]:
    first = group[0]
    who = _who([item.subject for item in group])
    status = _status(first.now)
    if first.kind != "unchanged":
        status = f"{_status(first.was)} -> {status}"
    said = f": {first.said}" if first.said else ""
    yield f"  {first.check} {first.severity.value}  {who}: {status}{said}"
    if first.since is not None:
        yield f"    since  {_time(first.since)}, run {first.since_run}"
    for why in first.causes:
        yield f"    {'cause' if why.kind != 'nearby' else 'also '}  {why_line(why)}"


def why_line(why: Why) -> str:
    """One cause in words, with both sides where something differs."""
    sides = f": {both_sides(why.before, why.after)}" if why.before or why.after else ""
    match why.kind:
        case "root":
            return f"because of {why.text}"
        case "fact" | "nearby":
            return f"{why.text} of {why.subject}{sides}"
        case "policy" | "version" if sides:
            return f"{_setting(why.text)}{sides}"
        case "version" if why.text.startswith("check "):
            return f"{why.text} is of one of the two versions alone"
    return f"{why.text}{sides}"


def _setting(name: str) -> str:
    return "gapcheck's version" if name == "gapcheck" else f"site file, {name}"


def _facts(facts: Sequence[FactChange]) -> Iterator[str]:
    if not facts:
        return
    yield ""
    yield "facts that differ"
    for change in facts[:_MOST_FACTS]:
        by = f"   ({change.by})" if change.by else ""
        yield f"  {change.fact} of {_who(change.subjects)}{by}"
        yield f"    {both_sides(change.before, change.after)}"
    if len(facts) > _MOST_FACTS:
        yield f"  and {len(facts) - _MOST_FACTS} more; --report json:PATH holds them"


def both_sides(before: str, after: str) -> str:
    """Both sides of a difference; of a file only what differs of it."""
    if before.startswith("sha256 ") and after.startswith("sha256 "):
        pairs = zip_longest(before.split(", "), after.split(", "), fillvalue="")
        differing = [(mine, theirs) for mine, theirs in pairs if mine != theirs]
        before = ", ".join(mine for mine, _ in differing if mine)
        after = ", ".join(theirs for _, theirs in differing if theirs)
    return f"{before or '(not there)'} -> {after or '(not there)'}"


def _subjects(title: str, subjects: Sequence[str]) -> Iterator[str]:
    if subjects:
        yield ""
        yield f"{title}: {_who(subjects)}"


def _who(subjects: Iterable[str]) -> str:
    every = list(subjects)
    if len(every) <= _EXAMPLES:
        return ", ".join(every)
    return f"{len(every)} subjects ({', '.join(every[:_EXAMPLES])}, ...)"


def _status(status: str) -> str:
    return status.replace("_", " ") or "not judged"


def _time(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%d %H:%M:%SZ")
