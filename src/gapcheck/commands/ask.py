"""Commands that change nothing: collect, explain, list, init, schema."""

from __future__ import annotations

import sys
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gapcheck.commands.options import Watch, load, select_option, site_option
from gapcheck.counting import counted
from gapcheck.errors import UsageError
from gapcheck.exits import Exit

if TYPE_CHECKING:
    from gapcheck.registry import Check


@click.command(epilog="\b\nExample:\n  gapcheck collect --site site.yaml -o site.tar.gz")
@site_option
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Bundle to write (.tar.gz).",
)
@click.option(
    "--show",
    "shown",
    type=click.Path(path_type=Path),
    metavar="BUNDLE",
    help="Instead: list what a bundle holds, before it is mailed.",
)
@click.pass_obj
def collect(
    obj: dict[str, Any], site_path: Path | None, output: Path | None, shown: Path | None
) -> int:
    """Measure the site and keep the facts in one file; no secret is in it.

    `gapcheck check --bundle FILE` judges it later, anywhere.
    """  # fmt: skip
    from gapcheck.fixtures.bundle import write_bundle
    from gapcheck.fixtures.bundle_show import show_bundle

    if shown is not None:
        click.echo(show_bundle(shown))
        return Exit.OK
    if output is None:
        raise UsageError("collect needs -o FILE", "or --show BUNDLE")
    from gapcheck.reports.writers import check_output
    from gapcheck.suite import Request, prepare

    request = Request(front_end="cli", loaded=load(site_path), progress=Watch(obj).progress)
    check_output(output, f"-o {output}", inputs=request.inputs)
    prepared = prepare(request)
    write_bundle(output, prepared.site, prepared.facts)
    for gap in prepared.facts.gaps:
        click.echo(f"not measured: {gap.subject} {gap.stage}: {gap.reason}", err=True)
    subjects, blobs = len(prepared.facts.by_subject), len(prepared.facts.blobs)
    click.echo(f"{output}: {counted(subjects, 'subject')}, {counted(blobs, 'content')}", err=True)
    return Exit.UNMEASURED if prepared.facts.gaps else Exit.OK


@click.command(epilog="\b\nExample:\n  gapcheck explain NODE-TRUST-001")
@click.argument("name", metavar="ID")
def explain(name: str) -> int:
    """Say what a check requires, why, and what is done about it; or what a fault (C01) is."""
    from gapcheck.faults import FAULTS
    from gapcheck.registry import catalogue

    wanted = name.upper()
    checks = catalogue().checks
    if wanted in FAULTS:
        click.echo(_fault_text(wanted))
        return Exit.OK
    found = [each for each in checks.values() if each.id == wanted]
    found = found or [each for each in checks.values() if each.id.startswith(f"{wanted}-")]
    if not found:
        raise UsageError(f"{name}: no such check or fault", "ids: gapcheck list")
    click.echo("\n\n".join(_check_text(each) for each in found))
    return Exit.OK


def _check_text(check: Check) -> str:
    from gapcheck.faults import FAULTS
    from gapcheck.registry import catalogue

    remedy = catalogue().remedies.get(check.id)
    doc = "\n\n".join(
        textwrap.fill(" ".join(part.split()), 92, initial_indent="  ", subsequent_indent="  ")
        for part in check.doc.split("\n\n")
    )
    step = f"guide step {check.source.step}" if check.source.step else "no step of the guide"
    lines = [
        f"{check.id}  {check.severity.value}, judged of: {check.scope.value}",
        doc,
        f"  source   {step}",
        *(f"           {fault}: {FAULTS[fault].title}" for fault in check.source.fault),
    ]
    if check.after:
        lines.append(f"  after    {', '.join(check.after)}")
    if remedy is None:
        lines.append(_field("by hand", check.manual))
    else:
        lines.append(_field("remedy", f"risk {remedy.risk.value}. {' '.join(remedy.doc.split())}"))
    return "\n".join(lines)


def _field(label: str, text: str) -> str:
    return textwrap.fill(text, 92, initial_indent=f"  {label:<8} ", subsequent_indent=" " * 11)


def _fault_text(fault_id: str) -> str:
    from gapcheck.faults import FAULTS
    from gapcheck.registry import catalogue

    fault = FAULTS[fault_id]
    found = [each.id for each in catalogue().checks.values() if fault_id in each.source.fault]
    return "\n".join(
        [
            f"{fault_id}  {fault.title}",
            _field("seen as", fault.seen),
            _field("found by", ", ".join(found) or "no check of its own"),
            _field("repair", fault.repair),
        ]
    )


