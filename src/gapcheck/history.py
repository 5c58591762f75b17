"""The history: a SQLite file in the state folder, one row a run and one a verdict change.

Writing never decides a run: what hinders it is a HistoryError that the front end tells. A
damaged file is set aside under another name, and a new one begun.
"""

from __future__ import annotations

import fcntl
import os
import sqlite3
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Self

import msgspec

from gapcheck import history_rows as rows
from gapcheck.drift import Moment, State
from gapcheck.errors import DamagedHistory, HistoryError, UsageError
from gapcheck.fact_sheet import parse_sheet
from gapcheck.history_rows import Change, Run
from gapcheck.history_schema import SCHEMA, VERSION
from gapcheck.model import CheckId, SubjectId
from gapcheck.remembered import Finished
from gapcheck.state import private_folder

FILE = "history.db"
_WAIT_S = 30.0
_POLL_S = 0.05
_BROKEN = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_ERROR)


class _Foreign(Exception):
    """The file is a database, but not one of ours."""


def keep(root: Path, run: Run, finished: Finished, *, keep_days: int) -> tuple[str, ...]:
    """Write a finished run into the history below `root`; what a person should know of it.

    Raises HistoryError where it could not be written; then nothing of it was.
    """
    path = root / FILE
    try:
        private_folder(root)
    except UsageError as unusable:
        raise HistoryError(str(path), unusable.why, unusable.hint) from unusable
    try:
        return _keep_or_begin(path, run, finished, keep_days)
    except (sqlite3.DatabaseError, _Foreign) as bad:
        raise HistoryError(str(path), str(bad)) from bad
    except OSError as failed:
        raise HistoryError(str(path), str(failed.strerror)) from failed


def _keep_or_begin(path: Path, run: Run, finished: Finished, keep_days: int) -> tuple[str, ...]:
    """Keep the run, in a new history where the one that is there is damaged."""
    try:
        _keep(path, run, finished, keep_days)
    except (sqlite3.DatabaseError, _Foreign) as bad:
        if not _is_damaged(bad):
            raise
        aside = _set_aside(path, run.began)
        _keep(path, run, finished, keep_days)
        kept = f"it is kept as {aside}, a new one begins" if aside else "another run set it aside"
        return (f"the history {path} was damaged ({bad}); {kept}",)
    return ()


def _keep(path: Path, run: Run, finished: Finished, keep_days: int) -> None:
    with closing(_opened(path)) as db, _transaction(db):
        site = rows.site_id(db, run.site)
        seq = rows.add_run(db, site, run)
        words = rows.Words(db)
        rows.add_verdicts(db, (site, seq), finished, words)
        rows.add_measured(db, (site, seq), finished, words)
        rows.forget(db, site, before=run.began - timedelta(days=keep_days))


def _is_damaged(bad: Exception) -> bool:
    code = getattr(bad, "sqlite_errorcode", None)
    return isinstance(bad, _Foreign) or (code is not None and code & 0xFF in _BROKEN)


def _opened(path: Path) -> sqlite3.Connection:
    """The file, open to be written, with its tables; one process at a time makes them."""
    with _lock(path):
        db = sqlite3.connect(path, timeout=_WAIT_S, isolation_level=None)
        try:
            path.chmod(0o600)
            is_new = _is_empty(db, path)  # before anything is written into another's file
            db.execute("PRAGMA journal_mode = WAL")
            db.execute("PRAGMA synchronous = NORMAL")
            if is_new:
                db.executescript(f"BEGIN;{SCHEMA}PRAGMA user_version = {VERSION};COMMIT;")
        except BaseException:
            db.close()
            raise
    return db


def _is_empty(db: sqlite3.Connection, path: Path) -> bool:
    """Whether the tables are still to be made; raises where it is no file of this version."""
    found = db.execute("PRAGMA user_version").fetchone()[0]
    if found > VERSION:
        raise HistoryError(str(path), f"is of a newer gapcheck (version {found}, not {VERSION})")
    if found == VERSION:
        return False
    if db.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
        raise _Foreign("it holds tables of something else")
    return True


@contextmanager
def _transaction(db: sqlite3.Connection) -> Iterator[None]:
    """All or nothing, one writer at a time; others wait."""
    db.execute("BEGIN IMMEDIATE")
    try:
        yield
    except BaseException:
        if db.in_transaction:
            db.execute("ROLLBACK")
        raise
    db.execute("COMMIT")


