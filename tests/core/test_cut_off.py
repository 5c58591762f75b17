"""The power of a target fails, a disk is full, two repair at once: nothing is lost or half done."""

from __future__ import annotations

import os
import re
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from support import sshd
from support.mounts import fill, small_disk
from support.places import NODE, Places, places, plan_of, sha, snapshot
from support.small_site import small_site
from support.stopped import stopped_at_boundary

from gapcheck.fixtures.targets import open_target
from gapcheck.remediations.plan import EditBlock, EditToml, KeyEdit, Literal, Plan, WriteFile
from gapcheck.remediations.runs import list_runs

HOSTS, CONFIG = b"127.0.0.1 localhost\n", b"version = 2\n"


def plan(size: int = 100_000) -> Plan:
    """A hosts file in place, a configuration by a rename, a new file that needs room."""
    edit = KeyEdit(op="set", keys=("a",), value="b" * 5000)
    return plan_of(
        EditBlock(
            target=NODE,
            path="/etc/hosts",
            before_sha256=sha(HOSTS),
            marker="m",
            lines=("::1 registry", *(f"::2 name-{number}" for number in range(400))),
        ),
        EditToml(
            target=NODE,
            path="/etc/containerd/config.toml",
            before_sha256=sha(CONFIG),
            edits=(edit,),
        ),
        WriteFile(
            target=NODE,
            path="/etc/new/ca.crt",
            before_sha256=None,
            content=Literal(os.urandom(size)),
        ),
    )


@contextmanager
def dying_at(folder: Path, call: int) -> Iterator[tuple[sshd.Sshd, Path]]:
    """A server on which the `call`th `sync` kills all that serves that session.

    Every write waits for its disk by `sync`, so that is in the middle of it.
    """
    tools = folder / "tools"
    tools.mkdir(parents=True)
    count = folder / "count"
    count.write_text("")
    script = f"""#!/bin/sh
[ -e {folder}/calm ] && exec /bin/sync "$@"
echo x >>{count}
if [ "$(grep -c x {count})" = {call} ]; then
    touch {folder}/calm
    kill -9 $(cat {folder}/session) $PPID
    exit 1
fi
exec /bin/sync "$@"
"""
    (tools / "sync").write_text(script)
    (tools / "sync").chmod(0o755)
    shell = tools / "session"
    run = 'exec /bin/sh -c "$SSH_ORIGINAL_COMMAND"'
    shell.write_text(f"#!/bin/sh\necho $PPID >{folder}/session\n{run}\n")
    shell.chmod(0o755)
    path = f"{tools}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    with sshd.running(
        folder / "sshd", f"SetEnv PATH={path} HOME={folder}\nForceCommand {shell}"
    ) as server:
        yield server, count


def test_a_session_killed_in_the_middle_of_any_write_can_be_undone(tmp_path: Path) -> None:
    two = plan_of(*(each.change for each in plan().changes[:2]))
    for call in range(1, 60):
        home = tmp_path / str(call)
        home.mkdir()
        with dying_at(home / "server", call) as (server, count):
            target = open_target(server.hostspec, base=Path("/"), ssh_config=server.config)
            here = places(home, target)
            before = snapshot(here.root)

            results = here.apply(two)

            if not (home / "server/calm").exists():
                assert {each.state for each in results} == {"applied"}
                assert call > 6, count.read_text()
                return
            assert "applied" not in {each.state for each in results}, call
            if any(each.changes for each in list_runs(here.state)):
                assert {each.state for each in here.undo()} == {"undone"}, call
            assert snapshot(here.root) == before, call
            again = here.apply(two, run="run-a")
            assert {each.state for each in again} == {"applied"}, call
    raise AssertionError("it never ended")


def on_a_disk(home: Path, *, shell: bool) -> Places:
    target = open_target("local://", base=Path("/")) if shell else None
    return places(home, target)


@pytest.mark.parametrize("shell", [False, True], ids=["image root", "shell"])
@pytest.mark.parametrize("room", [0, 4096, 8192, 16384, 24576, 65536])
def test_a_full_disk_of_a_target_leaves_every_byte(
    tmp_path: Path, room: int, *, shell: bool
) -> None:
    with small_disk(tmp_path / "disk", kib=512) as disk:
        here = on_a_disk(disk, shell=shell)
        before = snapshot(here.root)
        ballast = fill(disk, leave=room)

        results = here.apply_or_refuse(plan())

        assert "failed" in {each.state for each in results}, results
        said = "o space left|cannot be (written|made|backed up)|I/O error"
        assert any(re.search(said, each.detail) for each in results), results
        if "applied" in {each.state for each in results}:
            # A shell needs room beside a file to put it back; that is said, and room is made.
            assert any("gapcheck undo run-1" in each.detail for each in results), results
            ballast.unlink()
        if any(each.changes for each in list_runs(here.state)):
            assert {each.state for each in here.undo()} == {"undone"}
        ballast.unlink(missing_ok=True)
        assert snapshot(here.root) == before
        assert {each.state for each in here.apply(plan(), run="run-a")} == {"applied"}


def test_a_full_disk_of_the_controller_stops_before_anything_is_written(tmp_path: Path) -> None:
    site = small_site(tmp_path / "site")
    before = site.snapshot()
    with small_disk(site.state, kib=64) as disk:
        fill(disk, leave=0)

        done = site.run("fix", "--site", "site.yaml")

        assert done.code in (4, 7), done.err
        assert "No space left on device" in done.err
        assert site.snapshot() == before


def test_the_second_of_two_is_told_who_and_since_when_and_a_dead_one_is_taken_over(
    tmp_path: Path,
) -> None:
    site = small_site(tmp_path / "site")
    before = site.snapshot()
    with stopped_at_boundary(site, 1) as first:
        run = site.last_run()
        other = site.run("fix", "--site", "site.yaml")
        assert other.code == 7
        words = f"run {run} (process {first.pid} on "
        assert words in other.err
        assert ", since 20" in other.err
        assert "nothing was written" in other.err
        assert site.snapshot() == before
        first.send_signal(signal.SIGKILL)
        first.wait()
        time.sleep(0.05)

        after = site.run("fix", "--site", "site.yaml")

    assert site.repaired() == ["n0", "n1"], after.err
    assert f"lock taken over from run {run}" in after.err
    assert "which has ended" in after.err
