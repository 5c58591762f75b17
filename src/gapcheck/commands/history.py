"""`gapcheck history`, `drift` and `baseline`: what was, what differs, what is accepted."""

from __future__ import annotations

import os
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gapcheck.commands.options import (
    DEFAULT_SITE,
    Watch,
    changed,
    duration_s,
    load,
    report_option,
    site_option,
)
from gapcheck.errors import DamagedHistory, UsageError
from gapcheck.exits import Exit, worst

if TYPE_CHECKING:
    from datetime import datetime
    from typing import TextIO

    from gapcheck.drift import Drift, Snapshot
    from gapcheck.history import History
    from gapcheck.history_rows import Change, Run
    from gapcheck.record import Record
    from gapcheck.reports.writers import Wanted

key_option = click.option(
    "--site", "site_name", metavar="SITE",
    help="Site file, or the name of a site in the history; default: site.yaml here.",
)  # fmt: skip


@click.command(
    epilog="\b\nExamples:\n  gapcheck history --site site.yaml\n"
    "  gapcheck history NODE-TRUST-001 node/n1       since when"
)
@click.argument("check", required=False)
@click.argument("subject", required=False)
@key_option
@click.option("--limit", type=click.IntRange(1), default=50, show_default=True, metavar="N",
              help="Only the newest N runs.")  # fmt: skip
@click.option("--format", "form", type=click.Choice(["text", "json"]), default="text")
def history(check: str | None, subject: str | None, form: str, **given: Any) -> int:  # noqa: ANN401 - options as click hands them
    """List the runs of a site, newest last; or each change of one CHECK's verdicts.

    Every full `check` and `fix` of a site file is remembered in the state folder.
    """
    from gapcheck.audit import state
    from gapcheck.history import History

    with History(state().root) as found:
        _say_if_closed(found.path)
        keys = _keys(found, given["site_name"])
        if check is None:
            _show_runs({key: found.runs(key)[-given["limit"] :] for key in keys}, form)
        else:
            wanted = _known(check)
            _show_changes({key: found.changes(key, wanted, subject) for key in keys}, form)
    return Exit.OK


@click.command(
    epilog="\b\nExamples:\n  gapcheck drift --site site.yaml                  since the last run\n"
    "  gapcheck drift --site site.yaml --since green    since the last good one\n"
    "  gapcheck drift --site site.yaml --baseline accepted.json"
)
@site_option
@click.option("--since", metavar="RUN", help="A recorded run, or `green`; default: the last one.")
@click.option(
    "--baseline",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Compare with an accepted state instead.",
)
@click.option(
    "--recorded", is_flag=True, help="Measure nothing: compare the last recorded run instead."
)
@click.option(
    "--begin",
    is_flag=True,
    help="For a schedule: the first run begins the history, and is no failure for that.",
)
@click.option("--deadline", metavar="TIME", help="Stop measuring after TIME (2m).")
@click.option("--fail-on", type=click.Choice(["warn"]), help="Let warnings fail the run.")
@report_option
@click.pass_obj
def drift(obj: dict[str, Any], /, **given: Any) -> int:  # noqa: ANN401 - options as click hands them
    """Measure the site and say what differs from an earlier run, since when, and why.

    Ends with 8 where something differs although every check passes, with 5 where there is
    nothing to compare with; with --begin, a first run that was remembered ends as `check` does.
    """  # fmt: skip
    if given["since"] and given["baseline"]:
        raise UsageError("--since and --baseline are two references", "give one of them")
    if given["begin"] and (given["since"] or given["baseline"] or given["recorded"]):
        raise UsageError("--begin is for runs that compare with the last one", "give it alone")
    if given["recorded"]:
        return _recorded_drift(given)
    return _measured_drift(obj, given)


