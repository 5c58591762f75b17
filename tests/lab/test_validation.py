"""A configuration that the real containerd refuses is never written."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from support.needs import absent

from gapcheck.errors import RepairRefused
from gapcheck.fixtures.targets import open_target
from gapcheck.model import SubjectId
from gapcheck.remediations.machines.shell import ShellMachine
from lab import programs, world
from lab.world import World

pytestmark = [pytest.mark.lab, pytest.mark.timeout(600), pytest.mark.xdist_group("lab")]
CONFIG = "/etc/containerd/config.toml"
TWICE = (
    b'version = 2\n[plugins."io.containerd.grpc.v1.cri"]\n[plugins."io.containerd.grpc.v1.cri"]\n'
)


@pytest.fixture(scope="module")
def lab() -> Iterator[World]:
    for why in programs.missing():
        absent(why)
    folder = world.folder_of_runs()
    world.sweep(folder)
    running = world.up(folder)
    yield running
    world.down(running)


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
