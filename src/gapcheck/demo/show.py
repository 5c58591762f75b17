"""The demo itself: red, plan, repair, green, and a second repair that changes nothing.

It drives the code that every site is judged by; nothing of it is staged but the site.
"""

from __future__ import annotations

import os
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from gapcheck.commands.options import colour_for
from gapcheck.demo import guide
from gapcheck.demo.registry import RegistryServer, Served, running
from gapcheck.errors import UsageError
from gapcheck.exits import Exit
from gapcheck.fixtures.bundle import write_bundle
from gapcheck.lookback import with_plan
from gapcheck.model import Status
from gapcheck.record import Record, Round
from gapcheck.remediations.plan import Plan
from gapcheck.reports import terminal
from gapcheck.reports.plan import write_plan, write_results
from gapcheck.reports.writers import Wanted, write_all
from gapcheck.site_file import LoadedSite, load_site
from gapcheck.suite import FixOptions, Prepared, Request, judge, make_record, prepare


def run_demo(out: Path, obj: dict[str, Any], *, serve: bool) -> int:
    """Show the whole job in `out`; OK only when red and green came out as they should."""
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UsageError(f"{out}: exists and is not an empty folder", "name another with --out")
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as failed:
        raise UsageError(f"{out}: cannot be made: {failed.strerror}", "--out DIR") from failed
    folder = out.absolute()
    os.environ["GAPCHECK_STATE"] = str(folder / "state")
    served = Served(
        certificate=folder / "registry/certs/registry.crt",
        key=folder / "registry/certs/registry.key",
        store=guide.images(),
    )
    with running(served, address=guide.ADDRESS) as server:
        site = guide.build(folder, server.port, now=datetime.now(UTC))
        code = _Show(load_site(site.site_file), folder, obj).run()
        _farewell(out, obj)
        if serve:
            _serve(server)
    return code


class _Show:
    """The three runs, and what is written of each."""

    def __init__(self, loaded: LoadedSite, folder: Path, obj: dict[str, Any]) -> None:
        self.loaded = loaded
        self.folder = folder
        self.colour = colour_for(sys.stdout, obj)

    def run(self) -> int:
        self._title("1. The guide, followed as written, and judged")
        red = self._judged("red", None)
        terminal.write(red, sys.stdout, colour=self.colour)
        self._title("2. The repair: each round is planned, shown, applied, measured again")
        green = self._judged("green", self._options())
        self._title("3. The same site, judged after the repair")
        terminal.write(green, sys.stdout, colour=self.colour)
        self._title("4. A second repair")
        again = self._judged("again", self._options())
        wrong = [*_expected_red(red), *_expected_green(green), *_expected_again(again)]
        for each in wrong:
            click.echo(f"the demo did not come out as it should: {each}", err=True)
        return Exit.INTERNAL if wrong else Exit.OK

    def _judged(self, name: str, fix: FixOptions | None) -> Record:
        prepared = prepare(Request(front_end="cli", loaded=self.loaded, fix=fix))
        record = make_record(prepared, judge(prepared))
        if name != "again":
            self._keep(name, prepared, record)
        return record

    def _keep(self, name: str, prepared: Prepared, record: Record) -> None:
        endings = {"json": "json", "junit": "xml", "html": "html"}
        reports = [Wanted(f, str(self.folder / f"{name}.{end}")) for f, end in endings.items()]
        for each in reports:
            write_all(with_plan(prepared, record) if each.format == "html" else record, [each])
        write_bundle(self.folder / f"{name}.tar.gz", prepared.site, prepared.facts)

    def _options(self) -> FixOptions:
        return FixOptions(consent=self._planned, finished=self._done)

    def _planned(self, plan: Plan) -> bool:
        write_plan(plan, sys.stdout, colour=self.colour)
        return True

    def _done(self, done: Round) -> None:
        write_results(done, sys.stdout, colour=self.colour)

    def _title(self, text: str) -> None:
        click.echo(
            click.style(f"\n== {text} ==\n", bold=True) if self.colour else f"\n== {text} ==\n"
        )


def _expected_red(record: Record) -> list[str]:
    roots = {cause.check for cause in record.roots()}
    wrong = [] if record.run.exit == Exit.FAILED else [f"red ended with {record.run.exit}"]
    return wrong + ([] if "CERT-SAN-001" in roots else ["CERT-SAN-001 is no root cause"])


def _expected_green(record: Record) -> list[str]:
    bad = [v for v in record.verdicts if v.status in (Status.FAIL, Status.ERROR, Status.BLOCKED)]
    wrong = [f"{verdict.cause} is {verdict.status.value}" for verdict in bad]
    return wrong + ([] if record.run.exit == Exit.OK else [f"green ended with {record.run.exit}"])


def _expected_again(record: Record) -> list[str]:
    changed = [change.id for done in record.rounds for change in done.plan.changes]
    if not changed:
        click.echo("nothing to change")
    return [f"the second repair changed {each}" for each in changed]


def _farewell(out: Path, obj: dict[str, Any]) -> None:
    del obj
    click.echo(f"""
Everything is in {out}. Try:
  gapcheck check --bundle {out}/red.tar.gz             the red verdicts once more, no target touched
  gapcheck explain CERT-SAN-001                         what it requires and why
  GAPCHECK_STATE={out}/state gapcheck runs              what the repair did, and how to undo it
  {out}/green.html                                      the report for a browser""")


def _serve(server: RegistryServer) -> None:
    click.echo(f"\nThe registry answers on {guide.ADDRESS}:{server.port} until Ctrl-C.")
    sys.stdout.flush()
    try:
        while True:
            time.sleep(3600)
    except KeyboardInterrupt:
        click.echo("stopped")
