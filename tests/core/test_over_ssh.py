"""Repairs of nodes behind a real sshd, by the real command line: two at once, killed, planned."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from support.ssh_nodes import ssh_site
from support.stopped import stopped_at_boundary

if TYPE_CHECKING:
    from support.small_site import SmallSite


@pytest.fixture
def site(tmp_path: Path) -> Iterator[SmallSite]:
    with ssh_site(tmp_path, nodes=2) as made:
        yield made


def test_the_second_of_two_is_told_who_holds_the_nodes_and_since_when(site: SmallSite) -> None:
    with stopped_at_boundary(site, 1) as first:
        run = site.last_run()
        other = site.run("fix", "--site", "site.yaml")

        assert other.code == 7
        assert f"node/n0: run {run} (process {first.pid} on " in other.err
        assert ", since 20" in other.err
        assert "is repairing it; nothing was written there" in other.err
        assert "skipped    node/n1 edit block /etc/hosts" in other.err
        assert site.repaired() == []
        held = json.loads((site.root("n1") / "state/lock").read_text())
        assert held["run"] == run  # what the second took, it gave free; what the first has, it has

        first.send_signal(signal.SIGCONT)
        assert first.wait(60) == 1
    assert site.repaired() == ["n0", "n1"]
    assert not list(site.folder.glob("*/state/lock"))


def test_a_lock_of_a_killed_run_is_taken_over_and_that_is_said(site: SmallSite) -> None:
    before = site.hosts("n0").read_bytes()
    with stopped_at_boundary(site, 2) as first:
        run = site.last_run()
        first.kill()
        first.wait()
    assert (site.root("n0") / "state/lock").exists()

    after = site.run("fix", "--site", "site.yaml")

    assert after.code == 1
    assert f"node/n0: lock taken over from run {run} (process {first.pid} on " in after.err
    assert f"node/n1: lock taken over from run {run}" in after.err
    assert "which has ended" in after.err
    assert site.repaired() == ["n0", "n1"]
    for each in (site.last_run(), run):
        site.run("undo", each, "--site", "site.yaml")
    assert site.repaired() == []
    assert site.hosts("n0").read_bytes() == before
    assert not list(site.folder.glob("*/state/lock"))


def test_a_plan_is_applied_word_for_word_or_refused_where_a_node_has_changed(
    site: SmallSite,
) -> None:
    assert site.run("plan", "--site", "site.yaml", "-o", "plan.json").code == 1
    hosts = site.hosts("n1")
    planned = hosts.read_bytes()
    hosts.write_bytes(planned + b"10.9.9.9 mine\n")
    before = site.snapshot()

    refused = site.run("apply", "plan.json", "--site", "site.yaml")

    assert refused.code == 7
    assert "node/n1 /etc/hosts: was sha256" in refused.err
    assert "node/n0 /etc/hosts" not in refused.err
    assert site.snapshot() == before

    hosts.write_bytes(planned)
    done = site.run("apply", "plan.json", "--site", "site.yaml")
    assert done.code == 1, done.err  # the registry itself is still not there
    assert site.repaired() == ["n0", "n1"]
    assert f"undo with: gapcheck undo {site.last_run()} --site site.yaml" in done.err
    assert site.run("undo", site.last_run(), "--site", "site.yaml").code == 0
    assert hosts.read_bytes() == planned
