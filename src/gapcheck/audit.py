"""The audit: a finished run is remembered, and compared with one that was remembered before.

Only a full look at a live site is remembered: not a bundle, not a part, not another time's
judgement, and not a HOST without a site file. Anything else would read as drift later.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from gapcheck.baseline import Accepted, read_baseline
from gapcheck.comparison import compare
from gapcheck.drift import Drift, Moment, RepairRun, Snapshot
from gapcheck.errors import HistoryError, RepairFailed, UsageError
from gapcheck.exits import Exit, worst
from gapcheck.fact_sheet import sheets_of
from gapcheck.history import History, Recorded, keep, with_since
from gapcheck.history_rows import Run
from gapcheck.model import SubjectId
from gapcheck.record import Record
from gapcheck.registry import catalogue
from gapcheck.remembered import Finished
from gapcheck.site_file import LoadedSite
from gapcheck.state import State, state_folder
from gapcheck.suite import Prepared, Request

if TYPE_CHECKING:
    from gapcheck.remediations.journal import Entry

GREEN = "green"
# The first drift run, which had nothing to compare with, ends with NOTHING.
_GREEN = (Exit.OK, Exit.DRIFT, Exit.NOTHING)


def state() -> State:
    """This user's state folder."""
    return State(state_folder(os.environ, uid=os.geteuid()))


def site_key(loaded: LoadedSite) -> str:
    """What a site is called in the history: its name, else its registry and its file."""
    site = loaded.site
    return site.name or f"{site.registry.netloc} ({loaded.path.absolute()})"


def is_full(request: Request) -> bool:
    """Whether the run looks at a whole live site as it is now."""
    narrowed = request.select or request.targets or request.bundle or request.now
    return not narrowed and request.loaded is not None and bool(request.loaded.path.name)


def finished(prepared: Prepared, record: Record) -> Finished:
    """The run as a snapshot."""
    sheets = sheets_of(prepared.site, prepared.facts, catalogue(), version=record.run.version)
    return Finished(record, sheets)


def remember(
    prepared: Prepared, record: Record, *, narrowed: bool = False, done: Finished | None = None
) -> tuple[str, ...]:
    """Keep the run in the history, where it is a full one; lines that a person should see.

    Never raises for what hinders it: the run's own verdict stands.
    """
    keep_days = prepared.site.policy.history_days
    if narrowed or not keep_days or not is_full(prepared.request):
        return ()
    assert prepared.request.loaded is not None
    run = record.run
    kept = Run(
        site=site_key(prepared.request.loaded),
        id=run.id,
        began=run.started,
        version=run.version,
        front_end=run.front_end,
        exit=run.exit,
        counts={status.value: count for status, count in record.counts.items() if count},
        gaps=len(record.gaps),
        fix=run.fix,
    )
    try:
        return keep(state().root, kept, done or finished(prepared, record), keep_days=keep_days)
    except HistoryError as failed:
        return (f"this run is not in the history: {failed}",)


def reference(
    history: History, site: str, since: str | None, *, below: int | None = None
) -> Recorded | None:
    """The recorded run to compare with: `since` is a run, `green`, or None for the last one.

    With `below`, only runs before that place. None where nothing is recorded; raises
    UsageError where `since` names nothing.
    """
    runs = [run for run in history.runs(site) if below is None or run.seq < below]
    if since is None:
        return history.snapshot(runs[-1]) if runs else None
    if since == GREEN:
        chosen = [run for run in runs if run.exit in _GREEN and run.counts.get("pass")]
    else:
        chosen = [run for run in runs if run.id.startswith(since)]
        exact = [run for run in chosen if run.id == since]
        chosen = exact or chosen
        if len(chosen) > 1:
            raise UsageError(f"{since}: {len(chosen)} runs begin like this")
    if not chosen:
        why = f"{since}: no such run of {site} in {history.path}"
        raise UsageError(why, "gapcheck history lists the runs")
    return history.snapshot(chosen[-1])


def accepted(path: Path, site: str) -> Accepted:
    """The baseline in `path`; raises HistoryError where it is none, or of another site."""
    baseline = read_baseline(path)
    if baseline.site != site:
        raise HistoryError(str(path), f"is of the site {baseline.site!r}, this is {site!r}")
    return Accepted(baseline, path=str(path))


def drift_of(before: Snapshot, after: Snapshot) -> Drift:
    """What differs, with the repairs that ran in between."""
    return compare(before, after, repairs=repairs(before.moment, after.moment))


def since_when(drift: Drift, recorded: Recorded) -> Drift:
    """The drift with "since when", as the history of its later run says."""
    return msgspec.structs.replace(drift, items=tuple(with_since(drift.items, recorded)))


def drift_code(drift: Drift | None) -> Exit:
    """DRIFT where something differs, NOTHING where there was nothing to compare with."""
    if drift is None:
        return Exit.NOTHING
    return Exit.DRIFT if drift.found else Exit.OK


def with_drift(record: Record, drift: Drift | None) -> Record:
    """The record with the drift, and with the exit code that both together give."""
    code = worst([record.run.exit, drift_code(drift)])
    run = msgspec.structs.replace(record.run, exit=code)
    return msgspec.structs.replace(record, run=run, drift=drift)


def is_remembered(record: Record, loaded: LoadedSite) -> bool:
    """Whether the history holds this run, so that the next one has it to compare with."""
    with History(state().root) as history:
        found = history.last(site_key(loaded))
    return found is not None and found.id == record.run.id


def dated(record: Record, loaded: LoadedSite) -> Record:
    """The record whose drift says since when, where the run was remembered."""
    if record.drift is None:
        return record
    with History(state().root) as history:
        runs = history.runs(site_key(loaded))
        if not runs or runs[-1].id != record.run.id:
            return record
        drift = since_when(record.drift, history.snapshot(runs[-1]))
    return msgspec.structs.replace(record, drift=drift)


def repairs(before: Moment, after: Moment) -> Sequence[RepairRun]:
    """Runs of this state folder that changed something in between, oldest first.

    A fix that was remembered itself already shows, as `before`, what it changed.
    """
    from gapcheck.remediations.journal import read_journal

    found = []
    place = state()
    for run_id in place.runs():
        try:
            entries = read_journal(place.run_folder(run_id))
        except (RepairFailed, UsageError):
            continue  # `gapcheck runs` says of it what is to be said
        began = datetime.fromisoformat(entries[0].at) if entries and entries[0].at else None
        if began is None or run_id == before.run:
            continue
        if run_id != after.run and not before.at.replace(microsecond=0) <= began <= after.at:
            continue
        wrote = _wrote(entries)
        undoes = next((each.undoes for each in entries if each.undoes), "")
        if wrote:
            found.append(RepairRun(run=run_id, at=began, undoes=undoes, wrote=wrote))
    return found


def _wrote(entries: Sequence[Entry]) -> dict[SubjectId, dict[str, str]]:
    """What was left behind, by target and path."""
    found: dict[SubjectId, dict[str, str]] = {}
    for entry in entries:
        if entry.step == "applied":
            left = {each.path: each.sha256 for each in entry.after}
            found.setdefault(entry.target, {}).update(left)
    return found
