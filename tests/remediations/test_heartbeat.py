"""Locks of places that a run does not touch for long do not run out; a lost one ends it there."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from support.certs import NOW
from support.object_api import object_api
from support.places import Places, holder, places, plan_of, sha

from gapcheck.errors import LockHeld, RepairRefused
from gapcheck.fixtures.targets import open_target
from gapcheck.model import SubjectId
from gapcheck.remediations.apply import Applier
from gapcheck.remediations.heartbeat import Heartbeat
from gapcheck.remediations.machines.base import Machine
from gapcheck.remediations.machines.cluster import ClusterMachine
from gapcheck.remediations.machines.shell import ShellMachine
from gapcheck.remediations.plan import EditBlock
from gapcheck.site import Cluster

A, B = SubjectId("node/a"), SubjectId("node/b")
LEASE = "/apis/coordination.k8s.io/v1/namespaces/default/leases/gapcheck"


def until(what: Callable[[], bool]) -> None:
    ends_at = time.monotonic() + 20
    while not what():
        assert time.monotonic() < ends_at
        time.sleep(0.02)


def shell(folder: Path, subject: SubjectId) -> ShellMachine:
    target = open_target("local://", base=Path("/"))
    return ShellMachine(subject, target, state_dir=str(folder / subject.replace("/", "-")))


def lock_of(folder: Path, subject: SubjectId) -> Path:
    return folder / subject.replace("/", "-") / "lock"


def test_locks_are_renewed_until_it_stops(tmp_path: Path) -> None:
    held = {each: shell(tmp_path, each) for each in (A, B)}
    for machine in held.values():
        machine.lock(holder("run-1"))
    locks = [lock_of(tmp_path, each) for each in held]
    for lock in locks:
        os.utime(lock, (1, 1))
    beat = Heartbeat(lambda: held, lambda *_: None, parallel=2, every_s=0.05)
    beat.start()
    beat.start()
    until(lambda: all(each.stat().st_mtime > 1 for each in locks))
    beat.stop()
    with pytest.raises(LockHeld):
        shell(tmp_path, A).lock(holder("run-2"))


def test_a_lock_that_another_run_took_is_lost_and_said(tmp_path: Path) -> None:
    held = {each: shell(tmp_path, each) for each in (A, B)}
    for machine in held.values():
        machine.lock(holder("run-1"))
    lock_of(tmp_path, B).write_text("another")
    lost: dict[SubjectId, str] = {}
    beat = Heartbeat(lambda: held, lost.setdefault, parallel=1, every_s=0.05)
    beat.start()
    until(lambda: bool(lost))
    beat.stop()
    assert lost == {B: "its lock was taken over by another run"}
    assert lock_of(tmp_path, B).read_text() == "another"


def test_a_lease_is_renewed_and_a_lost_one_is_said(tmp_path: Path) -> None:
    with object_api(tmp_path) as api:
        cluster = Cluster(kubeconfig=str(api.kubeconfig))
        machine = ClusterMachine(cluster, base=tmp_path, namespace="default")
        machine.renew()  # nothing is held
        machine.lock(holder("run-1"))
        api.objects[LEASE]["spec"]["renewTime"] = "old"
        machine.renew()
        assert api.objects[LEASE]["spec"]["renewTime"] != "old"
        api.objects[LEASE]["spec"]["holderIdentity"] = "another"
        with pytest.raises(RepairRefused, match="taken over by another run"):
            machine.renew()


def test_a_run_that_lost_a_place_changes_nothing_more_there(tmp_path: Path) -> None:
    there = places(tmp_path)
    other = places_of(tmp_path / "other")
    machines: dict[SubjectId, Machine] = {
        A: ShellMachine(A, open_target("local://", base=Path("/")), state_dir=str(tmp_path / "a")),
        B: ShellMachine(B, open_target("local://", base=Path("/")), state_dir=str(tmp_path / "b")),
    }
    before = (other.root / "etc/hosts").read_bytes()
    changes = [
        EditBlock(
            target=target, path=str(root / "etc/hosts"), before_sha256=sha(before), marker="m",
            lines=("l",),
        )
        for target, root in ((A, there.root), (B, other.root))
    ]  # fmt: skip
    stopped: list[str] = []

    def hook(step: str) -> None:
        if step.startswith(f"applied {changes[0].id}"):
            (tmp_path / "b/lock").write_text("another")
            time.sleep(2)  # several beats
            stopped.append(step)

    journal = there.journal("run-1")
    applier = Applier(
        machines=machines.__getitem__, journal=journal, holder=holder("run-1"), now=NOW, hook=hook,
        beat_s=0.05,
    )  # fmt: skip
    results = applier.apply(plan_of(*changes))
    journal.close()

    assert stopped
    assert [each.state for each in results] == ["applied", "skipped"]
    assert "taken over by another run" in results[1].detail
    assert (other.root / "etc/hosts").read_bytes() == before


def places_of(home: Path) -> Places:
    home.mkdir()
    return places(home)
