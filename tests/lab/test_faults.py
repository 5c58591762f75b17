"""Every fault of the matrix on real systems: found, its root named, repaired, undone."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from support.needs import absent

from gapcheck.errors import RepairRefused
from gapcheck.fixtures.targets import open_target
from gapcheck.model import SubjectId
from gapcheck.remediations.machines.shell import ShellMachine
from lab import chance, programs, trial, world
from lab.faults import FAULTS, Fault
from lab.world import World

pytestmark = [pytest.mark.lab, pytest.mark.timeout(600)]

CONFIG = "/etc/containerd/config.toml"
TWICE = (
    b'version = 2\n[plugins."io.containerd.grpc.v1.cri"]\n[plugins."io.containerd.grpc.v1.cri"]\n'
)

# What is a failure although every pull works.
RISKS = {"CERT-CA-001"}
# What Go takes and OpenSSL does not; the finding says so.
ONLY_OPENSSL = {"wildcard": {"CERT-SAN-001"}}


@pytest.fixture(scope="module")
def lab() -> Iterator[World]:
    for why in programs.missing():
        absent(why)
    folder = world.folder_of_runs()
    world.sweep(folder)
    try:
        yield world.up(folder)
    finally:
        world.sweep(folder)


def test_healthy_lab_pulls_and_is_green(lab: World) -> None:
    lab.heal()
    assert trial.pulls(lab) == {"n1": "", "n2": ""}
    told = trial.gapcheck(lab, "check")
    assert told.code == 0, told.text
    assert told.roots == set()


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_fault_is_found_by_its_root_repaired_and_undone(lab: World, fault: Fault) -> None:
    lab.heal()
    trial.inject(lab, fault)
    assert {name for name, error in trial.pulls(lab).items() if error} == set(fault.breaks)
    faulty = trial.snapshot(lab)

    told = trial.gapcheck(lab, "check")
    assert told.roots == set(fault.roots), told.text
    if not fault.roots:
        assert told.code == 0
        return

    fixed = trial.gapcheck(lab, "fix")
    if fault.explained:
        assert fixed.code == 1, fixed.text
        assert fixed.changes == 0
        assert trial.snapshot(lab) == faulty
        return
    assert fixed.code == 0, fixed.text
    assert trial.pulls(lab) == {"n1": "", "n2": ""}
    again = trial.gapcheck(lab, "fix")
    assert (again.code, again.changes) == (0, 0), again.text

    trial.undo_last(lab)
    assert trial.snapshot(lab) == faulty


@pytest.mark.parametrize("name", ["n1", "n2"])
def test_containerd_is_asked_before_its_configuration_is_replaced(lab: World, name: str) -> None:
    node = lab.nodes[name]
    target = open_target(node.hostspec, base=Path("/"))
    machine = ShellMachine(SubjectId(f"node/{name}"), target)
    good = node.run(f"cat {CONFIG}").stdout
    machine.validate(CONFIG, good.encode())
    with pytest.raises(RepairRefused):
        machine.validate(CONFIG, TWICE)
    assert node.run(f"cat {CONFIG}; ls -A /etc/containerd").stdout == (
        good + "".join(f"{each}\n" for each in ("certs.d", "config.toml"))
    )


@pytest.mark.parametrize("seed", range(20))
def test_random_site_is_judged_as_its_pulls_go(lab: World, seed: int) -> None:
    lab.heal()
    drawn = chance.draw(seed)
    chance.put(lab, drawn)
    pulled = trial.pulls(lab)

    told = trial.gapcheck(lab, "check")
    failed = {(each["check"], each["subject"]) for each in trial.failing(told)}
    for name, error in pulled.items():
        says = {check for check, subject in failed if subject in (f"node/{name}", "registry")}
        says -= RISKS | ONLY_OPENSSL.get(drawn.served, set())
        assert bool(says) == bool(error), f"{drawn}\n{name}: {error}\n{told.text}"
