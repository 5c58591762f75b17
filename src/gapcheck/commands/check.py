"""`gapcheck check`: measure, judge, report; with --fix repair as well."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gapcheck.commands.options import (
    DEFAULT_SITE,
    Watch,
    changed,
    colour_for,
    duration_s,
    load,
    moment,
    report_option,
    risk_option,
    select_option,
    site_option,
    target_option,
)
from gapcheck.errors import UsageError
from gapcheck.exits import Exit

if TYPE_CHECKING:
    from gapcheck.record import Record
    from gapcheck.reports.writers import Wanted
    from gapcheck.site_file import LoadedSite
    from gapcheck.suite import Prepared, Request

_PAUSE_S = 5.0

EPILOG = """\b
Examples:
  gapcheck check registry.local:5000 --ca ca.crt --address 10.0.0.2
  gapcheck check --site site.yaml --select NODE-TRUST --target 'rack-7-*'
  gapcheck check --site site.yaml --fix --max-risk safe
  gapcheck check --site site.yaml --wait 10m        until green, as a gate
  gapcheck check --site site.yaml --evidence evidence.tar.gz
  gapcheck check --bundle site.tar.gz --report html:report.html"""


@click.command(epilog=EPILOG)
@click.argument("host", required=False)
@site_option
@click.option(
    "--bundle",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Judge what `collect` measured; no target is touched.",
)
@click.option(
    "--ca",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="With HOST: the CA certificate that clients are given (PEM).",
)
@click.option("--address", metavar="IP", help="With HOST: dial this instead of resolving.")
@click.option("--fix", "fix_", is_flag=True, help="Repair what fails, in rounds.")
@click.option("--yes", is_flag=True, help="With --fix: do not ask.")
@risk_option
@click.option(
    "--with-roots",
    is_flag=True,
    help="With --fix --select: repair the roots of what is selected, too.",
)
@select_option
@target_option
@report_option
@click.option(
    "--evidence",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Also keep facts, verdicts, reports and versions in one file (.tar.gz).",
)
@click.option("--now", metavar="TIME", help="Judge for this time (ISO 8601, or `real`).")
@click.option("--wait", metavar="TIME", help="Judge again until green or TIME is up (10m).")
@click.option("--deadline", metavar="TIME", help="Stop measuring after TIME (2m).")
@click.option(
    "--phase",
    type=click.Choice(["pre", "installed"]),
    help="pre: the release is not expected to be there yet.",
)
@click.option("--fail-on", type=click.Choice(["warn"]), help="Let warnings fail the run.")
@click.pass_obj
def check(obj: dict[str, Any], /, **given: Any) -> int:  # noqa: ANN401 - options as click hands them
    """Judge the site, or one registry HOST[:PORT], and name the root cause.

    Without --fix nothing is changed anywhere; a full run is noted in this user's history.
    """  # fmt: skip
    from gapcheck.reports.writers import check_paths, parse

    reports = [parse(text) for text in given["reports"]]
    request = _request(obj, given)
    check_paths(reports, request)
    _check_evidence(given["evidence"], reports, request)
    prepared, record = _until_green(request, given["wait"])
    show(record, reports, obj)
    _evidence(given["evidence"], prepared, record)
    remember_and_write(prepared, record, reports)
    return record.run.exit


def _check_evidence(path: Path | None, reports: list[Wanted], request: Request) -> None:
    """Raise UsageError now where the evidence could not be written after the run."""
    from gapcheck.reports.writers import check_output

    if path is None:
        return
    check_output(path, f"--evidence {path}", inputs=request.inputs)
    if any(Path(each.path).resolve() == path.resolve() for each in reports):
        raise UsageError(f"--evidence {path}: a report goes to the same file")


def _evidence(path: Path | None, prepared: Prepared, record: Record) -> None:
    """Write the evidence; of a bundle that is some, say whether the verdicts still are its own."""
    if path is None and prepared.judged is None:
        return
    from gapcheck import evidence

    if note := evidence.note_of(prepared, record):
        click.echo(f"gapcheck: {note}", err=True)
    if path is not None:
        evidence.write_evidence(path, prepared, record)


def remember_and_write(prepared: Prepared, record: Record, reports: list[Wanted]) -> None:
    """Keep a full run in the history, saying what hinders that, and write the reports."""
    from gapcheck import lookback

    for note in lookback.remember_and_write(prepared, record, reports):
        click.echo(f"gapcheck: {note}", err=True)


def _until_green(request: Request, wait: str | None) -> tuple[Prepared, Record]:
    from gapcheck.suite import judge, make_record, prepare

    ends_at = time.monotonic() + (duration_s(wait) if wait else 0.0)
    while True:
        prepared = prepare(request)
        record = make_record(prepared, judge(prepared))
        left = ends_at - time.monotonic()
        if record.run.exit == Exit.OK or left <= 0:
            return prepared, record
        click.echo(f"not green yet; {left:.0f} s left", err=True)
        time.sleep(min(_PAUSE_S, left))


def _request(obj: dict[str, Any], given: dict[str, Any]) -> Request:
    from gapcheck.commands.repair import fix_options
    from gapcheck.suite import Request

    if given["wait"] and (given["bundle"] or given["fix_"]):
        raise UsageError("--wait judges a live site again and again", "not with --bundle or --fix")
    return Request(
        front_end="cli",
        loaded=_loaded(given),
        bundle=given["bundle"],
        now=moment(given["now"]),
        fix=fix_options(obj, given) if given["fix_"] else None,
        select=given["select"],
        targets=given["targets"],
        fail_on_warn=given["fail_on"] == "warn",
        progress=Watch(obj).progress,
    )


def _loaded(given: dict[str, Any]) -> LoadedSite | None:
    from gapcheck.site_file import check_ca_file, site_of_host

    if given["host"] and (given["site_path"] or given["bundle"]):
        raise UsageError("HOST stands alone", "give a HOST, or --site, or --bundle")
    if given["host"]:
        loaded = site_of_host(given["host"], ca=given["ca"], address=given["address"])
    elif given["ca"] or given["address"]:
        raise UsageError("--ca and --address go with HOST", "a site file names them itself")
    elif given["bundle"]:
        return load(given["site_path"]) if given["site_path"] else None
    else:
        loaded = load(given["site_path"] or (DEFAULT_SITE if DEFAULT_SITE.is_file() else None))
    check_ca_file(loaded)
    return changed(
        loaded,
        phase=given["phase"],
        deadline_s=duration_s(given["deadline"]) if given["deadline"] else None,
    )


def show(record: Record, reports: list[Wanted], obj: dict[str, Any]) -> None:
    """The terminal report: on stdout, or on stderr where a report already goes to stdout."""
    from gapcheck.reports import terminal

    taken = any(report.path == "-" for report in reports)
    stream = sys.stderr if taken else sys.stdout
    if taken and obj["quiet"]:
        return
    terminal.write(record, stream, colour=colour_for(stream, obj), verbose=obj["verbose"] > 0)
