"""`gapcheck export cronjob` and `export systemd`: what runs drift again and again."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gapcheck.commands.export import print_export
from gapcheck.commands.options import load, site_option
from gapcheck.errors import UsageError

if TYPE_CHECKING:
    from gapcheck.site import Site
    from gapcheck.site_file import LoadedSite


@click.command(
    "cronjob",
    epilog="\b\nExample:\n  gapcheck export cronjob --image registry.local/gapcheck:1"
    " > gapcheck.yaml\n\n\b\nExit codes: 0 the pod can judge the whole site, 1 something of it is"
    " left out;\nstderr says what.",
)
@site_option
@click.option("--image", required=True, metavar="REF", help="An image with gapcheck in it.")
@click.option("--namespace", default="gapcheck", show_default=True, metavar="N",
              help="Where it all lives; made if absent.")  # fmt: skip
@click.option("--schedule", default="17 3 * * *", show_default=True, metavar="CRON",
              help="When it runs, in UTC.")  # fmt: skip
@click.option("--storage", default="1Gi", show_default=True, metavar="SIZE",
              help="Size of the volume for the history.")  # fmt: skip
@click.option("--ssh-secret", default="", metavar="NAME",
              help="A Secret with config, known_hosts, id: judges ssh:// nodes.")  # fmt: skip
@click.option("--pull-secret", default="", metavar="NAME", help="Pull secret of the image.")
@click.pass_obj
def cronjob(obj: dict[str, Any], /, site_path: Path | None, **given: str) -> int:
    """Print the objects that run `gapcheck drift` inside the cluster every night.

    Account with exactly the rights it uses, volume for the history, job; results also as
    PolicyReport objects. What a pod cannot judge is said on stderr.
    """
    from gapcheck.exporting.cronjob import CronJob
    from gapcheck.exporting.cronjob import cronjob as made

    loaded = load(site_path)
    site, pem = _named(loaded), _ca(loaded)
    return print_export(made(site, pem, CronJob(**given)), obj)


def _named(loaded: LoadedSite) -> Site:
    """The site; the nodes of an inventory, which is a file of this machine, are named in it."""
    from gapcheck.node_discovery import resolve_nodes
    from gapcheck.site import NodesFrom

    nodes = loaded.site.nodes
    if not isinstance(nodes, NodesFrom) or nodes.source != "inventory":
        return loaded.site
    site, gaps = resolve_nodes(loaded, None)
    for gap in gaps:
        click.echo(f"left: {gap.subject}: {gap.reason}", err=True)
    return site.model_copy(update={"nodes": site.node_list})


def _ca(loaded: LoadedSite) -> bytes | None:
    from gapcheck.site_file import check_ca_file

    check_ca_file(loaded)
    name = loaded.site.registry.ca_file
    return loaded.resolve(name).read_bytes() if name else None


@click.command(
    "systemd",
    epilog="\b\nExamples:\n  gapcheck export systemd --site site.yaml -o /etc/systemd/system\n"
    "  gapcheck export systemd --on-failure notify@%n.service "
    "--report openmetrics:/var/lib/node_exporter/gapcheck.prom",
)
@site_option
@click.option("--name", default="gapcheck", show_default=True, metavar="UNIT",
              help="Name of the units and of their state folder in /var/lib.")  # fmt: skip
@click.option("--user", default="", metavar="USER", help="Who runs it; default: root.")
@click.option("--schedule", default="*-*-* 03:00:00", show_default=True, metavar="CALENDAR",
              help="When it runs, see systemd.time(7).")  # fmt: skip
@click.option("--on-failure", default="", metavar="UNIT",
              help="Started where a run ends with anything but 0; %n is this unit.")  # fmt: skip
@click.option("--report", "reports", multiple=True, metavar="FORMAT:PATH",
              help="A report beside report.json and report.html. Repeatable.")  # fmt: skip
@click.option("-o", "--output", type=click.Path(path_type=Path, file_okay=False), metavar="FOLDER",
              help="Write the units there; default: both to standard output.")  # fmt: skip
@click.option("--force", is_flag=True, help="Replace units that exist.")
@click.pass_obj
def systemd(obj: dict[str, Any], /, **given: Any) -> int:  # noqa: ANN401 - options as click hands them
    """Print a service and a timer that run `gapcheck drift` on this machine every night."""
    from gapcheck.exporting.systemd import Units, files
    from gapcheck.exporting.systemd import systemd as made
    from gapcheck.reports.writers import parse
    from gapcheck.site_file import check_ca_file

    loaded = load(given.pop("site_path"))
    check_ca_file(loaded)
    output, force = given.pop("output"), given.pop("force")
    reports = tuple(parse(text) for text in given.pop("reports"))
    if any(each.path == "-" for each in reports):
        raise UsageError("--report to standard output: a unit's goes to the journal anyway")
    path = str(loaded.path.absolute())
    units = Units(program=_program(), site_file=path, reports=reports, **given)
    found = made(loaded.site, units)
    if output is None:
        return print_export(found, obj)
    _write(output, files(loaded.site, units), force=force)
    return print_export(replace(found, text=""), obj)


def _program() -> tuple[str, ...]:
    """How this gapcheck is started, by full paths."""
    started = Path(sys.argv[0])
    if started.name == "gapcheck" and started.is_file():
        return (str(started.absolute()),)
    return (sys.executable, "-m", "gapcheck")


def _write(folder: Path, texts: dict[str, str], *, force: bool) -> None:
    """Write all files or, where one is there, none."""
    there = [name for name in texts if (folder / name).exists()]
    if there and not force:
        raise UsageError(f"{folder / there[0]}: exists", "replace it with --force")
    try:
        for name, text in texts.items():
            (folder / name).write_text(text, encoding="utf-8")
    except OSError as failed:
        raise UsageError(f"{failed.filename}: cannot be written: {failed.strerror}") from failed
    timer = next(name for name in texts if name.endswith(".timer"))
    click.echo(f"next: systemctl daemon-reload && systemctl enable --now {timer}", err=True)
