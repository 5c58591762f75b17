"""The history as real SQLite files: what is kept, who else writes, and what may go wrong."""

from __future__ import annotations

import os
import resource
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from support.certs import NOW
from support.healthy import with_file
from support.looks import look, run_row, steady

from gapcheck.comparison import compare
from gapcheck.errors import HistoryError
from gapcheck.history import FILE, History, keep, with_since
from gapcheck.model import CheckId, SubjectId
from gapcheck.remembered import Finished

HOSTS = "/etc/hosts"
CONFLICT = b"127.0.0.1 localhost\n10.0.0.2 registry.local\n10.9.9.9 registry.local\n"
CHECK, NODE = CheckId("DNS-HOSTS-001"), SubjectId("node/debian")
SUPPORT = Path(__file__).parents[1]


def good(run: str, day: int = 0) -> Finished:
    return look(at=NOW + timedelta(days=day), run=run)


def bad(run: str, day: int = 0) -> Finished:
    facts = with_file(steady()[1], "node/debian", HOSTS, CONFLICT)
    return look(facts, at=NOW + timedelta(days=day), run=run)


def kept(root: Path, *finished: Finished, days: int = 400) -> None:
    for each in finished:
        assert keep(root, run_row(each), each, keep_days=days) == ()


def rows(root: Path, sql: str) -> list[Any]:
    with closing(sqlite3.connect(root / FILE)) as db:
        return db.execute(sql).fetchall()


def test_a_verdict_is_written_only_when_it_changes(tmp_path: Path) -> None:
    kept(tmp_path, good("A"), good("B"))
    assert rows(tmp_path, "SELECT count(*) FROM run") == [(2,)]
    assert rows(tmp_path, "SELECT DISTINCT seq FROM verdict") == [(1,)]
    assert rows(tmp_path, "SELECT DISTINCT seq FROM measured") == [(1,)]

    kept(tmp_path, bad("C"))
    changed = rows(tmp_path, "SELECT text FROM verdict JOIN word ON id = check_id WHERE seq = 3")
    assert ("DNS-HOSTS-001",) in changed
    assert len(changed) < 5


def test_numbers_that_change_every_day_are_no_change_of_a_verdict(tmp_path: Path) -> None:
    kept(tmp_path, good("A", 350), good("B", 351))  # "expires in 15 days", "in 14 days"
    assert rows(tmp_path, "SELECT DISTINCT seq FROM verdict") == [(1,)]


def test_every_run_can_be_compared_with_as_it_was(tmp_path: Path) -> None:
    kept(tmp_path, good("A"), bad("B"), good("C"))
    with History(tmp_path) as history:
        first, second, third = (history.snapshot(run) for run in history.runs("example"))
        assert not compare(first, third).found
        assert not compare(good("x"), third).found
        assert not compare(bad("x"), second).found
        found = {item.check for item in compare(first, second).of("new")}
        assert "DNS-HOSTS-001" in found
        assert (
            second.sheet(second.measured[NODE])["file /etc/hosts"]
            != (first.sheet(first.measured[NODE])["file /etc/hosts"])
        )


def test_since_when_is_the_run_that_first_saw_it_so(tmp_path: Path) -> None:
    kept(tmp_path, good("A", 1), bad("B", 2), bad("C", 3), bad("D", 4))
    with History(tmp_path) as history:
        last = history.snapshot(history.runs("example")[-1])
        assert last.since(CHECK, NODE) == (NOW + timedelta(days=2), "B")
        drift = compare(history.snapshot(history.runs("example")[-2]), last)
        dated = {item.check: item.since_run for item in with_since(drift.items, last)}
        assert dated["DNS-HOSTS-001"] == "B"


def test_the_story_of_a_verdict_holds_each_change_with_its_words(tmp_path: Path) -> None:
    kept(tmp_path, good("A"), bad("B"), good("C"))
    with History(tmp_path) as history:
        story = history.changes("example", CHECK, NODE)
        assert [(each.run, each.status) for each in story] == [
            ("A", "pass"), ("B", "fail"), ("C", "pass"),
        ]  # fmt: skip
        assert "10.9.9.9" in story[1].said
        assert {each.subject for each in history.changes("example", CHECK, None)} == {
            "node/debian", "node/rhel",
        }  # fmt: skip


