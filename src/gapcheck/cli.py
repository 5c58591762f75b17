"""The command line: arguments in, exit code out; no domain logic.

Heavy libraries are imported by the command that needs them, so that `--help` answers at once.
"""

from __future__ import annotations

import errno
import logging
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from types import FrameType
from typing import NoReturn

import click

from gapcheck import __version__
from gapcheck.commands.ask import collect, completion, explain, init, list_checks, schema
from gapcheck.commands.check import check
from gapcheck.commands.demo import demo
from gapcheck.commands.export import export
from gapcheck.commands.history import baseline, drift, history
from gapcheck.commands.manual import manual
from gapcheck.commands.repair import apply, fix, plan, runs, undo
from gapcheck.commands.schedule import cronjob, systemd
from gapcheck.errors import GapcheckError
from gapcheck.exits import Exit, code_of

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EIO)

EXAMPLES = """\b
Examples:
  gapcheck check registry.local --ca ca.crt      one registry, no site file
  gapcheck init --registry registry.local -o site.yaml
  gapcheck check --site site.yaml                the whole chain
  gapcheck check --site site.yaml --report junit:gapcheck.xml
  gapcheck fix --site site.yaml                  shows the plan and asks
  gapcheck undo RUN                              puts every byte back
  gapcheck drift --site site.yaml                what differs since the last run, and why
  gapcheck demo                                  all of it, on this machine, in seconds

\b
Exit codes: 0 all passed, 1 a check failed, 2 interrupted, 3 a defect of gapcheck, 4 usage or
site file, 5 nothing was checked, 6 something was not measured, 7 a repair failed, 8 drift."""


@click.group(epilog=EXAMPLES, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="gapcheck")
@click.option("-v", "--verbose", count=True, help="Say more on stderr; twice for debugging.")
@click.option("-q", "--quiet", is_flag=True, help="Nothing on stderr but errors.")
@click.option("--no-color", is_flag=True, help="No colour; NO_COLOR does the same.")
@click.pass_context
def cli(context: click.Context, *, verbose: int, quiet: bool, no_color: bool) -> None:
    """Prove that an air-gapped Kubernetes site can install from its private registry."""
    level = (
        logging.ERROR if quiet else (logging.WARNING, logging.INFO, logging.DEBUG)[min(verbose, 2)]
    )
    logging.basicConfig(
        stream=sys.stderr, level=level, format="%(levelname)s %(name)s: %(message)s"
    )
    for noisy in ("urllib3", "kubernetes", "docker"):
        logging.getLogger(noisy).setLevel(max(level, logging.WARNING))
    no_color = no_color or bool(os.environ.get("NO_COLOR"))
    context.obj = {"verbose": verbose, "quiet": quiet, "no_color": no_color}


for command in (
    check, fix, plan, apply, undo, runs, collect, explain, list_checks, init, export, demo, schema,
    completion, manual, history, drift, baseline,
):  # fmt: skip
    cli.add_command(command)
for schedule in (cronjob, systemd):
    export.add_command(schedule)


def main(argv: Sequence[str] | None = None) -> NoReturn:
    """Run the command line and end the process with its code."""
    signal.signal(signal.SIGTERM, _terminated)
    _open_streams()
    sys.exit(run(argv))


def run(argv: Sequence[str] | None = None) -> int:
    """Run the command line; every way out is one of the documented codes."""
    try:
        code = cli.main(args=None if argv is None else list(argv), standalone_mode=False)
        sys.stdout.flush()
    except (click.exceptions.Abort, KeyboardInterrupt):
        return _said("interrupted", Exit.INTERRUPTED)
    except click.ClickException as usage:
        usage.show()
        return Exit.USAGE
    except GapcheckError as failed:
        return _said(str(failed), code_of(failed))
    except BrokenPipeError:
        _drop_output()  # its reader went away
        return Exit.INTERRUPTED
    except Exception as bug:
        # The last line of defence: an uncaught defect would end with 1, "a check failed".
        logging.getLogger(__name__).debug("the defect", exc_info=bug)
        return _ended_by(bug)
    return code if isinstance(code, int) else Exit.OK


def _ended_by(bug: Exception) -> int:
    if isinstance(bug, OSError) and bug.errno in _FULL:
        _drop_output()
        return _said(f"the output cannot be written: {bug.strerror}", Exit.USAGE)
    what = f"a defect of gapcheck: {type(bug).__name__}: {bug}"
    return _said(f"{what}\n  run with -vv and report it", Exit.INTERNAL)


def _open_streams() -> None:
    """Let closed standard streams lead nowhere, before another file takes their place."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, Path(os.devnull).open(mode))  # noqa: SIM115 - open until the end


def _drop_output() -> None:
    """Send what is left to print nowhere: Python would complain of it once more at its exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _said(text: str, code: Exit) -> int:
    click.echo(f"gapcheck: {text}", err=True)
    return code


def _terminated(signum: int, frame: FrameType | None) -> NoReturn:
    del signum, frame
    raise KeyboardInterrupt
