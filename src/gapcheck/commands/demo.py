"""`gapcheck demo`: the main job on a site of its own, red, repaired, green."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click


@click.command(epilog="\b\nExample:\n  gapcheck demo --out /tmp/demo --serve")
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    default=Path("gapcheck-demo"),
    metavar="DIR",
    show_default=True,
    help="Folder to build in; it must be empty.",
)
@click.option("--serve", is_flag=True, help="Keep the demo's registry up until Ctrl-C.")
@click.pass_obj
def demo(obj: dict[str, Any], out: Path, *, serve: bool) -> int:
    """Build a site as a guide leaves it, judge it, repair it, judge it again.

    Needs no root, no Docker, no cluster and no network but loopback.
    """  # fmt: skip
    from gapcheck.demo.show import run_demo

    return run_demo(out, obj, serve=serve)
