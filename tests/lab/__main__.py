"""`python -m tests.lab up | status | site | shell NODE | heal | down`: the lab, to try things."""

from __future__ import annotations

import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import click

from lab import world
from lab.programs import cache, missing, say


def _attached() -> world.World:
    folder = world.folder_of_runs()
    if not world.is_up(folder):
        message = "the lab is not up; start it with: python -m tests.lab up"
        raise click.ClickException(message)
    return world.attach(folder)


@click.group()
def lab() -> None:
    """Real machines to put faults into: a registry and a node of each containerd generation."""


@lab.command()
def up() -> None:
    """Build what is missing, boot the machines, and leave them running."""
    for why in missing():
        raise click.ClickException(why)
    folder = world.folder_of_runs()
    if world.is_up(folder):
        message = "the lab is up already; end it with: python -m tests.lab down"
        raise click.ClickException(message)
    say(f"built things are kept in {cache()}")
    world.sweep(folder)
    running = world.up(folder)
    click.echo(f"gapcheck check --site {running.site_file}")


@lab.command()
def down() -> None:
    """End every machine and leave nothing mounted."""
    world.sweep(world.folder_of_runs())


@lab.command()
def status() -> None:
    """Say of each node whether a real pull works."""
    running = _attached()
    for name, node in running.nodes.items():
        click.echo(f"{name}: {running.pull(node) or 'pulls'}")


@lab.command()
def site() -> None:
    """Print the site file of the running lab."""
    click.echo(_attached().site_file.read_text(), nl=False)


@lab.command()
def heal() -> None:
    """Make every machine right again."""
    _attached().heal()


@lab.command()
@click.argument("name", type=click.Choice(["registry", "n1", "n2"]))
def shell(name: str) -> None:
    """Open a shell on a machine."""
    machine = _attached().machine(name)
    os.execvp(  # noqa: S606 - it is replaced by the shell that was asked for
        "ssh", ["ssh", "-F", str(machine.keys.config), "-p", str(machine.port), f"lab-{name}"]
    )


lab()