@contextmanager
def _lock(path: Path) -> Iterator[None]:
    """The only process that opens or sets aside the history at `path`."""
    fd = os.open(path.with_suffix(".lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    ends_at = time.monotonic() + _WAIT_S
    try:
        while True:
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if time.monotonic() > ends_at:
                    raise
                time.sleep(_POLL_S)
            else:
                break
        yield
    finally:
        os.close(fd)


def _set_aside(path: Path, now: datetime) -> Path | None:
    """Move a damaged history, with what belongs to it, out of the way; its new name.

    None where another process has done so already.
    """
    base = path.with_name(f"history.damaged-{now:%Y%m%dT%H%M%SZ}.db")
    with _lock(path):
        aside, number = base, 1
        while aside.exists():
            aside, number = base.with_stem(f"{base.stem}-{number}"), number + 1
        if _is_sound(path):
            return None
        for ending in ("", "-wal", "-shm"):
            part = Path(f"{path}{ending}")
            if part.exists():
                part.rename(f"{aside}{ending}")
    return aside


def _is_sound(path: Path) -> bool:
    try:
        with closing(sqlite3.connect(path, timeout=_WAIT_S)) as db:
            said = db.execute("PRAGMA quick_check(1)").fetchone()[0]
            version = db.execute("PRAGMA user_version").fetchone()[0]
            db.execute("SELECT 1 FROM site, run, word, verdict, sheet, measured LIMIT 0")
    except sqlite3.DatabaseError:
        return False
    return bool(said == "ok" and version == VERSION)


class History:
    """The history, open to be read. Use as a context manager."""

    def __init__(self, root: Path) -> None:
        self.path = root / FILE
        self._db: sqlite3.Connection | None = None

    def __enter__(self) -> Self:
        if self.path.exists():
            with self._telling():
                self._db = _readable(self.path)
        return self

    def __exit__(self, *_: object) -> None:
        if self._db is not None:
            self._db.close()

    def sites(self) -> tuple[str, ...]:
        """Keys of the sites that have runs."""
        return tuple(key for (key,) in self._rows("SELECT key FROM site ORDER BY key"))

    def runs(self, site: str) -> tuple[Run, ...]:
        """The runs of a site that are still kept, oldest first."""
        sql = f"{_RUN} WHERE site.key = ? AND NOT run.forgotten ORDER BY run.seq"
        return tuple(rows.run_of(row) for row in self._rows(sql, site))

    def last(self, site: str) -> Run | None:
        """The newest run of a site; None where there is none."""
        sql = f"{_RUN} WHERE site.key = ? AND NOT run.forgotten ORDER BY run.seq DESC LIMIT 1"
        return next((rows.run_of(row) for row in self._rows(sql, site)), None)

    def changes(self, site: str, check: str, subject: str | None) -> tuple[Change, ...]:
        """Every change of a check's verdicts, by subject and then oldest first."""
        found = self._rows(rows.CHANGES, site, check, subject, subject)
        return tuple(rows.change_of(row) for row in found)

    def snapshot(self, run: Run) -> Recorded:
        """The run as it was recorded, to compare with."""
        site = self._rows("SELECT id FROM site WHERE key = ?", run.site)[0][0]
        return Recorded(self, site, run)

    def rows(self, sql: str, *given: object) -> list[Any]:
        """What a query finds; for `Recorded`."""
        return self._rows(sql, *given)

    def _rows(self, sql: str, *given: object) -> list[Any]:
        if self._db is None:
            return []
        with self._telling():
            return self._db.execute(sql, given).fetchall()

    @contextmanager
    def _telling(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.DatabaseError, _Foreign) as bad:
            if _is_damaged(bad):
                hint = "the next full gapcheck check keeps it aside and begins a new one"
                raise DamagedHistory(str(self.path), f"is damaged ({bad})", hint) from bad
            raise HistoryError(str(self.path), f"cannot be read: {bad}") from bad


_RUN = rows.RUNS


def _readable(path: Path) -> sqlite3.Connection | None:
    """The file, open to be read only, also where its folder cannot be written.

    None where its tables are still to be made.
    """
    db = sqlite3.connect(f"file:{_quoted(path)}?mode=ro", uri=True, timeout=_WAIT_S)
    try:
        is_new = _is_empty(db, path)
    except sqlite3.OperationalError:
        db.close()
        wal = Path(f"{path}-wal")
        if wal.exists() and wal.stat().st_size:
            raise
        # The log beside it cannot be made here; without one, the file is all there is.
        db = sqlite3.connect(f"file:{_quoted(path)}?immutable=1", uri=True)
        is_new = _is_empty(db, path)
    except BaseException:
        db.close()
        raise
    if is_new:
        db.close()
        return None
    return db


def _quoted(path: Path) -> str:
    from urllib.parse import quote

    return quote(str(path.absolute()))


class Recorded:
    """A recorded run, as `compare` reads it: one check at a time."""

    def __init__(self, history: History, site: int, run: Run) -> None:
        self.run = run
        self.moment = Moment(run=run.id, at=run.began, version=run.version)
        self._history = history
        self._site = site
        self.measured: Mapping[str, str] = dict(history.rows(rows.MEASURED_AT, site, run.seq))

    def checks(self) -> Sequence[CheckId]:
        """Every check that was ever judged of this site, up to this run."""
        found = self._history.rows(rows.CHECKS_AT, self._site, self.run.seq)
        return tuple(CheckId(check) for (check,) in found)

    def states(self, check: CheckId) -> Mapping[SubjectId, State]:
        """What `check` said, by subject."""
        found = self._history.rows(rows.STATES_AT, self._site, check, self.run.seq)
        return {row[0]: rows.state_of_row(row) for row in found if row[1]}

    def sheet(self, digest: str) -> Mapping[str, str]:
        """A fact sheet; {} for '' and for one that is no longer kept."""
        found = self._history.rows("SELECT content FROM sheet WHERE digest = ?", digest)
        return parse_sheet(rows.unpacked(found[0][0])) if found else {}

    def since(self, check: CheckId, subject: SubjectId) -> tuple[datetime, str] | None:
        """When the verdict began to be what it is at this run: good, bad, or unmeasured."""
        found = self._history.rows(rows.STORY_AT, self._site, check, subject, self.run.seq)
        if not found:
            return None
        kind = rows.kind_of(found[0][0])
        began = found[0]
        for row in found:
            if rows.kind_of(row[0]) != kind:
                break
            began = row
        return datetime.fromisoformat(began[1]), began[2]


def with_since(items: Iterable[Any], recorded: Recorded) -> Iterator[Any]:
    """Drift items with the time since when they are so, where the history says it."""
    for item in items:
        found = recorded.since(item.check, item.subject)
        if found is None:
            yield item
        else:
            yield msgspec.structs.replace(item, since=found[0], since_run=found[1])
