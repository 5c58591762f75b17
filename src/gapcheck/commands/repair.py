"""`gapcheck plan`, `apply`, `fix`, `undo` and `runs`: show, ask, do, take back."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gapcheck.commands.options import (
    F,
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
from gapcheck.exits import Exit, of_verdicts, worst

if TYPE_CHECKING:
    from gapcheck.record import ChangeResult, Round
    from gapcheck.remediations.draining import Drain
    from gapcheck.remediations.plan import Plan
    from gapcheck.suite import FixOptions, Given


def fix_options(
    obj: dict[str, Any], given: dict[str, Any], plan: Given | None = None
) -> FixOptions:
    """How a repair shows its plan, asks, and says what became of it."""
    from gapcheck.model import Risk
    from gapcheck.remediations.rolling import parse_pace
    from gapcheck.reports.plan import write_plan, write_results
    from gapcheck.suite import FixOptions

    ask = sys.stdin.isatty() and sys.stderr.isatty() and not given["yes"]
    drain = plan.file.asked.drain if plan else drain_of(given)

    def consent(round_: Plan) -> bool:
        if not obj["quiet"] or ask:
            write_plan(round_, sys.stderr, colour=colour_for(sys.stderr, obj))
        return not ask or click.confirm("Do this?", err=True)

    def finished(done: Round) -> None:
        if not obj["quiet"]:
            write_results(done, sys.stderr, colour=colour_for(sys.stderr, obj))

    return FixOptions(
        max_risk=Risk(given["max_risk"]) if given["max_risk"] else None,
        with_roots=given.get("with_roots", False),
        pace=parse_pace(given.get("canary"), given.get("batch"), drains=drain is not None),
        given=plan,
        drain=drain,
        consent=consent,
        finished=finished,
    )


def drain_of(given: dict[str, Any]) -> Drain | None:
    """How nodes are drained; None where that was not asked for."""
    from gapcheck.remediations.draining import WAIT_S, Drain

    if given.get("drain"):
        return Drain(
            timeout_s=given["drain_timeout"] or WAIT_S,
            delete_emptydir=given["delete_emptydir_data"],
        )
    if given.get("drain_timeout") or given.get("delete_emptydir_data"):
        raise UsageError(
            "--drain-timeout, --delete-emptydir-data: nothing is drained", "add --drain"
        )
    return None


def drain_options(command: F) -> F:
    """Whether nodes are drained around a restart of their runtime, and how."""
    drain = click.option(
        "--drain", is_flag=True,
        help="Cordon and drain each node before its runtime restarts, uncordon it after; needs "
        "--max-risk outage. One node at a time, unless --batch says otherwise.",
    )  # fmt: skip
    timeout = click.option(
        "--drain-timeout", type=click.IntRange(min=1), metavar="SECONDS",
        help="How long a node's pods may take to go; default: 300. Then it is uncordoned again.",
    )  # fmt: skip
    emptydir = click.option(
        "--delete-emptydir-data", is_flag=True,
        help="Evict pods with an emptyDir as well; its data is lost.",
    )  # fmt: skip
    return drain(timeout(emptydir(command)))


def pace_options(command: F) -> F:
    """How many nodes are changed together."""
    canary = click.option(
        "--canary", type=click.IntRange(min=0), metavar="N",
        help="Nodes that are changed first, alone; default: 1.",
    )  # fmt: skip
    batch = click.option(
        "--batch", metavar="N|P%",
        help="Nodes changed together after that; default: 10%, at least one. "
        "Where a batch fails, the rest is not begun; fix and apply roll that batch back.",
    )  # fmt: skip
    return canary(batch(command))


@click.command(
    epilog="\b\nExamples:\n  gapcheck fix --site site.yaml\n"
    "  gapcheck fix --site site.yaml --yes --max-risk safe --select NODE-TRUST"
)
@site_option
@click.option("--yes", is_flag=True, help="Do not ask.")
@risk_option
@click.option("--with-roots", is_flag=True, help="Repair the roots of what is selected, too.")
@pace_options
@drain_options
@select_option
@target_option
@report_option
@click.pass_obj
def fix(obj: dict[str, Any], /, **given: Any) -> int:  # noqa: ANN401 - options as click hands them
    """Repair what fails, in rounds: plan, consent, apply, measure again.

    On a terminal every plan is shown and asked for; elsewhere the command is the consent.
    Every byte can be put back with `gapcheck undo`.
    """
    return _repair(obj, given, fix_options(obj, given))


def _repair(obj: dict[str, Any], given: dict[str, Any], options: FixOptions) -> int:
    from gapcheck.commands.check import remember_and_write, show
    from gapcheck.reports.writers import check_paths, parse
    from gapcheck.suite import Request, judge, make_record, prepare

    reports = [parse(text) for text in given["reports"]]
    request = Request(
        front_end="cli",
        loaded=load(given["site_path"]),
        fix=options,
        select=given["select"],
        targets=given["targets"],
        progress=Watch(obj).progress,
    )
    plans = (options.given.path,) if options.given else ()
    check_paths(reports, request, inputs=plans)
    prepared = prepare(request)
    record = make_record(prepared, judge(prepared))
    show(record, reports, obj)
    remember_and_write(prepared, record, reports)
    changed = sum(each.state == "applied" for done in record.rounds for each in done.results)
    if changed and not obj["quiet"]:
        click.echo(f"undo with: gapcheck undo {record.run.id}{_site(given)}", err=True)
    return record.run.exit


def _site(given: dict[str, Any]) -> str:
    return f" --site {shlex.quote(str(given['site_path']))}" if given["site_path"] else ""


@click.command(
    epilog="\b\nExamples:\n  gapcheck plan --site site.yaml -o plan.json\n"
    "  gapcheck apply plan.json --site site.yaml"
)
@click.argument("plan_path", metavar="PLAN", type=click.Path(path_type=Path))
@site_option
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option(
    "--max-risk",
    type=click.Choice(["safe", "restart", "outage"]),
    help="Leave out what is costlier; default: what the plan was made with.",
)
@pace_options
@select_option
@target_option
@report_option
@click.pass_obj
def apply(obj: dict[str, Any], /, **given: Any) -> int:  # noqa: ANN401 - options as click hands them
    """Do exactly what a plan says that `gapcheck plan -o` wrote.

    The site is measured first: where anything that the plan rests on has changed, nothing is
    done, and what differs is named.
    """
    from gapcheck.plan_file import read_plan_file
    from gapcheck.suite import Given

    path = given["plan_path"]
    file = read_plan_file(path)
    asked = file.asked
    words = ["gapcheck plan"]
    words += [f"--site {shlex.quote(str(given['site_path']))}"] if given["site_path"] else []
    words += [f"--max-risk {asked.max_risk.value}", *(["--with-roots"] if asked.with_roots else [])]
    words += _drain_words(asked.drain)
    words += [f"--select {shlex.quote(each)}" for each in asked.select]
    words += [f"--target {shlex.quote(each)}" for each in asked.targets]
    again = " ".join((*words, f"-o {shlex.quote(str(path))}"))
    return _repair(obj, given, fix_options(obj, given, Given(path=path, file=file, again=again)))


def _drain_words(drain: Drain | None) -> list[str]:
    """The options that ask for `drain`."""
    if drain is None:
        return []
    emptydir = ["--delete-emptydir-data"] if drain.delete_emptydir else []
    return ["--drain", f"--drain-timeout {drain.timeout_s}", *emptydir]


@click.command(
    epilog="\b\nExamples:\n  gapcheck plan --site site.yaml\n"
    "  gapcheck plan --site site.yaml -o plan.json     for gapcheck apply"
)
@site_option
@risk_option
@click.option("--with-roots", is_flag=True, help="Plan for the roots of what is selected, too.")
@drain_options
@select_option
@target_option
@click.option(
    "--bundle",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Plan from what `collect` measured.",
)
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Also write the plan to FILE, for `gapcheck apply`; no secret is in it.",
)
@click.pass_obj
def plan(obj: dict[str, Any], /, **given: Any) -> int:  # noqa: ANN401 - options as click hands them
    """Show what the first round of a repair would change; nothing is touched.

    Later rounds may follow: what only shows once the first is done is planned then. What was
    not measured cannot be planned for: where nothing fails, that is exit 6.
    """  # fmt: skip
    from gapcheck.model import Risk
    from gapcheck.plan_file import make_plan_file, write_plan_file
    from gapcheck.repair import first_plan
    from gapcheck.reports.plan import write_plan
    from gapcheck.reports.writers import check_output
    from gapcheck.suite import FixOptions, Request, judge, prepare

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
        drain=drain_of(given),
    )
    output = given["output"]
    if output is not None:
        check_output(output, f"-o {output}", inputs=request.inputs)
    prepared = prepare(request)
    found, asked = first_plan(prepared, options)
    if output is not None:
        write_plan_file(output, make_plan_file(prepared, found, asked))
    write_plan(found, sys.stdout, colour=colour_for(sys.stdout, obj))
    if output is not None and not obj["quiet"]:
        do = f"gapcheck apply {shlex.quote(str(output))}{_site(given)}"
        click.echo(f"{output}: {len(found.changes)} changes; do them with: {do}", err=True)
    elif found.changes:
        click.echo("more may follow once these are done; gapcheck fix does them", err=True)
    planned = Exit.FAILED if found.changes or found.unplanned else Exit.OK
    return worst([planned, of_verdicts(judge(prepared), prepared.facts.gaps)])


@click.command(
    epilog="\b\nExamples:\n  gapcheck undo 20260615T120000Z-a1b2c3 --site site.yaml\n"
    "  gapcheck undo 20260615T120000Z-a1b2c3 --target node-7"
)
@click.argument("run_id", metavar="RUN")
@site_option
@click.option(
    "--target",
    "targets",
    multiple=True,
    metavar="SUBJECT",
    help="Only what the run changed there: node-7, registry or a glob. Repeatable.",
)
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option(
    "--force",
    is_flag=True,
    help="Undo although files were edited since, or others rely on it; edits go to its backup.",
)
@pace_options
@click.pass_obj
def undo(obj: dict[str, Any], /, **given: Any) -> int:  # noqa: ANN401 - options as click hands them
    """Put back every byte that a run of `fix` changed, last change first.

    Nothing is touched unless every file still is as that run left it; what someone edited
    since is shown. Nodes go in batches, as in fix; where one fails, later ones are not begun, and
    the same command does the rest later. An undo is a run, and can be undone.
    """
    from gapcheck.remediations.rolling import parse_pace
    from gapcheck.undoing import UndoRequest
    from gapcheck.undoing import undo as undo_run

    ask = sys.stdin.isatty() and sys.stderr.isatty() and not given["yes"]

    def consent(lines: Sequence[str]) -> bool:
        lost = any(line.startswith("LOST") for line in lines)
        if lost or not obj["quiet"] or ask:
            click.echo("\n".join(lines), err=True)
        return not ask or click.confirm("Undo this?", err=True)

    def said(result: ChangeResult) -> None:
        if result.state != "undone" or not obj["quiet"]:
            detail = f": {result.detail}" if result.detail else ""
            click.echo(f"{result.state:<8} {result.target}{detail}", err=True)

    return undo_run(
        UndoRequest(
            run=given["run_id"],
            loaded=load(given["site_path"]),
            targets=given["targets"],
            force=given["force"],
            pace=parse_pace(given["canary"], given["batch"]),
            consent=consent,
            said=said,
        )
    )


@click.command(epilog="\b\nExamples:\n  gapcheck runs\n  gapcheck runs 20260615T120000Z-a1b2c3")
@click.argument("run_id", metavar="[RUN]", required=False)
@site_option
def runs(run_id: str | None, site_path: Path | None) -> int:
    """List the runs that changed something, newest last; of one RUN, all that it did."""
    from gapcheck.undoing import one_run_lines, runs_lines

    if site_path is not None and not site_path.exists():
        raise UsageError(f"{site_path}: there is no such file")
    for line in one_run_lines(run_id) if run_id else runs_lines():
        click.echo(line)
    return Exit.OK
