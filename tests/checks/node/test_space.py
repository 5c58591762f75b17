from __future__ import annotations

import pytest
from support.healthy import healthy, site, verdict_of, with_facts

from gapcheck.fixtures.facts import Filesystem, Present, Unreadable
from gapcheck.model import Status


def room(free: int, inodes: int = 1000) -> dict[str, Present[Filesystem]]:
    found = Filesystem(
        path="/var/lib/containerd",
        total_bytes=1000,
        available_bytes=free,
        available_inodes=inodes,
    )
    return {"/var/lib/containerd": Present(found)}


@pytest.mark.parametrize(
    ("free", "inodes", "status"),
    [(150, 5, Status.PASS), (149, 5, Status.FAIL), (900, 0, Status.FAIL), (900, -1, Status.PASS)],
)
def test_room_is_judged_by_kubelets_eviction_threshold(
    free: int, inodes: int, status: Status
) -> None:
    facts = with_facts(healthy()[1], "node/debian", filesystems=room(free, inodes))
    assert verdict_of("NODE-SPACE-001", facts, site(), "node/debian").status is status


@pytest.mark.parametrize(
    "filesystems", [{}, {"/var/lib/containerd": Unreadable("df: denied")}], ids=["none", "denied"]
)
def test_unmeasured_room_is_an_error(filesystems: dict[str, Unreadable]) -> None:
    facts = with_facts(healthy()[1], "node/debian", filesystems=filesystems)
    assert verdict_of("NODE-SPACE-001", facts, site(), "node/debian").status is Status.ERROR
