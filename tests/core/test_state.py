"""The state folder is found by one rule, and is its owner's alone."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from gapcheck.errors import UsageError
from gapcheck.remediations.journal import Entry, Journal
from gapcheck.remediations.runs import list_runs
from gapcheck.state import State, private_folder, state_folder


@pytest.mark.parametrize(
    ("environ", "uid", "expected"),
    [
        ({"GAPCHECK_STATE": "/s", "HOME": "/h"}, 0, "/s"),
        ({"HOME": "/root", "XDG_STATE_HOME": "/x"}, 0, "/var/lib/gapcheck"),
        ({"HOME": "/h", "XDG_STATE_HOME": "/x"}, 1000, "/x/gapcheck"),
        ({"HOME": "/h", "XDG_STATE_HOME": "relative"}, 1000, "/h/.local/state/gapcheck"),
        ({"HOME": "/h"}, 1000, "/h/.local/state/gapcheck"),
    ],
    ids=["named", "root", "xdg", "relative xdg", "home"],
)
def test_the_folder_is_found_by_one_rule(environ: dict[str, str], uid: int, expected: str) -> None:
    assert state_folder(environ, uid=uid) == Path(expected)


def test_a_folder_that_others_could_read_is_closed(tmp_path: Path) -> None:
    open_folder = tmp_path / "state"
    open_folder.mkdir(mode=0o755)

    private_folder(open_folder)

    assert open_folder.stat().st_mode & 0o777 == 0o700


def test_a_folder_that_cannot_be_made_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")

    with pytest.raises(UsageError, match="cannot be used: Not a directory"):
        private_folder(tmp_path / "file/state")


@pytest.mark.parametrize("odd", ["", "../other", "a/b", ".hidden", "x" * 200])
def test_a_name_that_is_no_run_never_becomes_a_path(tmp_path: Path, odd: str) -> None:
    with pytest.raises(UsageError, match="is not a run"):
        State(tmp_path).run_folder(odd)


def test_runs_are_those_with_a_journal_oldest_first(tmp_path: Path) -> None:
    state = State(tmp_path / "state")
    assert state.runs() == ()
    for name in ("20260102", "20260101"):
        (state.new_run(name) / "journal.jsonl").write_bytes(b"")
    state.new_run("20250101")

    assert state.runs() == ("20260101", "20260102")
    with pytest.raises(UsageError, match="there is no run 1999"):
        state.known("1999")


def begun(state: State, name: str, at: datetime) -> None:
    journal = Journal(state.new_run(name), clock=lambda: at)
    journal.append(Entry(step="begin", run=name))
    journal.close()


def test_runs_of_one_second_are_in_the_order_in_which_they_began(tmp_path: Path) -> None:
    state = State(tmp_path / "state")
    second = datetime(2026, 1, 1, 12, 0, 7, tzinfo=UTC)
    names = [f"20260101T120007Z-{end}" for end in ("ffffff", "0", "undo-ffffff-aa", "7")]
    for number, name in enumerate(names):
        begun(state, name, second + timedelta(microseconds=100 * number))

    assert state.runs() == tuple(names)
    assert [each.id for each in list_runs(state)] == names


def test_a_run_that_was_asked_for_earlier_and_wrote_later_is_the_later_one(tmp_path: Path) -> None:
    state = State(tmp_path / "state")
    begun(state, "20260101T120000Z-slow", datetime(2026, 1, 1, 12, 9, tzinfo=UTC))
    begun(state, "20260101T120500Z-fast", datetime(2026, 1, 1, 12, 6, tzinfo=UTC))

    assert state.runs() == ("20260101T120500Z-fast", "20260101T120000Z-slow")


def test_journals_of_whole_seconds_are_in_the_order_of_their_files(tmp_path: Path) -> None:
    state = State(tmp_path / "state")
    for number, name in enumerate(("20260101T120000Z-b", "20260101T120000Z-a")):
        path = state.new_run(name) / "journal.jsonl"
        path.write_text('{"step":"begin","at":"2026-01-01T12:00:00+00:00"}\n')
        os.utime(path, ns=(0, number))

    assert state.runs() == ("20260101T120000Z-b", "20260101T120000Z-a")


def test_a_damaged_journal_stands_where_its_name_says(tmp_path: Path) -> None:
    state = State(tmp_path / "state")
    for minute in (1, 3):
        begun(state, f"20260101T120{minute}00Z-a", datetime(2026, 1, 1, 12, minute, tzinfo=UTC))
    (state.new_run("20260101T120200Z-a") / "journal.jsonl").write_bytes(b"\xff\n[1]\n")

    assert [each[11:13] for each in state.runs()] == ["01", "02", "03"]