def test_sites_are_kept_apart(tmp_path: Path) -> None:
    one, two = good("A"), bad("B")
    keep(tmp_path, run_row(one, "one"), one, keep_days=9)
    keep(tmp_path, run_row(two, "two"), two, keep_days=9)
    with History(tmp_path) as history:
        assert history.sites() == ("one", "two")
        assert [run.id for run in history.runs("one")] == ["A"]
        assert not compare(good("x"), history.snapshot(history.runs("one")[0])).found


def test_what_is_no_longer_judged_is_not_in_a_later_look(tmp_path: Path) -> None:
    later = bad("B")
    later._by_check.pop(CHECK)
    kept(tmp_path, good("A"), later)
    with History(tmp_path) as history:
        last = history.snapshot(history.runs("example")[-1])
        assert last.states(CHECK) == {}
        assert history.changes("example", CHECK, NODE)[-1].status == ""


def test_old_runs_are_forgotten_but_never_the_state_they_left(tmp_path: Path) -> None:
    kept(tmp_path, good("A", 0), bad("B", 1), bad("C", 2), good("D", 40), days=30)
    with History(tmp_path) as history:
        assert [run.id for run in history.runs("example")] == ["D"]
        assert not compare(good("x"), history.snapshot(history.runs("example")[0])).found
    assert rows(tmp_path, "SELECT count(*) FROM verdict WHERE seq = 2") == [(0,)]  # B's failures

    kept(tmp_path, bad("E", 41), bad("F", 42), days=30)
    with History(tmp_path) as history:
        assert [run.id for run in history.runs("example")] == ["D", "E", "F"]
        last = history.snapshot(history.runs("example")[-1])
        # A passed before anything that is kept: since when is still known.
        assert last.since(CheckId("CERT-SAN-001"), SubjectId("registry")) == (NOW, "A")
    needed = rows(tmp_path, "SELECT count(DISTINCT sheet) FROM measured WHERE sheet > ''")
    assert rows(tmp_path, "SELECT count(*) FROM sheet") == needed


WRITER = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from support.looks import look, run_row
from gapcheck.history import keep
found = look()
for number in range(12):
    run = f"{sys.argv[3]}-{number}"
    found.moment = type(found.moment)(run=run, at=found.moment.at, version="0")
    assert keep(Path(sys.argv[2]), run_row(found), found, keep_days=400) == ()
