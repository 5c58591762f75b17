"""Looks at the healthy site at different times, for the tests of history and drift."""

from __future__ import annotations

from datetime import datetime
from functools import cache
from typing import Any

from support.certs import NOW
from support.healthy import healthy, known
from support.records import run_info

from gapcheck.engine import Evaluation
from gapcheck.fact_sheet import sheets_of
from gapcheck.fixtures.fact_set import FactSet
from gapcheck.history_rows import Run
from gapcheck.record import Record
from gapcheck.remembered import Finished
from gapcheck.site import Site


@cache
def steady() -> tuple[Site, FactSet]:
    """The healthy site, the same certificates each time it is asked for."""
    return healthy()


def record(
    facts: FactSet | None = None, of: Site | None = None, *, at: datetime = NOW, run: str = "A"
) -> Record:
    """The record of a run over the healthy site, or over what is given instead."""
    site, healthy_facts = steady()
    verdicts = Evaluation(of or site, facts or healthy_facts, known(), now=at).all()
    return Record(
        run=run_info(id=run, started=at, finished=at, now=at, exit=0), verdicts=tuple(verdicts)
    )


def look(
    facts: FactSet | None = None,
    of: Site | None = None,
    *,
    at: datetime = NOW,
    run: str = "A",
    version: str = "0.0",
) -> Finished:
    """The same run as a snapshot; `version` is gapcheck's own."""
    site, healthy_facts = steady()
    found = record(facts, of, at=at, run=run)
    sheets = sheets_of(of or site, facts or healthy_facts, known(), version=version)
    finished = Finished(found, sheets)
    finished.moment = type(finished.moment)(run=run, at=at, version=version)
    return finished


def run_row(finished: Finished, site: str = "example", **given: Any) -> Run:
    """The row that goes with a snapshot."""
    moment = finished.moment
    defaults: dict[str, Any] = {"front_end": "cli", "exit": 0, "counts": {"pass": 1}}
    return Run(
        site=site, id=moment.run, began=moment.at, version=moment.version, **{**defaults, **given}
    )
