"""Places are worked on at a time, never more than allowed, and told in the order of their names."""

from __future__ import annotations

import _thread
import threading
import time
from concurrent.futures import Future
from pathlib import Path

import pytest
from support.certs import NOW
from support.places import Places, holder, places, plan_of, sha, snapshot

from gapcheck.errors import LockHeld, RepairFailed
from gapcheck.model import SubjectId
from gapcheck.remediations.apply import Applier
from gapcheck.remediations.journal import Entry, Journal, read_journal
from gapcheck.remediations.lock import FolderLocks
from gapcheck.remediations.machines.base import Machine
from gapcheck.remediations.plan import EditBlock, Plan, RemoveFile
from gapcheck.remediations.side_by_side import side_by_side
from gapcheck.state import State

NODES = tuple(SubjectId(f"node/n{number}") for number in range(4))


def test_work_overlaps_and_outcomes_keep_the_order() -> None:
    meet = threading.Barrier(3, timeout=10)

    def work(name: str) -> str:
        meet.wait()
        if name == "b":
            raise RepairFailed(name, "broken")
        return name.upper()

    done = side_by_side("abc", work, parallel=3)

    assert list(done) == ["a", "b", "c"]
    assert (done["a"].result(), done["c"].result()) == ("A", "C")
    assert isinstance(done["b"].exception(), RepairFailed)


def test_no_more_than_allowed_are_under_way() -> None:
    now, most, one = set(), [0], threading.Lock()

    def work(number: int) -> None:
        with one:
            now.add(number)
            most[0] = max(most[0], len(now))
        time.sleep(0.01)
        with one:
            now.discard(number)

    side_by_side(range(20), work, parallel=3)
    assert most == [3]


def test_one_at_a_time_stays_in_the_calling_thread() -> None:
    def work(_: int) -> int:
        return threading.get_ident()

    here: dict[int, Future[int]] = side_by_side((1, 2), work, parallel=1)
    assert {each.result() for each in here.values()} == {threading.get_ident()}


def test_an_interrupt_waits_for_what_was_begun_and_drops_the_rest() -> None:
    begun, ended = [], []

    def work(number: int) -> None:
        begun.append(number)
        if number == 1:
            _thread.interrupt_main()
        time.sleep(1)
        ended.append(number)

    with pytest.raises(KeyboardInterrupt):
        side_by_side(range(10), work, parallel=2)
    time.sleep(0.3)
    assert sorted(begun) == sorted(ended) == [0, 1]


def test_a_closed_journal_takes_no_entry(tmp_path: Path) -> None:
    journal = Journal(State(tmp_path).new_run("run-1"), clock=lambda: NOW)
    journal.append(Entry(step="begin"))
    journal.close()
    with pytest.raises(ValueError, match="is closed"):
        journal.append(Entry(step="end"))
    assert [each.step for each in read_journal(journal.folder)] == ["begin"]


def test_a_journal_of_many_threads_holds_whole_lines(tmp_path: Path) -> None:
    journal = Journal(State(tmp_path).new_run("run-1"), clock=lambda: NOW)

    def work(number: int) -> None:
        for _ in range(20):
            journal.append(Entry(step="planned", op=str(number) * 100))

    for each in side_by_side(range(8), work, parallel=8).values():
        each.result()
    journal.close()
    assert len(read_journal(journal.folder)) == 160


def sites(home: Path) -> dict[SubjectId, Places]:
    found = {}
    for node in NODES:
        folder = home / node.rpartition("/")[2]
        folder.mkdir()
        found[node] = places(folder)
    return found


def applier(home: Path, of: dict[SubjectId, Places], run: str) -> Applier:
    state = State(home / "state")
    locks = FolderLocks(state)

    def opened(subject: SubjectId) -> Machine:
        return of[subject].machine(subject, locks)

    journal = Journal(state.new_run(run), clock=lambda: NOW)
    return Applier(machines=opened, journal=journal, holder=holder(run), now=NOW, parallel=4)


def plan(bad: SubjectId | None = None) -> Plan:
    """Two changes a node; the second does not fit on `bad`."""
    hosts, old = sha(b"127.0.0.1 localhost\n"), sha(b"old\n")
    changes: list[EditBlock | RemoveFile] = [
        EditBlock(target=each, path="/etc/hosts", before_sha256=hosts, marker="m", lines=("l",))
        for each in NODES
    ]
    changes += [
        RemoveFile(
            target=each, path="/etc/old.crt", before_sha256=sha(b"x") if each == bad else old
        )
        for each in NODES
    ]
    return plan_of(*changes)


def test_a_node_that_fails_is_rolled_back_alone_while_others_go_on(tmp_path: Path) -> None:
    of = sites(tmp_path)
    before = snapshot(of[NODES[2]].root)
    results = applier(tmp_path, of, "run-1").apply(plan(bad=NODES[2]))

    assert [each.state for each in results] == [
        "applied", "applied", "undone", "applied", "applied", "applied", "failed", "applied",
    ]  # fmt: skip
    assert [each.target for each in results] == [*NODES, *NODES]
    assert snapshot(of[NODES[2]].root) == before


def test_places_of_another_run_are_named_in_order_and_none_is_kept(tmp_path: Path) -> None:
    of = sites(tmp_path)
    other = FolderLocks(State(tmp_path / "state"))
    for held in (NODES[3], NODES[1]):
        of[held].machine(held, other).lock(holder("run-other"))
    before = snapshot(*(each.root for each in of.values()))

    results = applier(tmp_path, of, "run-1").apply(plan())

    assert {each.state for each in results if each.target == NODES[1]} == {"failed"}
    assert {each.state for each in results if each.target != NODES[1]} == {"skipped"}
    assert {each.detail for each in results if each.target != NODES[1]} == {
        "node/n1 is held by another run"
    }
    assert any("run-other" in each.detail for each in results if each.target == NODES[1])
    assert snapshot(*(each.root for each in of.values())) == before
    third = FolderLocks(State(tmp_path / "state"))
    for free in (NODES[0], NODES[2]):
        assert of[free].machine(free, third).lock(holder("run-2")) == ""
    with pytest.raises(LockHeld):
        of[NODES[3]].machine(NODES[3], third).lock(holder("run-2"))


def test_one_folder_of_two_places_is_held_once_by_threads_too(tmp_path: Path) -> None:
    here = places(tmp_path)

    def hold(machine: Machine) -> str:
        return machine.lock(holder("r"))

    for _ in range(20):
        locks = FolderLocks(here.state)
        machines = [here.machine(each, locks) for each in NODES]
        done = side_by_side(machines, hold, parallel=4)
        assert {each.result() for each in done.values()} == {""}
        for each in machines:
            each.unlock()
