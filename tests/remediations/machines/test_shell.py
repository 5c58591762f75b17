"""A machine behind a shell carries the same repairs, and keeps its own backups."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from support import needs, sshd
from support.places import NODE, Places, holder, places, plan_of, sha, snapshot

from gapcheck.errors import RepairFailed, RepairRefused, TargetError
from gapcheck.fixtures.targets import Target, open_target
from gapcheck.fixtures.targets.base import OUTPUT_CAP, Ran
from gapcheck.fixtures.targets.process import Processes
from gapcheck.model import REGISTRY
from gapcheck.remediations.journal import FileState
from gapcheck.remediations.machines.base import Holder
from gapcheck.remediations.machines.shell import ShellMachine
from gapcheck.remediations.plan import (
    EditBlock,
    EditToml,
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


class ShTarget:
    """`sh -s` of this machine, another shell where one is named."""

    hostspec = "local://"
    running = True
    read_only = ""

    def __init__(self, *argv: str) -> None:
        self._argv = argv or ("sh", "-s")
        self.programs: list[bytes] = []

    def run(self, program: bytes, *, timeout_s: float, cap: int = OUTPUT_CAP) -> Ran:
        self.programs.append(program)
        return Processes().run(self._argv, program, timeout_s=timeout_s, cap=cap)

    def close(self) -> None:
        """Nothing is held."""


def small_plan() -> Plan:
    return plan_of(
        EditBlock(
            target=NODE,
            path="/etc/hosts",
            before_sha256=sha(b"127.0.0.1 localhost\n"),
            marker="registry",
            lines=("10.0.0.2 registry.local",),
        ),
        EditToml(
            target=NODE,
            path="/etc/link",
            before_sha256=sha(b"version = 2\n"),
            edits=(KeyEdit(op="set", keys=("a", "b"), value='it\'s "quoted" $HOME `id`'),),
        ),
        WriteFile(
            target=NODE,
            path="/etc/a b/it's/$(id)/ca.crt",
            before_sha256=None,
            content=Literal(b"\x00\xffGAPCHECK_CONTENT\n"),
            mode=0o640,
        ),
        RemoveFile(target=NODE, path="/etc/old.crt", before_sha256=sha(b"old\n")),
        SetMode(
            target=NODE,
            path="/certs/registry.key",
            before_sha256=sha(b"served key\n"),
            mode=0o400,
            before_mode=0o600,
        ),
    )


def reissue() -> Plan:
    issue = IssueCertificate(
        target=REGISTRY,
        certificate_path="/certs/registry.crt",
        key_path="/certs/registry.key",
        names=("registry.local",),
        addresses=(),
        days=90,
        issuer_certificate="ca.crt",
        issuer_key="ca.key",
        not_before="",
    )
    return plan_of(
        issue,
        WriteFile(
            target=NODE,
            path="/etc/ca.crt",
            before_sha256=None,
            content=Output(change=issue.id, name="ca.crt"),
        ),
        SwitchCertificate(
            target=REGISTRY,
            issue=issue.id,
            certificate_path="/certs/registry.crt",
            key_path="/certs/registry.key",
            certificate_before_sha256=sha(b"served certificate\n"),
            key_before_sha256=sha(b"served key\n"),
        ),
    )


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    with sshd.running(tmp_path_factory.mktemp("sshd")) as running:
        yield open_target(running.hostspec, base=Path("/"), ssh_config=running.config)


def test_over_ssh_a_plan_is_applied_and_undone_to_the_same_bytes(
    tmp_path: Path, server: Target
) -> None:
    here = places(tmp_path, server)
    before = snapshot(here.root, here.site)

    applied = here.apply(small_plan())

    assert {each.state for each in applied} == {"applied"}, applied
    made = here.root / "etc/a b/it's/$(id)/ca.crt"
    assert made.read_bytes() == b"\x00\xffGAPCHECK_CONTENT\n"
    assert made.stat().st_mode & 0o777 == 0o640
    assert made.parent.stat().st_mode & 0o777 == 0o755
    assert (here.root / "etc/link").is_symlink()
    assert "it's" in (here.root / "etc/containerd/config.toml").read_text()
    assert not (here.home / "there/lock").exists()
    assert {each.state for each in here.undo()} == {"undone"}
    assert snapshot(here.root, here.site) == before


def test_a_pair_is_staged_switched_and_put_back_and_its_keys_stay_there(tmp_path: Path) -> None:
    target = ShTarget()
    here = places(tmp_path, target)
    before = snapshot(here.root, here.site)

    applied = here.apply(reissue())

    assert [each.state for each in applied] == ["applied"] * 3, applied
    pair = here.root / "certs"
    key, certificate = pair / "registry.key", pair / "registry.crt"
    assert b"BEGIN PRIVATE KEY" in key.read_bytes()
    assert key.stat().st_mode & 0o777 == 0o600
    assert b"BEGIN CERTIFICATE" in certificate.read_bytes()
    assert sorted(each.name for each in pair.iterdir()) == ["registry.crt", "registry.key"]
    controller = [each for each in here.state.root.rglob("*") if each.is_file()]
    assert not any(b"served key" in each.read_bytes() for each in controller)
    assert not any(b"BEGIN PRIVATE" in each.read_bytes() for each in controller)
    assert {each.state for each in here.undo()} == {"undone"}
    assert snapshot(here.root, here.site) == before


@pytest.mark.parametrize("shell", ["busybox", "bash"])
def test_other_shells_and_tools_do_the_same(tmp_path: Path, shell: str) -> None:
    path = needs.program(shell)
    argv = (path, "sh", "-s") if shell == "busybox" else (path, "--posix", "-s")
    here = places(tmp_path, ShTarget(*argv))
    before = snapshot(here.root)

    assert {each.state for each in here.apply(small_plan())} == {"applied"}
    assert {each.state for each in here.undo()} == {"undone"}
    assert snapshot(here.root) == before


def test_killed_at_any_boundary_it_can_be_undone_and_repeated(tmp_path: Path) -> None:
    for at in range(1, 100):
        home = tmp_path / str(at)
        home.mkdir()
        here = places(home, ShTarget())
        before = snapshot(here.root)
        child = os.fork()
        if child == 0:
            seen: list[str] = []

            def hook(step: str, seen: list[str] = seen, at: int = at) -> None:
                seen.append(step)
                if len(seen) == at:
                    os._exit(77)

            here.apply(small_plan(), hook=hook)
            os._exit(0)
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        if code == 0:
            assert at > 20
            return
        assert code == 77
        if any(each.state == "cut off" for each in list_runs(here.state)):
            assert {each.state for each in here.undo()} == {"undone"}, at
        assert snapshot(here.root) == before, at
        again = here.apply(small_plan(), run="run-a")
        assert {each.state for each in again} == {"applied"}, at


class CutTarget(ShTarget):
    """Its connection breaks while a program with content runs: only a part of it arrives."""

    def run(self, program: bytes, *, timeout_s: float, cap: int = OUTPUT_CAP) -> Ran:
        if b"GAPCHECK_CONTENT'" in program:
            cut = program[: program.rindex(b"GAPCHECK_CONTENT'") + 30]
            super().run(cut, timeout_s=timeout_s, cap=cap)
            raise TargetError(self.hostspec, "the connection broke")
        return super().run(program, timeout_s=timeout_s, cap=cap)


def test_a_connection_that_breaks_while_content_is_sent_leaves_the_old_file(tmp_path: Path) -> None:
    here = places(tmp_path, CutTarget())
    before = snapshot(here.root)

    results = here.apply(small_plan())

    assert results[0].state == "failed"
    assert {each.state for each in results[1:]} == {"skipped"}
    assert snapshot(here.root) == before


def test_what_changed_since_it_was_measured_is_refused_and_kept(tmp_path: Path) -> None:
    here = places(tmp_path, ShTarget())
    (here.root / "etc/hosts").write_bytes(b"edited\n")
    before = snapshot(here.root)

    results = here.apply(small_plan())

    assert results[0].state == "failed"
    assert "nothing was written there" in results[0].detail
    assert snapshot(here.root) == before


def machine(tmp_path: Path, target: Target | None = None) -> ShellMachine:
    return ShellMachine(NODE, target or ShTarget(), state_dir=str(tmp_path / "there"))


@pytest.mark.parametrize("in_place", [True, False], ids=["in place", "renamed"])
def test_compare_and_swap_happens_on_the_machine(tmp_path: Path, in_place: bool) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"old")
    there = machine(tmp_path)
    seen = there.look(str(file)).state
    file.write_bytes(b"edited between")
    wanted = msgspec.structs.replace(seen, sha256=sha(b"new"))

    with pytest.raises(RepairRefused, match="changed by someone else"):
        there.put(wanted, b"new", expect=seen, in_place=in_place)

    assert file.read_bytes() == b"edited between"
    assert there.put(wanted, b"new", expect=None, in_place=in_place) == wanted
    assert file.read_bytes() == b"new"


@pytest.mark.parametrize("in_place", [True, False], ids=["in place", "renamed"])
def test_a_file_put_where_a_link_stands_leaves_what_it_points_at(
    tmp_path: Path, in_place: bool
) -> None:
    pointed_at, link = tmp_path / "bundle", tmp_path / "ca.crt"
    pointed_at.write_bytes(b"the distribution's own")
    there = machine(tmp_path)
    link.write_bytes(b"old")
    wanted = msgspec.structs.replace(there.look(str(link)).state, sha256=sha(b"new"))
    link.unlink()
    link.symlink_to(pointed_at)

    assert there.put(wanted, b"new", expect=None, in_place=in_place) == wanted

    assert not link.is_symlink()
    assert link.read_bytes() == b"new"
    assert pointed_at.read_bytes() == b"the distribution's own"


def test_in_place_keeps_the_file_itself_and_a_rename_replaces_it(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"old and longer")
    there = machine(tmp_path)
    first = file.stat().st_ino
    wanted = msgspec.structs.replace(there.look(str(file)).state, sha256=sha(b"new"))

    there.put(wanted, b"new", expect=None, in_place=True)
    assert (file.stat().st_ino, file.read_bytes()) == (first, b"new")

    wanted = msgspec.structs.replace(wanted, sha256=sha(b"newer"))
    there.put(wanted, b"newer", expect=None, in_place=False)
    assert file.stat().st_ino != first


@pytest.mark.parametrize("odd", ["relative", "/two\nlines"])
def test_a_path_that_is_not_one_absolute_line_is_refused(tmp_path: Path, odd: str) -> None:
    with pytest.raises(RepairRefused, match="absolute path"):
        machine(tmp_path).look(odd)


def test_a_dangling_link_and_a_folder_are_refused(tmp_path: Path) -> None:
    (tmp_path / "dangling").symlink_to("nowhere")
    there = machine(tmp_path)

    with pytest.raises(RepairRefused, match="leads nowhere"):
        there.look(str(tmp_path / "dangling"))
    with pytest.raises(RepairRefused, match="not a plain file"):
        there.look(str(tmp_path))


def test_a_tree_has_every_file_and_link_with_mode_and_content(tmp_path: Path) -> None:
    folder = tmp_path / "tree"
    (folder / "in side").mkdir(parents=True)
    (folder / "in side/a file").write_bytes(b"x")
    (folder / "in side/a file").chmod(0o600)
    (folder / "link").symlink_to("in side/a file")
    there = machine(tmp_path)

    found = there.tree((str(folder), str(tmp_path / "absent")))

    names = [str(folder / "in side/a file"), str(folder / "link")]
    assert found == there.states(names)
    assert [(each.kind, each.mode, each.link) for each in found] == [
        ("file", 0o600, ""),
        ("link", 0, "in side/a file"),
    ]


def test_a_second_run_is_told_who_holds_the_machine(tmp_path: Path) -> None:
    first, second = machine(tmp_path), machine(tmp_path)
    assert first.lock(holder("run-1")) == ""

    with pytest.raises(RepairRefused, match=r"run run-1 \(process \d+ on .*, since 2026"):
        second.lock(holder("run-2"))

    assert second.lock(holder("run-1")) == ""
    first.unlock()
    assert second.lock(holder("run-2")) == ""


def ended_process() -> int:
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait()
    return child.pid


def test_the_lock_of_a_process_that_has_ended_is_taken_over(tmp_path: Path) -> None:
    dead = Holder(run="dead", pid=ended_process(), host=socket.gethostname(), since="x")
    machine(tmp_path).lock(dead)

    assert "taken over from run dead" in machine(tmp_path).lock(holder("run-2"))


def test_the_lock_of_another_host_is_taken_over_when_nothing_renewed_it(tmp_path: Path) -> None:
    gone = Holder(run="gone", pid=1, host="elsewhere", since="x")
    machine(tmp_path).lock(gone)
    with pytest.raises(RepairRefused, match="run gone"):
        machine(tmp_path).lock(holder("run-2"))

    lock = tmp_path / "there/lock"
    old = lock.stat().st_mtime - 3600
    os.utime(lock, (old, old))

    assert "taken over from run gone" in machine(tmp_path).lock(holder("run-2"))


def test_backups_are_for_their_owner_alone(tmp_path: Path) -> None:
    here = places(tmp_path, ShTarget())
    here.apply(small_plan())

    kept = list((here.home / "there").rglob("*"))
    assert sha(b"old\n") in {each.name for each in kept}
    assert all(each.stat().st_mode & 0o077 == 0 for each in kept)


def test_a_state_folder_that_cannot_be_made_is_a_refusal(tmp_path: Path) -> None:
    (tmp_path / "there").write_bytes(b"a file in its place")
    here = places(tmp_path, ShTarget())
    before = snapshot(here.root)

    results = here.apply(small_plan())

    assert results[0].state == "failed"
    assert "cannot be made; nothing was written there" in results[0].detail
    assert snapshot(here.root) == before


def tool(folder: Path, name: str, text: str) -> None:
    folder.mkdir(exist_ok=True)
    place = folder / name
    place.write_text(f"#!/bin/sh\n{text}\n")
    place.chmod(0o755)


def with_tools(folder: Path) -> ShTarget:
    return ShTarget("env", f"PATH={folder}:{os.environ['PATH']}", "sh", "-s")


def test_a_unit_is_restarted_and_waited_for(tmp_path: Path) -> None:
    log = tmp_path / "log"
    script = f"""case $1 in
    cat) [ "$2" = here.service ] ;;
    is-active) asked=$(grep -c ask {log})
        echo ask >>{log}
        [ "$asked" -eq 1 ] && echo activating || echo active ;;
    *) echo "$@" >>{log} ;;
    esac"""
    log.write_bytes(b"")
    tool(tmp_path / "bin", "systemctl", script)
    there = ShellMachine(NODE, with_tools(tmp_path / "bin"), state_dir=str(tmp_path / "there"))

    assert "here.service restarted, active after" in there.restart_unit("here.service", timeout_s=5)
    steps = log.read_text().splitlines()
    assert steps[steps.index("restart here.service") + 1 :] == ["ask", "ask"]
    with pytest.raises(RepairRefused, match="not a unit here"):
        there.restart_unit("other.service", timeout_s=5)


def test_a_unit_that_does_not_come_up_is_a_failure(tmp_path: Path) -> None:
    tool(tmp_path / "bin", "systemctl", "[ $1 = cat ] || echo failed")
    there = ShellMachine(NODE, with_tools(tmp_path / "bin"), state_dir=str(tmp_path / "there"))

    with pytest.raises(RepairFailed, match="not active after 1 s"):
        there.restart_unit("here.service", timeout_s=1)


def repair_of_a_daemon(home: Path, *, was_down: bool) -> tuple[Places, Plan]:
    """A daemon that runs with `version = 3` alone, and that systemd starts again by itself."""
    script = f"""runs() {{ grep -q 'version = 3' {home}/image/etc/containerd/config.toml; }}
    case $1 in
    is-active) runs && echo active || echo activating ;;
    restart) runs ;;
    esac"""
    tool(home / "bin", "systemctl", script)
    here = places(home, with_tools(home / "bin"))
    edit = EditToml(
        target=NODE,
        path="/etc/containerd/config.toml",
        before_sha256=sha(b"version = 2\n"),
        edits=(KeyEdit(op="set", keys=("version",), value=3),),
    )
    plan = plan_of(edit, RestartUnit(target=NODE, unit="here.service"))
    *first, restart = plan.changes
    restart = msgspec.structs.replace(restart, was_down=was_down)
    return here, msgspec.structs.replace(plan, changes=(*first, restart))


def test_a_unit_that_was_down_is_so_again_after_an_undo(tmp_path: Path) -> None:
    here, plan = repair_of_a_daemon(tmp_path, was_down=True)
    assert {each.state for each in here.apply(plan)} == {"applied"}
    assert {each.state for each in here.undo()} == {"undone"}


def test_a_unit_that_ran_and_does_not_after_an_undo_is_a_failure(tmp_path: Path) -> None:
    here, plan = repair_of_a_daemon(tmp_path, was_down=False)
    assert {each.state for each in here.apply(plan)} == {"applied"}
    (undone,) = here.undo()
    assert undone.state == "failed"
    assert "here.service did not restart: activating" in undone.detail


def test_a_unit_that_was_down_is_so_again_after_a_rollback(tmp_path: Path) -> None:
    here, plan = repair_of_a_daemon(tmp_path, was_down=True)
    refused = WriteFile(target=NODE, path="/etc/hosts", before_sha256="0", content=Literal(b"x"))
    last = msgspec.structs.replace(plan.changes[0], id="late", change=refused)
    plan = msgspec.structs.replace(plan, changes=(*plan.changes, last))
    *_, restart, late = here.apply(plan)
    assert (restart.state, late.state) == ("undone", "failed")
    assert "here.service does not run, as before" in late.detail


def test_the_trust_store_is_rebuilt_by_the_distributions_own_tool(tmp_path: Path) -> None:
    tool(tmp_path / "bin", "update-ca-certificates", f'echo "$@" >{tmp_path}/ran')
    there = ShellMachine(NODE, with_tools(tmp_path / "bin"), state_dir=str(tmp_path / "there"))

    there.refresh_trust_store("debian", fresh=True)
    assert (tmp_path / "ran").read_text() == "--fresh\n"
    there.refresh_trust_store("suse", fresh=True)
    assert (tmp_path / "ran").read_text() == "\n"
    with pytest.raises(RepairRefused, match="plan9 is not known"):
        there.refresh_trust_store("plan9", fresh=False)


def test_a_container_is_set_and_restarted(tmp_path: Path) -> None:
    script = f"""echo "$@" >>{tmp_path}/log
    case $1 in inspect) [ "$2" != gone ] && echo true ;; esac"""
    tool(tmp_path / "bin", "docker", script)
    there = ShellMachine(NODE, with_tools(tmp_path / "bin"), state_dir=str(tmp_path / "there"))

    assert there.set_restart_policy("reg", "always") == "container reg: restart policy always"
    assert there.restart_container("reg", timeout_s=5) == "container reg restarted"
    assert (tmp_path / "log").read_text().splitlines()[0] == "update --restart always reg"


def test_programs_are_constant_and_keys_go_only_in_their_content(tmp_path: Path) -> None:
    target = ShTarget()
    here = places(tmp_path, target)
    here.apply(reissue())

    keys = [each for each in target.programs if b"BEGIN PRIVATE KEY" in each]
    assert keys == []
    assert len({each.split(b"\nset -- ")[0] for each in target.programs}) == 1


def test_the_state_of_an_absent_file_is_absent(tmp_path: Path) -> None:
    assert machine(tmp_path).states([str(tmp_path / "no")]) == (
        FileState(path=str(tmp_path / "no")),
    )
