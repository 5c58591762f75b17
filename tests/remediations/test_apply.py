"""A plan is applied step by step, refused where it no longer fits, and undone to the byte."""

from __future__ import annotations

import json
import os
import resource
import signal
import sys
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from hypothesis import given
from hypothesis import strategies as st
from support.certs import NOW
from support.places import NODE, Places, holder, places, plan_of, sha, snapshot

from gapcheck.errors import RepairFailed, RepairRefused, UsageError
from gapcheck.model import REGISTRY, SITE
from gapcheck.remediations.journal import Entry, Journal, is_torn, read_journal
from gapcheck.remediations.lock import FolderLocks
from gapcheck.remediations.plan import (
    EditBlock,
    EditToml,
    EditYaml,
    IssueCertificate,
    KeyEdit,
    Literal,
    Output,
    Plan,
    RemoveFile,
    RestartUnit,
    SetMode,
    SwitchCertificate,
    WriteFile,
)
from gapcheck.remediations.runs import list_runs
from gapcheck.remediations.undo import plan_undo

HOSTS = b"127.0.0.1 localhost\n"
CONFIG = b"version = 2\n"
TOML = KeyEdit(op="set", keys=("plugins", "io.containerd.grpc.v1.cri", "x"), value="y")


def hosts(before: bytes = HOSTS, line: str = "10.0.0.2 registry.local") -> EditBlock:
    return EditBlock(
        target=NODE,
        path="/etc/hosts",
        before_sha256=sha(before),
        marker="registry",
        lines=(line,),
    )


def config(path: str = "/etc/containerd/config.toml", before: bytes = CONFIG) -> EditToml:
    return EditToml(target=NODE, path=path, before_sha256=sha(before), edits=(TOML,))


def written(path: str, content: bytes = b"new\n", **more: Any) -> WriteFile:
    return WriteFile(target=NODE, path=path, before_sha256=None, content=Literal(content), **more)


def issue() -> IssueCertificate:
    return IssueCertificate(
        target=REGISTRY,
        certificate_path="/certs/registry.crt",
        key_path="/certs/registry.key",
        names=("registry.local",),
        addresses=("10.0.0.2", "2001:db8::2"),
        days=365,
        issuer_certificate="pki/ca.crt",
        issuer_key="pki/ca.key",
        not_before="",
    )


def switch(issued: str) -> SwitchCertificate:
    return SwitchCertificate(
        target=REGISTRY,
        issue=issued,
        certificate_path="/certs/registry.crt",
        key_path="/certs/registry.key",
        certificate_before_sha256=sha(b"served certificate\n"),
        key_before_sha256=sha(b"served key\n"),
    )


def whole_plan() -> Plan:
    """Every kind of change that an image root and the site's files carry."""
    issued = issue()
    return plan_of(
        hosts(),
        issued,
        WriteFile(
            target=NODE,
            path="/etc/containerd/certs.d/registry.local/ca.crt",
            before_sha256=None,
            content=Output(change=issued.id, name="ca.crt"),
        ),
        config(),
        RemoveFile(target=NODE, path="/etc/old.crt", before_sha256=sha(b"old\n")),
        SetMode(
            target=NODE,
            path="/etc/hosts",
            before_sha256=sha(HOSTS),
            mode=0o600,
            before_mode=0o644,
        ),
        switch(issued.id),
        RestartUnit(target=NODE, unit="containerd.service"),
    )


def states(results: Any) -> list[str]:
    return [each.state for each in results]


def test_a_plan_is_applied_and_undone_to_the_same_bytes_and_modes(tmp_path: Path) -> None:
    here = places(tmp_path)
    before = snapshot(here.root, here.site)

    results = here.apply(whole_plan())

    assert states(results) == ["applied"] * 8, results
    assert results[-1].detail == "containerd.service takes it up at the next boot"
    ca = (here.site / "pki/ca.crt").read_bytes()
    assert (here.root / "etc/containerd/certs.d/registry.local/ca.crt").read_bytes() == ca
    leaf = x509.load_pem_x509_certificate((here.root / "certs/registry.crt").read_bytes())
    leaf.verify_directly_issued_by(x509.load_pem_x509_certificate(ca))
    assert (here.site / "pki/ca.key").stat().st_mode & 0o777 == 0o600
    assert not list(here.root.rglob("*gapcheck*"))

    undone = here.undo()

    assert set(states(undone)) == {"undone"}
    assert snapshot(here.root, here.site) == before