"""


def test_two_processes_that_write_at_once_lose_nothing(tmp_path: Path) -> None:
    root = tmp_path / "state"
    processes = [
        subprocess.Popen([sys.executable, "-c", WRITER, SUPPORT, root, name]) for name in "ab"
    ]
    assert [each.wait(timeout=60) for each in processes] == [0, 0]
    assert rows(root, "SELECT count(*) FROM run") == [(24,)]
    assert rows(root, "PRAGMA integrity_check") == [("ok",)]
    assert list(root.glob("history.damaged*")) == []
    # Both began with the same healthy site: each verdict was written once, by one of them.
    twice = "SELECT 1 FROM verdict GROUP BY check_id, subject HAVING count(*) > 1"
    assert rows(root, twice) == []


def overwrite(path: Path) -> None:
    path.write_bytes(b"precious, but no database " * 99)


def cut_off(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def other_tables(path: Path) -> None:
    path.unlink()
    with closing(sqlite3.connect(path)) as db:
        db.execute("CREATE TABLE mine (precious TEXT)")


def lost_table(path: Path) -> None:
    with closing(sqlite3.connect(path)) as db:
        db.execute("DROP TABLE measured")


@pytest.mark.parametrize("damage", [overwrite, cut_off, other_tables, lost_table])
def test_a_damaged_history_is_said_kept_aside_and_begun_anew(damage: Any, tmp_path: Path) -> None:
    kept(tmp_path, *(look(run=f"{n}") for n in range(3)), bad("B"))
    damage(tmp_path / FILE)
    before = (tmp_path / FILE).read_bytes()

    later = good("C")
    notes = keep(tmp_path, run_row(later), later, keep_days=400)

    aside = list(tmp_path.glob("history.damaged-*.db"))
    assert len(aside) == len(notes) == 1
    assert "was damaged" in notes[0]
    assert str(aside[0]) in notes[0]
    assert aside[0].read_bytes() == before
    with History(tmp_path) as history:
        assert [run.id for run in history.runs("example")] == ["C"]
    kept(tmp_path, good("D"))  # and nothing more is said


def test_a_second_damaged_history_does_not_replace_the_first(tmp_path: Path) -> None:
    for run in ("A", "B"):
        (tmp_path / FILE).write_bytes(b"not a database: " + run.encode() * 4000)
        keep(tmp_path, run_row(good(run)), good(run), keep_days=400)
    contents = {each.read_bytes()[16:17] for each in tmp_path.glob("history.damaged-*.db")}
    assert contents == {b"A", b"B"}


def test_a_damaged_history_is_said_to_who_reads_it(tmp_path: Path) -> None:
    overwrite(tmp_path / FILE)
    with pytest.raises(HistoryError, match="is damaged"), History(tmp_path):
        pass


def test_a_history_of_a_newer_version_is_left_alone(tmp_path: Path) -> None:
    kept(tmp_path, good("A"))
    with closing(sqlite3.connect(tmp_path / FILE)) as db:
        db.execute("PRAGMA user_version = 99")
    before = (tmp_path / FILE).read_bytes()

    with pytest.raises(HistoryError, match="newer gapcheck"):
        kept(tmp_path, good("B"))
    with pytest.raises(HistoryError, match="newer gapcheck"), History(tmp_path):
        pass
    assert (tmp_path / FILE).read_bytes() == before
    assert list(tmp_path.glob("history.damaged*")) == []


def test_a_full_disk_leaves_the_history_as_it_was(tmp_path: Path) -> None:
    kept(tmp_path, good("A"))
    size = (tmp_path / FILE).stat().st_size
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size // 4, limits[1]))
    try:
        with pytest.raises(HistoryError):
            kept(tmp_path, bad("B"))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert list(tmp_path.glob("history.damaged*")) == []
    kept(tmp_path, good("C"))
    with History(tmp_path) as history:
        assert [run.id for run in history.runs("example")] == ["A", "C"]


@contextmanager
def somebody_else() -> Iterator[None]:
    """As a user who is not root, whom modes bind."""
    if os.geteuid():
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


def test_a_folder_that_cannot_be_written_can_still_be_read() -> None:
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        root.chmod(0o755)
        if os.geteuid() == 0:
            os.chown(root, 65534, 65534)
        with somebody_else():
            kept(root, good("A"), bad("B"))
            root.chmod(0o500)
            (root / FILE).chmod(0o400)
            try:
                with pytest.raises(HistoryError):
                    keep(root, run_row(good("C")), good("C"), keep_days=400)
                with History(root) as history:
                    assert [run.id for run in history.runs("example")] == ["A", "B"]
            finally:
                root.chmod(0o700)


def test_a_state_folder_that_cannot_be_made_is_an_error_of_the_history(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(HistoryError, match="Not a directory"):
        keep(tmp_path / "file/state", run_row(good("A")), good("A"), keep_days=400)


def test_without_a_history_there_are_no_runs(tmp_path: Path) -> None:
    with History(tmp_path / "nowhere") as history:
        assert history.sites() == history.runs("example") == ()
        assert history.last("example") is None
    assert list(tmp_path.iterdir()) == []


def test_a_history_whose_tables_are_still_to_be_made_is_no_damage(tmp_path: Path) -> None:
    (tmp_path / FILE).write_bytes(b"")
    with History(tmp_path) as history:
        assert history.runs("example") == ()
    kept(tmp_path, good("A"))
    assert list(tmp_path.glob("history.damaged*")) == []


def test_a_folder_in_the_place_of_the_file_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / FILE).mkdir()
    with pytest.raises(HistoryError):
        kept(tmp_path, good("A"))
    with pytest.raises(HistoryError), History(tmp_path):
        pass
    assert (tmp_path / FILE).is_dir()


def test_the_history_is_its_owners_alone(tmp_path: Path) -> None:
    kept(tmp_path, good("A"))
    assert (tmp_path / FILE).stat().st_mode & 0o777 == 0o600
    assert rows(tmp_path, "PRAGMA journal_mode") == [("wal",)]
