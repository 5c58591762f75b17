"""`gapcheck plan`, `fix`, `undo` and `runs`: show, ask, do, take back."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gapcheck.commands.options import (
    Watch,
    colour_for,
    load,
    report_option,
    risk_option,
    select_option,
    site_option,
    target_option,
)
from gapcheck.errors import UsageError
from gapcheck.exits import Exit

if TYPE_CHECKING:
    from gapcheck.record import Round
    from gapcheck.remediations.plan import Plan
    from gapcheck.suite import FixOptions


def fix_options(obj: dict[str, Any], given: dict[str, Any]) -> FixOptions:
    """How a repair shows its plan, asks, and says what became of it."""
    from gapcheck.model import Risk
    from gapcheck.reports.plan import write_plan, write_results
    from gapcheck.suite import FixOptions

    ask = sys.stdin.isatty() and sys.stderr.isatty() and not given["yes"]

    def consent(plan: Plan) -> bool:
        if not obj["quiet"] or ask:
            write_plan(plan, sys.stderr, colour=colour_for(sys.stderr, obj))
        return not ask or click.confirm("Do this?", err=True)

    def finished(done: Round) -> None:
        if not obj["quiet"]:
            write_results(done, sys.stderr, colour=colour_for(sys.stderr, obj))

    return FixOptions(
        max_risk=Risk(given["max_risk"]) if given["max_risk"] else None,
        with_roots=given["with_roots"],
        consent=consent,
        finished=finished,
    )


@click.command(
    epilog="\b\nExamples:\n  gapcheck fix --site site.yaml\n"
    "  gapcheck fix --site site.yaml --yes --max-risk safe --select NODE-TRUST"
)
@site_option
@click.option("--yes", is_flag=True, help="Do not ask.")
@risk_option
@click.option("--with-roots", is_flag=True, help="Repair the roots of what is selected, too.")
@select_option
@target_option
@report_option
@click.pass_obj
def fix(obj: dict[str, Any], /, **given: Any) -> int:  # noqa: ANN401 - options as click hands them
    """Repair what fails, in rounds: plan, consent, apply, measure again.

    On a terminal every plan is shown and asked for; elsewhere the command is the consent.
    Every byte can be put back with `gapcheck undo`.
    """
    from gapcheck.commands.check import remember_and_write, show
    from gapcheck.reports.writers import check_paths, parse
    from gapcheck.suite import Request, judge, make_record, prepare

    reports = [parse(text) for text in given["reports"]]
    request = Request(
        front_end="cli",
        loaded=load(given["site_path"]),
        fix=fix_options(obj, given),
        select=given["select"],
        targets=given["targets"],
        progress=Watch(obj).progress,
    )
    check_paths(reports, request)
    prepared = prepare(request)
    record = make_record(prepared, judge(prepared))
    show(record, reports, obj)
    remember_and_write(prepared, record, reports)
    changed = sum(each.state == "applied" for done in record.rounds for each in done.results)
    if changed and not obj["quiet"]:
        site = f" --site {given['site_path']}" if given["site_path"] else ""
        click.echo(f"undo with: gapcheck undo {record.run.id}{site}", err=True)
    return record.run.exit


@click.command(epilog="\b\nExample:\n  gapcheck plan --site site.yaml")
@site_option
@risk_option
@click.option("--with-roots", is_flag=True, help="Plan for the roots of what is selected, too.")
@select_option
@target_option
@click.option(
    "--bundle",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Plan from what `collect` measured.",
)
@click.pass_obj
def plan(obj: dict[str, Any], /, **given: Any) -> int:  # noqa: ANN401 - options as click hands them
    """Show what the first round of a repair would change; nothing is touched.

    Later rounds may follow: what only shows once the first is done is planned then.
    """  # fmt: skip
    from gapcheck.model import Risk
    from gapcheck.repair import first_plan
    from gapcheck.reports.plan import write_plan
    from gapcheck.suite import FixOptions, Request, prepare

    bundle = given["bundle"]
    loaded = load(given["site_path"]) if given["site_path"] or not bundle else None
    request = Request(
        front_end="cli",
        loaded=loaded,
        bundle=bundle,
        select=given["select"],
        targets=given["targets"],
        progress=Watch(obj).progress,
    )
    options = FixOptions(
        max_risk=Risk(given["max_risk"]) if given["max_risk"] else None,
        with_roots=given["with_roots"],
    )
    found = first_plan(prepare(request), options)
    write_plan(found, sys.stdout, colour=colour_for(sys.stdout, obj))
    if found.changes:
        click.echo("more may follow once these are done; gapcheck fix does them", err=True)
    return Exit.FAILED if found.changes or found.unplanned else Exit.OK


@click.command(epilog="\b\nExample:\n  gapcheck undo 20260615T120000Z-a1b2c3 --site site.yaml")
@click.argument("run_id", metavar="RUN")
@site_option
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option(
    "--force", is_flag=True, help="Undo although files were edited since; edits go to its backup."
)
@click.pass_obj
def undo(
    obj: dict[str, Any], run_id: str, site_path: Path | None, *, yes: bool, force: bool
) -> int:
    """Put back every byte that a run of `fix` changed, last change first.

    Nothing is touched unless every file still is as that run left it.
    """
    from gapcheck.repair import undo as undo_run

    ask = sys.stdin.isatty() and sys.stderr.isatty() and not yes

    def consent(lines: list[str]) -> bool:
        if not obj["quiet"] or ask:
            click.echo("\n".join(lines), err=True)
        return not ask or click.confirm("Undo this?", err=True)

    return undo_run(run_id, load(site_path), consent=consent, force=force)


@click.command(epilog="\b\nExample:\n  gapcheck runs")
@site_option
def runs(site_path: Path | None) -> int:
    """List the runs that changed something, newest last."""
    from gapcheck.repair import run_lines

    if site_path is not None and not site_path.exists():
        raise UsageError(f"{site_path}: there is no such file")
    for line in run_lines():
        click.echo(line)
    return Exit.OK