def test_the_same_change_again_changes_nothing(tmp_path: Path) -> None:
    here = places(tmp_path)
    here.apply(plan_of(hosts()))
    after = (here.root / "etc/hosts").read_bytes()

    again = here.apply(plan_of(hosts(before=after)), run="run-2")

    assert states(again) == ["unchanged"]
    with pytest.raises(UsageError, match="changed nothing"):
        plan_undo("run-2", here.state)


def test_two_changes_of_one_file_follow_each_other(tmp_path: Path) -> None:
    here = places(tmp_path)
    before = snapshot(here.root)
    second = EditBlock(
        target=NODE, path="/etc/hosts", before_sha256=sha(HOSTS), marker="git", lines=("::2 git",)
    )

    assert states(here.apply(plan_of(hosts(), second))) == ["applied", "applied"]

    assert (here.root / "etc/hosts").read_text().count("# BEGIN gapcheck") == 2
    here.undo()
    assert snapshot(here.root) == before


def test_a_file_that_changed_since_it_was_measured_is_refused(tmp_path: Path) -> None:
    here = places(tmp_path)
    (here.root / "etc/hosts").write_bytes(b"edited\n")
    before = snapshot(here.root)

    results = here.apply(plan_of(hosts(), config()))

    assert states(results) == ["failed", "skipped"]
    assert "/etc/hosts has changed since it was measured" in results[0].detail
    assert "nothing was written there" in results[0].detail
    assert snapshot(here.root) == before


def test_a_failing_change_rolls_its_target_back_and_leaves_the_others(tmp_path: Path) -> None:
    here = places(tmp_path)
    before = snapshot(here.root)
    elsewhere = WriteFile(
        target=SITE, path="values.yaml", before_sha256=None, content=Literal(b"a: 1\n")
    )
    broken = config(before=b"something else")

    results = here.apply(plan_of(hosts(), elsewhere, broken, written("/etc/new")))

    assert states(results) == ["undone", "applied", "failed", "skipped"]
    assert "rolled back" in results[2].detail
    assert snapshot(here.root) == before
    assert (here.site / "values.yaml").read_bytes() == b"a: 1\n"
    here.undo()
    assert not (here.site / "values.yaml").exists()


def test_content_of_a_certificate_that_was_not_made_is_refused(tmp_path: Path) -> None:
    here = places(tmp_path)
    (here.site / "pki").mkdir()
    (here.site / "pki/ca.crt").write_bytes(b"no key beside it")
    issued = issue()
    wanted = WriteFile(
        target=NODE, path="/etc/ca.crt", before_sha256=None, content=Output(issued.id, "ca.crt")
    )

    results = here.apply(plan_of(issued, wanted))

    assert states(results) == ["failed", "failed"]
    assert "pki/ca.crt is there and pki/ca.key is not" in results[0].detail
    assert not (here.root / "etc/ca.crt").exists()


def test_a_write_through_a_link_reaches_the_file_and_keeps_the_link(tmp_path: Path) -> None:
    here = places(tmp_path)
    before = snapshot(here.root)

    here.apply(plan_of(config("/etc/link")))

    assert (here.root / "etc/link").is_symlink()
    assert b"plugins" in (here.root / "etc/containerd/config.toml").read_bytes()
    assert (here.root / "etc/containerd/config.toml").stat().st_mode & 0o777 == 0o600
    here.undo()
    assert snapshot(here.root) == before


