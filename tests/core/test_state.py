"""The state folder is found by one rule, and is its owner's alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from gapcheck.errors import UsageError
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
