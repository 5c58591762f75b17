"""What a page says beside a run's own verdicts: the plan, what changed, and the trend.

Only the page gets it: every other report of a run is the same whether or not a page is written
beside it. Nothing is measured or changed for it, and what hinders it decides nothing.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from gapcheck import audit
from gapcheck.errors import HistoryError
from gapcheck.history import History
from gapcheck.model import Status
from gapcheck.record import PastRun, Record, Round
from gapcheck.remembered import Finished
from gapcheck.reports.writers import Wanted, write_all
from gapcheck.site_file import LoadedSite
from gapcheck.suite import FixOptions, Prepared

_MOST_RUNS = 60


def remember_and_write(
    prepared: Prepared, record: Record, reports: Sequence[Wanted], *, narrowed: bool = False
) -> tuple[str, ...]:
    """Keep a full run in the history and write its reports; lines that a person should see.

    Raises UsageError where a report could not be written.
    """
    wants_page = any(each.format == "html" for each in reports)
    page, done, notes = record, None, list[str]()
    loaded = prepared.request.loaded
    # Compared before this run is the last one itself.
    if wants_page and not narrowed and loaded and audit.is_full(prepared.request):
        done = audit.finished(prepared, record)
        try:
            page = _compared(record, done, loaded)
        except HistoryError:
            page = record  # remembering says what there is to be said of it
    notes += audit.remember(prepared, record, narrowed=narrowed, done=done)
    if wants_page:
        page = with_plan(prepared, page)
    if done is not None and loaded:
        page = with_trend(page, loaded)
    # What goes into a cluster comes last: files do not wait for it.
    for each in sorted(reports, key=lambda wanted: wanted.to_cluster):
        write_all(page if each.format == "html" else record, [each], prepared.request)
    return tuple(notes)


def _compared(record: Record, done: Finished, loaded: LoadedSite) -> Record:
    """The record with what differs from the last remembered run; its exit code stays."""
    with History(audit.state().root) as history:
        before = audit.reference(history, audit.site_key(loaded), None)
        if before is None:
            return record
        return msgspec.structs.replace(record, drift=audit.drift_of(before, done))


def with_trend(record: Record, loaded: LoadedSite) -> Record:
    """The record with earlier runs of its site, and with since when its drift is so."""
    try:
        with History(audit.state().root) as history:
            runs = history.runs(audit.site_key(loaded))
        past = tuple(
            PastRun(run=run.id, began=run.began, exit=run.exit, counts=run.counts)
            for run in runs
            if run.id != record.run.id
        )
        return msgspec.structs.replace(audit.dated(record, loaded), trend=past[-_MOST_RUNS:])
    except HistoryError:
        return record  # said where the run was to be remembered


def with_plan(prepared: Prepared, record: Record) -> Record:
    """The record of a run that repaired nothing, with what the first round would change."""
    if record.rounds or record.run.fix or not record.counts[Status.FAIL]:
        return record
    from gapcheck.repair import first_plan

    plan, _ = first_plan(prepared, FixOptions())
    return msgspec.structs.replace(record, rounds=(Round(plan=plan),))