def _measured_drift(obj: dict[str, Any], given: dict[str, Any]) -> int:
    from gapcheck import audit
    from gapcheck.lookback import with_trend
    from gapcheck.reports.writers import check_paths, parse, write_all
    from gapcheck.suite import Request, judge, make_record, prepare

    reports = [parse(text) for text in given["reports"]]
    deadline = duration_s(given["deadline"]) if given["deadline"] else None
    loaded = changed(load(given["site_path"]), phase=None, deadline_s=deadline)
    request = Request(
        front_end="cli",
        loaded=loaded,
        fail_on_warn=given["fail_on"] == "warn",
        progress=Watch(obj).progress,
    )
    check_paths(reports, request, inputs=[given["baseline"]] if given["baseline"] else [])
    with ExitStack() as opened:
        before, is_damaged = _before(opened, audit.site_key(loaded), given)
        prepared = prepare(request)
        judged = make_record(prepared, judge(prepared))
        done = audit.finished(prepared, judged)
        record = audit.with_drift(judged, _drift(before, done))
    begins = given["begin"] and before is None and not is_damaged
    notes = audit.remember(prepared, judged if begins else record, done=done)
    if begins and audit.is_remembered(judged, loaded):
        record = judged
    record = with_trend(record, loaded)
    for note in notes:
        click.echo(f"gapcheck: {note}", err=True)
    _show_measured(record, to_stderr=_taken(reports))
    write_all(record, reports, request)
    return record.run.exit


def _recorded_drift(given: dict[str, Any]) -> int:
    """Compare what the history holds; nothing is measured."""
    from gapcheck import audit
    from gapcheck.history import History

    if given["reports"] or given["deadline"] or given["fail_on"]:
        raise UsageError("--recorded only compares", "not with --report, --deadline or --fail-on")
    with History(audit.state().root) as found:
        key = audit.site_key(load(given["site_path"]))
        now = found.last(key)
        if now is None:
            raise UsageError(
                f"no run of {key} is recorded", "gapcheck check --site FILE records one"
            )
        after = found.snapshot(now)
        before: Snapshot | None = None
        if given["baseline"] is not None:
            before = audit.accepted(given["baseline"], key)
        else:
            before = audit.reference(found, key, given["since"], below=now.seq)
        drift = audit.since_when(audit.drift_of(before, after), after) if before else None
        code = Exit.OK if now.exit == Exit.DRIFT else now.exit
        code = worst([code, audit.drift_code(drift)])
        _show(drift, _counted(now.counts), code, sys.stdout)
    return code


def _before(opened: ExitStack, key: str, given: dict[str, Any]) -> tuple[Snapshot | None, bool]:
    """What to compare with, and whether there is none because the history is damaged.

    It is open for as long as `opened` is.
    """
    from gapcheck import audit
    from gapcheck.history import History

    if given["baseline"] is not None:
        return audit.accepted(given["baseline"], key), False
    try:
        found = opened.enter_context(History(audit.state().root))
        return audit.reference(found, key, given["since"]), False
    except DamagedHistory as damaged:
        if given["since"]:
            raise
        click.echo(f"gapcheck: {damaged}", err=True)
        return None, True


def _drift(before: Snapshot | None, after: Snapshot) -> Drift | None:
    from gapcheck import audit

    try:
        return audit.drift_of(before, after) if before else None
    except DamagedHistory as damaged:
        click.echo(f"gapcheck: {damaged}", err=True)
        return None


def _taken(reports: list[Wanted]) -> bool:
    return any(report.path == "-" for report in reports)


_NOTHING = "nothing to compare with: no earlier run of this site is recorded"


def _show_measured(record: Record, *, to_stderr: bool) -> None:
    """The drift; where there is nothing to compare with, what a check of the site says."""
    from gapcheck.reports.terminal import write

    stream = sys.stderr if to_stderr else sys.stdout
    if record.drift is not None:
        _show(record.drift, _counted(record.counts), record.run.exit, stream)
        return
    click.echo(f"{_NOTHING}\n", file=stream)
    write(record, stream)


def _show(drift: Drift | None, counted: str, code: int, stream: TextIO) -> None:
    from gapcheck.reports.drift import write_drift

    if drift is None:
        click.echo(_NOTHING, file=stream)
    else:
        write_drift(drift, stream)
    click.echo(f"verdicts: {counted}   exit {code}", file=stream)


def _counted(counts: Any) -> str:  # noqa: ANN401 - a mapping by status or by its name
    shown = [
        f"{count} {str(status).replace('_', ' ')}" for status, count in counts.items() if count
    ]
    return ", ".join(shown) or "none"


@click.group()
def baseline() -> None:
    """Accept a state of the site, to compare later ones with."""


