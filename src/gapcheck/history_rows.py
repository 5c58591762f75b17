"""Rows of the history: what is written for a run, and how rows are read back."""

from __future__ import annotations

import sqlite3
import zlib
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec

from gapcheck.drift import State
from gapcheck.fact_sheet import encode_sheet
from gapcheck.model import Cause, Severity, Status, SubjectId
from gapcheck.remembered import Finished, plain_state, storable

Place = tuple[int, int]

RUNS = (
    "SELECT run.seq, site.key, run.id, run.began, run.version, run.front_end, run.fix, run.exit,"
    " run.counts, run.gaps FROM run JOIN site ON site.id = run.site"
)
# With max(), SQLite takes the other columns from the row that holds the maximum.
STATES_AT = (
    "SELECT word.text, status, severity, loci, more, max(seq) FROM verdict"
    " JOIN word ON word.id = subject WHERE site = ?"
    " AND check_id = (SELECT id FROM word WHERE text = ?) AND seq <= ? GROUP BY subject"
)
CHECKS_AT = (
    "SELECT text FROM word WHERE id IN"
    " (SELECT DISTINCT check_id FROM verdict WHERE site = ? AND seq <= ?) ORDER BY text"
)
MEASURED_AT = (
    "SELECT text, sheet FROM (SELECT subject, sheet, max(seq) FROM measured"
    " WHERE site = ? AND seq <= ? GROUP BY subject) JOIN word ON word.id = subject"
    " WHERE sheet IS NOT NULL"
)
STORY_AT = (
    "SELECT status, run.began, run.id FROM verdict JOIN run ON run.seq = verdict.seq"
    " WHERE verdict.site = ? AND check_id = (SELECT id FROM word WHERE text = ?)"
    " AND subject = (SELECT id FROM word WHERE text = ?) AND verdict.seq <= ?"
    " ORDER BY verdict.seq DESC"
)
CHANGES = (
    "SELECT subject.text, run.id, run.began, status, severity, more FROM verdict"
    " JOIN site ON site.id = verdict.site JOIN run ON run.seq = verdict.seq"
    " JOIN word AS subject ON subject.id = verdict.subject WHERE site.key = ?"
    " AND check_id = (SELECT id FROM word WHERE text = ?)"
    " AND (? IS NULL OR subject.text = ?) ORDER BY subject.text, verdict.seq"
)
_BAD = (Status.FAIL, Status.WARN)
_GOOD = (Status.PASS, Status.WAIVED)


class Run(msgspec.Struct, frozen=True, kw_only=True):
    """A run as it is kept. `counts` are verdicts by status, `seq` its place, 0 = not yet."""

    site: str
    id: str
    began: datetime
    version: str
    front_end: str
    exit: int
    counts: dict[str, int]
    gaps: int = 0
    fix: bool = False
    seq: int = 0


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """One change of one verdict; `status` is '' where it was no longer given."""

    subject: SubjectId
    run: str
    began: datetime
    status: str
    severity: str
    said: str


class More(msgspec.Struct, frozen=True, omit_defaults=True):
    """What is kept of a verdict beside its status."""

    said: str = ""
    named: tuple[str, ...] = ()
    roots: tuple[Cause, ...] = ()


_more = msgspec.json.Decoder(More)
_texts = msgspec.json.Decoder(tuple[str, ...])


