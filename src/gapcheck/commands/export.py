"""`gapcheck export`: print what would prepare or repair, for those who carry it themselves."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from gapcheck.commands.options import load, site_option
from gapcheck.errors import UsageError
from gapcheck.exits import Exit


@click.group()
def export() -> None:
    """Print what would prepare or repair, without touching anything."""


@export.command("node-init", epilog="\b\nExample:\n  gapcheck export node-init > node-init.sh")
@site_option
def node_init(site_path: Path | None) -> int:
    """Print a POSIX script that prepares a new node; running it again changes nothing."""
    from gapcheck.export import node_init as script
    from gapcheck.site_file import check_ca_file

    loaded = load(site_path)
    if loaded.site.registry.ca_file is None:
        raise UsageError("the site file names no CA", "add registry.ca_file: a node needs it")
    check_ca_file(loaded)
    pem = loaded.resolve(loaded.site.registry.ca_file).read_bytes()
    sys.stdout.write(script(loaded.site, pem))
    return Exit.OK