@pytest.mark.parametrize("link", ["/nowhere", "../../../../../../nowhere", "loop"])
def test_a_link_that_leads_nowhere_is_never_written_through(tmp_path: Path, link: str) -> None:
    here = places(tmp_path)
    (here.root / "etc/dangling").symlink_to(link)
    (here.root / "etc/loop").symlink_to("/etc/loop")
    before = snapshot(tmp_path / "image")

    results = here.apply(plan_of(written("/etc/dangling")))

    assert states(results) == ["failed"]
    assert snapshot(tmp_path / "image") == before


def test_an_absolute_link_stays_inside_the_root(tmp_path: Path) -> None:
    here = places(tmp_path)
    outside = tmp_path / "outside"
    outside.mkdir()
    (here.root / "escape").symlink_to(outside)

    here.apply(plan_of(written("/escape/file")))

    assert list(outside.iterdir()) == []


def test_a_leaked_key_that_was_removed_for_good_is_not_put_back(tmp_path: Path) -> None:
    here = places(tmp_path)
    secret = b"data:\n  ca: eA==\n  key: c2VjcmV0\n"
    (here.site / "secret.yaml").write_bytes(secret)
    gone = EditYaml(
        target=SITE,
        path="secret.yaml",
        before_sha256=sha(secret),
        edits=(KeyEdit(op="delete", keys=("data", "key")),),
        final=True,
    )
    here.apply(plan_of(gone))

    assert not any(b"c2VjcmV0" in each.read_bytes() for each in kept_files(here))
    assert "not put back" in plan_undo("run-1", here.state).kept[0]
    assert "not put back" in here.undo()[0].detail
    assert (here.site / "secret.yaml").read_bytes() == b"data:\n  ca: eA==\n"


def kept_files(here: Places) -> list[Path]:
    return [each for each in here.state.root.rglob("*") if each.is_file()]


def test_no_private_key_is_in_the_journal_or_in_a_plan(tmp_path: Path) -> None:
    here = places(tmp_path)
    here.apply(whole_plan())

    journal = (here.state.run_folder("run-1") / "journal.jsonl").read_bytes()
    assert b"PRIVATE" not in journal
    assert b"served key" not in journal
    folder = here.state.run_folder("run-1")
    assert folder.stat().st_mode & 0o777 == 0o700
    assert all(each.stat().st_mode & 0o077 == 0 for each in kept_files(here))


def test_an_undo_refuses_where_someone_edited_after_us_and_touches_nothing(tmp_path: Path) -> None:
    here = places(tmp_path)
    here.apply(whole_plan())
    (here.root / "etc/hosts").write_bytes(b"edited after\n")
    before = snapshot(here.root, here.site)

    with pytest.raises(RepairRefused, match="/etc/hosts") as refused:
        here.undo()
    assert "nothing was written there" in str(refused.value)
    assert snapshot(here.root, here.site) == before

    assert set(states(here.undo(by="run-9b", force=True))) == {"undone"}
    assert (here.root / "etc/hosts").read_bytes() == HOSTS


def test_an_undo_can_be_undone(tmp_path: Path) -> None:
    here = places(tmp_path)
    here.apply(whole_plan())
    applied = snapshot(here.root, here.site)

    here.undo(by="run-2")
    with pytest.raises(UsageError, match="was undone by run run-2"):
        plan_undo("run-1", here.state)
    here.undo("run-2", by="run-3")

    assert snapshot(here.root, here.site) == applied
    here.undo("run-1", by="run-4")
    assert (here.root / "etc/hosts").read_bytes() == HOSTS


def test_a_run_that_a_later_run_built_on_is_undone_after_it(tmp_path: Path) -> None:
    here = places(tmp_path)
    before = snapshot(here.root)
    here.apply(plan_of(hosts()))
    after = (here.root / "etc/hosts").read_bytes()
    here.apply(plan_of(hosts(before=after, line="10.0.0.3 registry.local")), run="run-2")

    with pytest.raises(UsageError, match="run run-2 built on run run-1"):
        plan_undo("run-1", here.state)

    here.undo("run-2", by="run-3")
    here.undo("run-1", by="run-4")
    assert snapshot(here.root) == before


