"""`python -m tests.lab build | up | down | status | site | reset NAME | shell NAME`.

`--machines` asks for the small lab of the fault matrix: a registry and two nodes, no cluster.
"""

from __future__ import annotations

import fcntl
import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import click

from lab import cluster, world
from lab.programs import cache, install_host_packages, missing, say
from lab.registries import KINDS

_NAMES = click.Choice(["registry", "n1", "n2"])
_SMALL = click.option("--machines", is_flag=True, help="The small lab, without Kubernetes.")


def _require_root() -> None:
    if sys.platform != "linux" or os.getuid() != 0:
        message = "the lab needs Linux and root: it boots systems in namespaces"
        raise click.ClickException(message)


def _lock() -> None:
    """Hold the lab alone until this program ends."""
    cache().mkdir(parents=True, exist_ok=True)
    handle = os.open(cache() / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as held:
        message = "another `up` or `down` is at work"
        raise click.ClickException(message) from held


def _small() -> world.World:
    folder = world.folder_of_runs()
    if not world.is_up(folder):
        message = "the lab is not up; start it with: python -m tests.lab up --machines"
        raise click.ClickException(message)
    return world.attach(folder)


def _whole() -> cluster.Cluster:
    _require_root()
    folder = cluster.folder_of_cluster()
    if not cluster.is_up(folder):
        message = "the lab is not up; start it with: python -m tests.lab up"
        raise click.ClickException(message)
    return cluster.attach(folder)


@click.group()
def lab() -> None:
    """Real machines and a real cluster to put faults into."""


@lab.command()
@click.option("--registry", type=click.Choice(KINDS), default="v2", help="What registry.local is.")
@_SMALL
def up(registry: str, *, machines: bool) -> None:
    """Build what is missing, boot everything, and leave it running."""
    _require_root()
    _ready_to_build()
    _lock()
    places = (world.folder_of_runs(), cluster.folder_of_cluster())
    if world.is_up(places[0]) if machines else cluster.is_up(places[1]):
        message = "the lab is up already; end it with: python -m tests.lab down"
        raise click.ClickException(message)
    say(f"built things are kept in {cache()}")
    if machines:
        world.sweep(places[0])
        site_file = world.up(places[0]).site_file
    else:
        site_file = cluster.up(places[1], registry).site_file
    click.echo(f"gapcheck check --site {site_file}")


@lab.command()
def build() -> None:
    """Build everything, and start nothing."""
    _require_root()
    _ready_to_build()
    cluster.build()


def _ready_to_build() -> None:
    install_host_packages()
    for why in missing():
        raise click.ClickException(why)


@lab.command()
def down() -> None:
    """End everything and leave nothing: no process, mount, bridge, cgroup, or name."""
    _require_root()
    _lock()
    world.sweep(world.folder_of_runs())
    cluster.sweep(cluster.folder_of_cluster())


@lab.command()
@_SMALL
def status(*, machines: bool) -> None:
    """Say of each node whether it works."""
    if machines:
        small = _small()
        for name, node in small.nodes.items():
            click.echo(f"{name}: {small.pull(node) or 'pulls'}")
        return
    whole = _whole()
    for name in whole.nodes:
        click.echo(f"{name}: {'ready' if whole.is_ready(name) else 'not ready'}")
    click.echo(whole.control.kubectl("get", "pods", "-A", "-o", "wide"), nl=False)


@lab.command()
@_SMALL
def site(*, machines: bool) -> None:
    """Print the path and the text of the running lab's site file."""
    running = _small() if machines else _whole()
    click.echo(f"# {running.site_file}\n{running.site_file.read_text()}", nl=False)


@lab.command()
def heal() -> None:
    """Make every machine of the small lab right again."""
    _small().heal()


@lab.command()
@click.argument("name", type=_NAMES)
def reset(name: str) -> None:
    """Make a machine anew, as it was when the lab came up."""
    _whole().reset(name)


@lab.command()
@click.argument("name", type=_NAMES)
@_SMALL
def shell(name: str, *, machines: bool) -> None:
    """Open a shell on a machine."""
    machine = _small().machine(name) if machines else _whole().machines[name]
    os.execvp(  # noqa: S606 - it is replaced by the shell that was asked for
        "ssh", ["ssh", "-F", str(machine.keys.config), "-p", str(machine.port), f"lab-{name}"]
    )


def main() -> None:
    """Run the command line; what went wrong is one line."""
    try:
        lab()
    except (RuntimeError, TimeoutError) as wrong:
        sys.exit(f"lab: {wrong}")


main()