@click.command("list", epilog="\b\nExample:\n  gapcheck list --format json | jq '.[].id'")
@click.option("--format", "form", type=click.Choice(["text", "json"]), default="text")
@select_option
@site_option
def list_checks(form: str, select: tuple[str, ...], site_path: Path | None) -> int:
    """List every check, with its severity, prerequisites, source and remedy.

    With --site: which subjects each judges there; nothing is asked.
    """
    from gapcheck.registry import catalogue
    from gapcheck.suite import check_patterns, selects

    check_patterns(select)
    checks = [
        each
        for each in catalogue().checks.values()
        if not select or any(selects(pattern, each.id) for pattern in select)
    ]
    if form == "json":
        import msgspec

        data = msgspec.json.encode([list_entry(each) for each in checks])
        click.echo(msgspec.json.format(data, indent=2).decode())
        return Exit.OK
    site = load(site_path).site if site_path else None
    for each in checks:
        subjects = f"  [{', '.join(site.subjects(each.scope)) or 'nothing'}]" if site else ""
        click.echo(f"{each.id:<18} {each.severity.value:<9} {each.title}{subjects}")
    return Exit.OK


def list_entry(check: Check) -> dict[str, Any]:
    """One check as `list --format json` prints it."""
    from gapcheck.registry import catalogue

    remedy = catalogue().remedies.get(check.id)
    outcome: dict[str, Any] = (
        {"remedy": {"risk": remedy.risk.value}} if remedy else {"manual": check.manual}
    )
    return {
        "id": check.id,
        "title": check.title,
        "severity": check.severity.value,
        "scope": check.scope.value,
        "after": list(check.after),
        "source": {"step": check.source.step, "fault": list(check.source.fault)},
        **outcome,
    }


@click.command(epilog="\b\nExample:\n  gapcheck init --registry registry.local -o site.yaml")
@click.option("--registry", metavar="HOST[:PORT]", help="The private registry.")
@click.option("--address", metavar="IP", help="Its address, where the name does not resolve here.")
@click.option("--ca", type=click.Path(path_type=Path), metavar="FILE", help="Its CA certificate.")
@click.option(
    "--kubeconfig",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="The cluster's kubeconfig.",
)
@click.option("--context", metavar="NAME", help="Context in it; default: the current one.")
@click.option("--namespace", metavar="NAME", help="Where the release is or will be.")
@click.option("--release", metavar="NAME", help="Name of the Helm release.")
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="File to write; default: standard output.",
)
@click.option("--force", is_flag=True, help="Replace the file where it exists.")
def init(**given: Any) -> int:  # noqa: ANN401 - options as click hands them
    """Write a commented site file from what can be discovered here."""  # fmt: skip
    from gapcheck.init_site import discover, write_site

    output, force = given.pop("output"), given.pop("force")
    text = discover(**given)
    if output is None:
        sys.stdout.write(text)
        return Exit.OK
    write_site(output, text, force=force)
    click.echo(f"{output}: written; next: gapcheck check --site {output}", err=True)
    return Exit.OK


@click.command(epilog="\b\nExample:\n  gapcheck schema site > site.schema.json")
@click.argument("what", type=click.Choice(["site", "report", "plan"]))
def schema(what: str) -> int:
    """Print the JSON Schema of the site file, for editors, of the JSON report, or of a plan."""
    if what == "report":
        import json

        from gapcheck.reports import json_shape

        click.echo(json.dumps(json_shape.schema(), indent=2))
        return Exit.OK
    if what == "plan":
        import msgspec

        from gapcheck.plan_file import PlanFile

        click.echo(msgspec.json.format(msgspec.json.encode(msgspec.json.schema(PlanFile))))
        return Exit.OK
    from gapcheck.site_schema import schema_json

    click.echo(schema_json())
    return Exit.OK


@click.command(epilog='\b\nExample:\n  eval "$(gapcheck completion bash)"')
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(context: click.Context, shell: str) -> int:
    """Print the completion script of a shell."""
    from click.shell_completion import get_completion_class

    kind = get_completion_class(shell)
    assert kind is not None  # the choices are the ones that click knows
    root = context.find_root()
    click.echo(kind(root.command, {}, "gapcheck", "_GAPCHECK_COMPLETE").source())
    return Exit.OK