def test_an_undo_is_shown_before_it_is_done(tmp_path: Path) -> None:
    here = places(tmp_path)
    here.apply(whole_plan())

    shown = plan_undo("run-1", here.state)

    made = "node/image /etc/containerd/certs.d/registry.local/ca.crt"
    assert f"{made}: removed, as it was not there" in shown.lines
    assert any("/etc/hosts: content" in line and "mode 0644" in line for line in shown.lines)
    assert "node/image containerd.service restarted" in shown.lines
    assert [each.state for each in list_runs(here.state)] == ["cut off"]


def test_folders_that_hold_others_files_stay(tmp_path: Path) -> None:
    here = places(tmp_path)
    here.apply(plan_of(written("/etc/a/b/c")))
    (here.root / "etc/a/theirs").write_bytes(b"x")

    done = here.undo()

    assert "/etc/a stays: it holds files of others" in done[0].detail
    assert not (here.root / "etc/a/b").exists()


def test_a_second_run_is_told_who_holds_the_place(tmp_path: Path) -> None:
    here = places(tmp_path)
    first = here.machine(NODE)
    first.lock(holder("run-1"))

    results = here.apply(plan_of(hosts()), run="run-2")

    assert states(results) == ["failed"]
    assert f"run run-1 (process {os.getpid()} on " in results[0].detail
    assert (here.root / "etc/hosts").read_bytes() == HOSTS
    first.unlock()
    assert states(here.apply(plan_of(hosts()), run="run-3")) == ["applied"]


def test_the_lock_of_a_dead_run_is_taken_over_with_a_word(tmp_path: Path) -> None:
    here = places(tmp_path)
    note = FolderLocks(here.state).note(here.root)
    note.parent.mkdir(parents=True)
    note.write_text(str(holder("dead")))

    word = here.machine(NODE).lock(holder("run-2"))

    assert "taken over from run dead" in word


def killed(at: int, work: Callable[..., object]) -> bool:
    """Whether `work`, in a process of its own, was killed at boundary `at` before it ended."""
    child = os.fork()
    if child == 0:
        seen: list[str] = []

        def hook(step: str) -> None:
            seen.append(step)
            if len(seen) == at:
                os._exit(77)

        try:
            work(hook=hook)
        finally:
            os._exit(0 if sys.exc_info()[0] is None else 1)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert code in (0, 77), f"the child ended with {code}"
    return code == 77


def test_a_run_killed_at_any_boundary_can_be_undone_and_repeated(tmp_path: Path) -> None:
    for at in range(1, 200):
        home = tmp_path / str(at)
        home.mkdir()
        here = places(home)
        before = snapshot(here.root, here.site)
        if not killed(at, partial(here.apply, whole_plan())):
            assert at > 40
            return
        if any(each.state == "cut off" for each in list_runs(here.state)):
            assert set(states(here.undo())) == {"undone"}, at
        assert snapshot(here.root, here.site) == before, at
        assert set(states(here.apply(whole_plan(), run="run-a"))) == {"applied"}, at


def test_a_killed_run_needs_no_undo_for_the_next_run_to_finish_it(tmp_path: Path) -> None:
    for at in range(1, 200):
        home = tmp_path / str(at)
        home.mkdir()
        here = places(home)
        before = snapshot(here.root, here.site)
        if not killed(at, partial(here.apply, plan_of(hosts(), config()))):
            return
        now = (here.root / "etc/hosts").read_bytes()
        toml = (here.root / "etc/containerd/config.toml").read_bytes()
        again = here.apply(plan_of(hosts(before=now), config(before=toml)), run="run-2")
        assert set(states(again)) <= {"applied", "unchanged"}, at
        for run, by in (("run-2", "run-3"), ("run-1", "run-4")):
            if any(e.id == run and e.state in ("done", "cut off") for e in list_runs(here.state)):
                here.undo(run, by=by)
        assert snapshot(here.root, here.site) == before, at