class Words:
    """Checks and subjects by number; a new one is added where it is first met."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db
        self._known: dict[str, int] = dict(db.execute("SELECT text, id FROM word"))

    def number(self, text: str) -> int:
        """The number of `text`."""
        found = self._known.get(text)
        if found is None:
            cursor = self._db.execute("INSERT INTO word (text) VALUES (?)", (text,))
            assert cursor.lastrowid is not None
            found = self._known[text] = cursor.lastrowid
        return found


def site_id(db: sqlite3.Connection, key: str) -> int:
    """The number of a site, made where it is new."""
    db.execute("INSERT OR IGNORE INTO site (key) VALUES (?)", (key,))
    found: int = db.execute("SELECT id FROM site WHERE key = ?", (key,)).fetchone()[0]
    return found


def add_run(db: sqlite3.Connection, site: int, run: Run) -> int:
    """Add a run; its place among all runs."""
    cursor = db.execute(
        "INSERT INTO run (site, id, began, version, front_end, fix, exit, counts, gaps)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            site, run.id, run.began.isoformat(), run.version, run.front_end, int(run.fix),
            run.exit, msgspec.json.encode(run.counts).decode(), run.gaps,
        ),
    )  # fmt: skip
    assert cursor.lastrowid is not None
    return cursor.lastrowid


def add_verdicts(db: sqlite3.Connection, place: Place, finished: Finished, words: Words) -> None:
    """A row for each verdict that is not as it was; only one check is held at a time."""
    site, seq = place
    judged = set()
    for check in finished.checks():
        number = words.number(check)
        judged.add(number)
        old = _current(db, site, number)
        changed = list(_changed(finished.states(check), old, words))
        _insert(db, (site, number, seq), changed)
        _insert(db, (site, number, seq), _gone(old))
    every = db.execute("SELECT DISTINCT check_id FROM verdict WHERE site = ?", (site,)).fetchall()
    for (number,) in every:
        if number not in judged:
            _insert(db, (site, number, seq), _gone(_current(db, site, number)))


_Row = tuple[int, str, str, str | None, str | None]
_Old = dict[int, tuple[str, str, str | None]]


def _current(db: sqlite3.Connection, site: int, check: int) -> _Old:
    found = db.execute(
        "SELECT subject, status, severity, loci, max(seq) FROM verdict"
        " WHERE site = ? AND check_id = ? GROUP BY subject",
        (site, check),
    )
    return {row[0]: (row[1], row[2], row[3]) for row in found}


def _gone(old: _Old) -> list[_Row]:
    """Rows that say of every verdict which is left in `old` that it is given no more."""
    return [(subject, "", "", None, None) for subject, (status, _, _) in old.items() if status]


def _changed(states: Mapping[SubjectId, State], old: _Old, words: Words) -> Iterator[_Row]:
    """Rows of the verdicts that differ; each that was found is taken out of `old`."""
    for subject, state in states.items():
        number = words.number(storable(subject))
        key = (state.status.value, state.severity.value, _loci(state))
        if old.pop(number, None) != key:
            yield (number, *key, _more_of(state))


def _insert(db: sqlite3.Connection, place: tuple[int, int, int], found: Sequence[_Row]) -> None:
    db.executemany(
        "INSERT INTO verdict (site, check_id, seq, subject, status, severity, loci, more)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        ((*place, *each) for each in found),
    )


def _loci(state: State) -> str | None:
    return msgspec.json.encode(state.loci).decode() if state.loci else None


def _more_of(state: State) -> str | None:
    if not (state.said or state.named or state.roots):
        return None
    return msgspec.json.encode(More(state.said, state.named, state.roots)).decode()


def add_measured(db: sqlite3.Connection, place: Place, finished: Finished, words: Words) -> None:
    """A row for each subject whose fact sheet is another one; each sheet is kept once."""
    site, _ = place
    old = dict(
        db.execute(
            "SELECT subject, sheet FROM (SELECT subject, sheet, max(seq) FROM measured"
            " WHERE site = ? GROUP BY subject)",
            (site,),
        )
    )
    found: list[tuple[int, str | None]] = []
    needed: set[str] = set()
    for subject, digest in finished.measured.items():
        number = words.number(storable(subject))
        if number not in old or old[number] != digest:
            found.append((number, digest))
            needed.add(digest)
        old.pop(number, None)
    found += [(number, None) for number, digest in old.items() if digest is not None]
    db.executemany(
        "INSERT INTO measured (site, seq, subject, sheet) VALUES (?, ?, ?, ?)",
        ((*place, *each) for each in found),
    )
    db.executemany(
        "INSERT OR IGNORE INTO sheet (digest, content) VALUES (?, ?)",
        (
            (digest, zlib.compress(encode_sheet(finished.sheet(digest))))
            for digest in sorted(needed - {""})
        ),
    )


def forget(db: sqlite3.Connection, site: int, *, before: datetime) -> None:
    """Forget runs that began before the day of `before`, but never the state they left.

    The newest row of each verdict and sheet that is older stays: it still says since when.
    """
    day = before.date().isoformat()
    old = db.execute(
        "SELECT max(seq) FROM run WHERE site = ? AND began < ? AND NOT forgotten", (site, day)
    ).fetchone()[0]
    if old is None:
        return
    kept = db.execute(
        "SELECT min(seq) FROM run WHERE site = ? AND seq > ?", (site, old)
    ).fetchone()[0]
    if kept is None:
        return
    for table, key in (("verdict", ("check_id", "subject")), ("measured", ("subject",))):
        same = " AND ".join(f"later.{name} = {table}.{name}" for name in key)
        db.execute(
            f"DELETE FROM {table} WHERE site = ? AND seq < ? AND EXISTS (SELECT 1 FROM {table}"  # noqa: S608 - constant names
            f" AS later WHERE later.site = {table}.site AND {same}"
            f" AND later.seq > {table}.seq AND later.seq <= ?)",
            (site, kept, kept),
        )
    db.execute("UPDATE run SET forgotten = 1 WHERE site = ? AND seq <= ?", (site, old))
    db.execute(
        "DELETE FROM run WHERE site = ? AND forgotten AND seq NOT IN"
        " (SELECT seq FROM verdict UNION SELECT seq FROM measured)",
        (site,),
    )
    db.execute(
        "DELETE FROM sheet WHERE digest NOT IN (SELECT sheet FROM measured WHERE sheet > '')"
    )


def run_of(row: Any) -> Run:  # noqa: ANN401 - a row of RUNS
    """A run as it was kept."""
    return Run(
        seq=row[0], site=row[1], id=row[2], began=datetime.fromisoformat(row[3]), version=row[4],
        front_end=row[5], fix=bool(row[6]), exit=row[7],
        counts=msgspec.json.decode(row[8], type=dict[str, int]), gaps=row[9],
    )  # fmt: skip


def change_of(row: Any) -> Change:  # noqa: ANN401 - a row of CHANGES
    """A change as it was kept."""
    return Change(
        subject=SubjectId(row[0]), run=row[1], began=datetime.fromisoformat(row[2]),
        status=row[3], severity=row[4], said=_more.decode(row[5]).said if row[5] else "",
    )  # fmt: skip


def state_of_row(row: Any) -> State:  # noqa: ANN401 - a row of STATES_AT
    """A state as it was kept."""
    _, status, severity, loci, more, _ = row
    if loci is None and more is None:
        return plain_state(Status(status), Severity(severity))
    told = _more.decode(more) if more else More()
    return State(
        status=Status(status),
        severity=Severity(severity),
        loci=_texts.decode(loci) if loci else (),
        said=told.said,
        named=told.named,
        roots=told.roots,
    )


def unpacked(content: bytes) -> bytes:
    """A sheet as it was before it was packed."""
    return zlib.decompress(content)


def kind_of(status: str) -> str:
    """Good, bad or unmeasured: what a story is told by."""
    if status in _BAD:
        return "bad"
    return "good" if status in _GOOD else "unmeasured"
