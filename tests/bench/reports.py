"""What presenting costs beyond judging: every report, the history, drift; 400,000 verdicts.

The reports as well of a site where no two machines and no two checks say the same.
"""

from __future__ import annotations

import resource
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

import msgspec
from bench.judging import many
from support.certs import NOW
from support.large_sites import distinct
from support.records import run_info

from gapcheck import audit
from gapcheck.certificate_life import certificate_lives
from gapcheck.comparison import compare
from gapcheck.engine import Evaluation
from gapcheck.fact_sheet import sheets_of
from gapcheck.fixtures.facts import Present
from gapcheck.history import History, keep
from gapcheck.history_rows import Run
from gapcheck.record import Record
from gapcheck.registry import catalogue
from gapcheck.remembered import Finished
from gapcheck.reports import terminal
from gapcheck.reports.writers import FORMATS, Wanted, write_all
from gapcheck.suite import describe

SITE = "bench"


def peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def timed(what: str, do: Callable[[], Any]) -> tuple[float, Any]:
    before, start = peak_mb(), time.perf_counter()
    found = do()
    seconds = time.perf_counter() - start
    print(f"  {what:<28} {seconds:5.2f} s, {peak_mb() - before:4.0f} MB more")
    return seconds, found


def written(record: Record, folder: Path) -> float:
    """Seconds that every report takes together, the terminal's as a file."""
    with (folder / "terminal").open("w", encoding="utf-8") as out:
        total = timed("terminal", lambda: terminal.write(record, out))[0]
    for name in FORMATS:
        wanted = [Wanted(name, str(folder / name))]
        total += timed(name, lambda wanted=wanted: write_all(record, wanted))[0]
    return total


def judged(of: Any, facts: Any, run: str, at: Any) -> tuple[Record, Any]:
    verdicts = tuple(Evaluation(of, facts, catalogue(), now=NOW).all())
    record = Record(
        run=run_info(id=run, started=at, finished=at, site=SITE),
        verdicts=verdicts,
        gaps=facts.gaps,
        catalogue=describe(verdict.check for verdict in verdicts),
        certificates=certificate_lives(facts),
    )
    return record, facts


def kept(record: Record) -> Run:
    run = record.run
    counts = {status.value: count for status, count in record.counts.items()}
    return Run(site=SITE, id=run.id, began=run.started, version=run.version, front_end="cli",
               exit=run.exit, counts=counts)  # fmt: skip


def changed(facts: Any) -> Any:
    """The same site a day later: one node in a hundred has another containerd configuration."""
    nodes = [subject for subject in facts.by_subject if subject.startswith("node/")]
    one: Any = facts.by_subject[nodes[1]]
    path = "/etc/containerd/config.toml"
    file = msgspec.structs.replace(one.files[path].value, sha256="0" * 64)
    edited = msgspec.structs.replace(one, files={**one.files, path: Present(file)})
    by_subject = {**facts.by_subject, **dict.fromkeys(nodes[1::100], edited)}
    return msgspec.structs.replace(facts, by_subject=by_subject)


def main(count: int) -> None:
    of, facts = many(count)
    start = time.perf_counter()
    record, _ = judged(of, facts, "A", NOW)
    judging = time.perf_counter() - start
    print(f"reports of {len(record.verdicts)} verdicts, judged in {judging:.1f} s:")
    base = peak_mb()
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        total = written(record, folder)
        print(f"all reports: {total:.1f} s, {total / judging:.1f}x of judging,"
              f" {peak_mb() - base:.0f} MB more")  # fmt: skip
        unlike = distinct(count // 2, 40)
        base = peak_mb()
        print(f"reports of {len(unlike.verdicts)} verdicts that are all unlike:")
        total = written(unlike, folder)
        print(f"all reports: {total:.1f} s (aim 10), {peak_mb() - base:.0f} MB more (aim 300)")
        one = sheets(of, facts, record)
        timed("history, first run", lambda: keep(folder, kept(record), one, keep_days=400))
        timed("history, the same again", lambda: keep(
            folder, kept(msgspec.structs.replace(record, run=run_info(id="B"))), one, keep_days=400
        ))  # fmt: skip
        later, facts = judged(of, changed(facts), "C", NOW + timedelta(days=1))
        two = sheets(of, facts, later)
        seconds = 0.0
        with History(folder) as history:
            before = audit.reference(history, SITE, None)
            assert before is not None
            seconds, drift = timed("drift since the last run", lambda: compare(before, two))
        timed("history, 1 % changed", lambda: keep(folder, kept(later), two, keep_days=400))
        size = (folder / "history.db").stat().st_size / 2**20
        print(f"drift: {seconds:.1f} s, {seconds / judging:.1f}x of judging, {drift.counts};"
              f" history {size:.0f} MB")  # fmt: skip


def sheets(of: Any, facts: Any, record: Record) -> Finished:
    _, found = timed("fact sheets", lambda: sheets_of(of, facts, catalogue(), version="0"))
    return Finished(record, found)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 20_000)