@baseline.command(
    epilog="\b\nExample:\n  gapcheck baseline accept --site site.yaml"
    " --reason 'reviewed after the upgrade' -o accepted.json"
)
@site_option
@click.option("--run", "run_id", metavar="RUN", help="A recorded run; default: the last one.")
@click.option("--reason", required=True, metavar="TEXT", help="Why this state is accepted.")
@click.option(
    "-o",
    "--output",
    required=True,
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="File to write; `gapcheck drift --baseline FILE` reads it.",
)
@click.option("--force", is_flag=True, help="Replace the file where it exists.")
def accept(site_path: Path | None, run_id: str | None, reason: str, **given: Any) -> int:  # noqa: ANN401 - options as click hands them
    """Keep the state of a recorded run as the one that is accepted; nothing is measured.

    Findings in it stay findings: a waiver accepts those.
    """  # fmt: skip
    from gapcheck import audit
    from gapcheck.baseline import baseline_of, write_baseline
    from gapcheck.history import History
    from gapcheck.reports.writers import check_output
    from gapcheck.suite import clock

    if not reason.strip():
        raise UsageError("--reason is empty", "say why this state is accepted")
    output = given["output"]
    if output.exists() and not given["force"]:
        raise UsageError(f"{output}: exists", "name another file, or replace it with --force")
    loaded = load(site_path)
    check_output(output, f"-o {output}", inputs=[loaded.path])
    key = audit.site_key(loaded)
    with History(audit.state().root) as found:
        recorded = audit.reference(found, key, run_id)
        if recorded is None:
            hint = "gapcheck check --site FILE records one"
            raise UsageError(f"no run of {key} is recorded", hint)
        kept = baseline_of(recorded, site=key, reason=reason.strip(), accepted=clock())
        write_baseline(output, kept)
    run = recorded.run
    said = f"{output}: the state of run {run.id} ({_counted(run.counts)}) is accepted"
    click.echo(said, err=True)
    return Exit.OK


def _known(check: str) -> str:
    """The check's id as the catalogue writes it; raises UsageError where there is none."""
    from gapcheck.registry import catalogue

    if check.upper() not in catalogue().checks:
        raise UsageError(f"{check}: no such check", "ids: gapcheck list")
    return check.upper()


def _keys(found: History, name: str | None) -> tuple[str, ...]:
    """The sites asked for: a file, a name, the site.yaml here, or all."""
    from gapcheck import audit

    if name is not None and name in found.sites():
        return (name,)
    if name is not None or DEFAULT_SITE.is_file():
        return (audit.site_key(load(Path(name) if name else None)),)
    return found.sites()


def _show_runs(by_site: dict[str, tuple[Run, ...]], form: str) -> None:
    if form == "json":
        _show_json([{"site": key, "runs": runs} for key, runs in by_site.items()])
        return
    for key, runs in by_site.items():
        click.echo(key)
        for run in runs:
            how = " fix" if run.fix else ""
            gaps = f", {run.gaps} not measured" if run.gaps else ""
            counted = _counted(run.counts)
            click.echo(f"  {_time(run.began)}  {run.id}  exit {run.exit}{how}  {counted}{gaps}")
        if not runs:
            click.echo("  no run is recorded")


def _show_changes(by_site: dict[str, tuple[Change, ...]], form: str) -> None:
    if form == "json":
        _show_json([{"site": key, "changes": found} for key, found in by_site.items()])
        return
    for key, changes in by_site.items():
        click.echo(key)
        for change in changes:
            status = change.status.replace("_", " ") or "no longer judged"
            said = f": {change.said}" if change.said else ""
            since = f"since {_time(change.began)}, run {change.run}"
            click.echo(f"  {change.subject}  {since}  {status}{said}")
        if not changes:
            click.echo("  no verdict of it is recorded")


def _time(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%d %H:%M:%SZ")


def _show_json(found: object) -> None:
    import msgspec

    click.echo(msgspec.json.format(msgspec.json.encode(found), indent=2).decode())


def _say_if_closed(path: Path) -> None:
    """Say so where runs cannot be remembered, or never were."""
    folder = path.parent
    if path.exists() and not (os.access(folder, os.W_OK) and os.access(path, os.W_OK)):
        click.echo(f"gapcheck: {path} cannot be written: new runs are not remembered", err=True)
    elif not path.exists():
        click.echo(f"gapcheck: there is no history yet in {folder}", err=True)
