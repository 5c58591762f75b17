"""A baseline keeps one look at a site, whole, in a file that others can read."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import msgspec
import pytest
from support.certs import NOW
from support.healthy import with_file
from support.looks import look, steady

from gapcheck.baseline import Accepted, baseline_of, encode_baseline, read_baseline, write_baseline
from gapcheck.comparison import compare
from gapcheck.errors import HistoryError

LATER = NOW + timedelta(days=1)
CONFLICT = b"127.0.0.1 localhost\n10.0.0.2 registry.local\n10.9.9.9 registry.local\n"


def written(path: Path, finished: object = None, reason: str = "reviewed") -> Path:
    snapshot = look() if finished is None else finished
    write_baseline(
        path,
        baseline_of(snapshot, site="example", reason=reason, accepted=NOW),  # type: ignore[arg-type] # a snapshot
    )
    return path


def test_a_look_that_was_accepted_compares_as_the_look_itself(tmp_path: Path) -> None:
    facts = with_file(steady()[1], "node/debian", "/etc/hosts", CONFLICT)
    path = written(tmp_path / "accepted.json", look(facts))
    accepted = Accepted(read_baseline(path), path=str(path))

    same = compare(accepted, look(facts, at=LATER, run="B"))
    assert not same.found
    assert same.counts == compare(look(facts), look(facts, at=LATER, run="B")).counts
    assert compare(accepted, look(at=LATER, run="B")).counts["resolved"] > 0
    assert accepted.moment.baseline == str(path)


def test_reason_and_run_are_in_the_file(tmp_path: Path) -> None:
    baseline = read_baseline(written(tmp_path / "b.json", reason="after the upgrade"))
    assert (baseline.reason, baseline.run, baseline.site) == ("after the upgrade", "A", "example")


def test_equal_looks_give_equal_bytes() -> None:
    one, two = (
        encode_baseline(baseline_of(look(), site="s", reason="r", accepted=NOW)) for _ in range(2)
    )
    assert one == two


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "is not a baseline"),
        (b"[1, 2]", "is not a baseline"),
        (b'{"schema": "gapcheck/1"}', "is not a baseline: its schema is 'gapcheck/1'"),
        (b'{"schema": "gapcheck-baseline/9"}', "reads gapcheck-baseline/1"),
        (b'{"schema": "gapcheck-baseline/1"}', "is not a baseline: Object missing"),
    ],
)
def test_a_file_that_is_no_baseline_is_said_and_left(
    content: bytes, said: str, tmp_path: Path
) -> None:
    path = tmp_path / "b.json"
    path.write_bytes(content)
    with pytest.raises(HistoryError, match=said):
        read_baseline(path)
    assert path.read_bytes() == content


def test_a_file_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(HistoryError, match="No such file"):
        read_baseline(tmp_path / "none.json")


def test_a_folder_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(HistoryError, match="Not a directory"):
        written(tmp_path / "file/b.json")


def test_facts_of_a_baseline_are_digests_and_never_contents(tmp_path: Path) -> None:
    facts = with_file(steady()[1], "node/debian", "/etc/hosts", b"10.9.9.9 very-own-name\n")
    text = written(tmp_path / "b.json", look(facts)).read_text()
    assert "very-own-name" not in text
    assert msgspec.json.decode(text.encode())["sheets"]