def test_an_undo_killed_at_any_boundary_continues_where_it_was(tmp_path: Path) -> None:
    for at in range(1, 200):
        home = tmp_path / str(at)
        home.mkdir()
        here = places(home)
        before = snapshot(here.root, here.site)
        here.apply(whole_plan())
        if not killed(at, partial(here.undo, by="run-2")):
            assert at > 20
            return
        assert set(states(here.undo(by="run-3"))) == {"undone"}, at
        assert snapshot(here.root, here.site) == before, at


def test_a_full_disk_under_the_journal_leaves_nothing_half_done(tmp_path: Path) -> None:
    for room in (0, 150, 400, 700, 1000, 1300, 1600, 1900, 2200):
        home = tmp_path / str(room)
        home.mkdir()
        here = places(home)
        before = snapshot(here.root)
        here.state.new_run("run-1")

        def limited(hook: object, here: Places = here, room: int = room) -> None:
            del hook
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            resource.setrlimit(resource.RLIMIT_FSIZE, (room, room))
            try:
                results = here.apply(plan_of(hosts(), config()))
            except RepairFailed as failed:
                assert "cannot be written: File too large" in str(failed)  # noqa: PT017 - in a child
                return
            assert set(states(results)) == {"applied"} or "File too large" in str(results), results

        assert not killed(10_000, limited)
        applied = b"gapcheck" in (here.root / "etc/hosts").read_bytes()
        assert applied or snapshot(here.root) == before, room
        if any(each.changes for each in list_runs(here.state)):
            here.undo()
        assert snapshot(here.root) == before, room


def test_a_last_line_that_was_cut_off_is_left_out_and_written_over(tmp_path: Path) -> None:
    journal = Journal(tmp_path, clock=lambda: NOW)
    journal.append(Entry(step="begin", run="run-1"))
    journal.close()
    with (tmp_path / "journal.jsonl").open("ab") as file:
        file.write(b'{"step":"plan')

    assert [each.step for each in read_journal(tmp_path)] == ["begin"]
    journal = Journal(tmp_path, clock=lambda: NOW)
    journal.append(Entry(step="end"))
    journal.close()
    assert [each.step for each in read_journal(tmp_path)] == ["begin", "end"]
    lines = (tmp_path / "journal.jsonl").read_text().splitlines()
    assert [json.loads(each)["at"] for each in lines] == ["2026-06-15T12:00:00.000000+00:00"] * 2


def test_a_damaged_journal_is_said_and_not_skipped(tmp_path: Path) -> None:
    (tmp_path / "journal.jsonl").write_bytes(b'{"step":"begin"}\nrubbish\n{"step":"end"}\n')

    with pytest.raises(RepairFailed, match="damaged"):
        read_journal(tmp_path)


LINES = [{"step": "begin", "run": "r"}, {"step": "planned", "op": "a"}, {"step": "end"}]


@given(st.integers(0, 200), st.binary(max_size=3))
def test_a_journal_cut_at_any_byte_is_read_and_its_torn_line_is_said(at: int, tail: bytes) -> None:
    whole = b"".join(json.dumps(each).encode() + b"\n" for each in LINES)
    kept = whole[: min(at, len(whole))]
    torn = tail.replace(b"\n", b"\0")
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "journal.jsonl").write_bytes(kept + torn)

        found = read_journal(Path(folder))

        steps = [str(each["step"]) for each in LINES]
        assert [each.step for each in found] == steps[: kept.count(b"\n")]
        assert is_torn(Path(folder)) == (bool(kept + torn) and not (kept + torn).endswith(b"\n"))


def test_a_torn_journal_is_said_by_the_undo(tmp_path: Path) -> None:
    here = places(tmp_path)
    before = snapshot(here.root)
    here.apply(plan_of(hosts()))
    journal = here.state.run_folder("run-1") / "journal.jsonl"
    journal.write_bytes(journal.read_bytes()[:-20])

    assert "the last line of the journal was cut off" in plan_undo("run-1", here.state).kept[-1]
    here.undo()
    assert snapshot(here.root) == before
