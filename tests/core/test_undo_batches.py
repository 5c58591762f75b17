"""An undo goes in batches, stops at a failing one, and is continued without a second restart."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from support.mounts import read_only
from support.small_site import SmallSite, small_site
from support.ssh_nodes import ssh_site

from gapcheck.model import SubjectId
from gapcheck.remediations.journal import read_journal
from gapcheck.remediations.rolling import Pace, in_batches


@pytest.fixture
def site(tmp_path: Path) -> SmallSite:
    """Five nodes that were repaired."""
    made = small_site(tmp_path / "site", nodes=5)
    made.run("fix", "--site", "site.yaml")
    assert made.repaired() == made.nodes()
    return made


def undo(site: SmallSite, run: str, *words: object) -> tuple[int, str]:
    done = site.run("undo", run, "--site", "site.yaml", *words)
    return done.code, done.err


def steps(site: SmallSite, run: str) -> list[tuple[str, str]]:
    """(step, target) of every entry of the run's journal that changed something."""
    entries = read_journal(site.state / "runs" / run)
    return [(each.step, each.target) for each in entries if each.step in ("backed_up", "undone")]


def test_a_batch_is_done_before_the_next_begins(site: SmallSite) -> None:
    code, said = undo(site, site.last_run(), "--canary", 1, "--batch", 2)

    assert code == 0
    assert "nodes in 3 batches, one after another (1 x 1, 2 x 2)" in said
    assert site.repaired() == []
    found = steps(site, site.last_run())
    batches = [found[:2], found[2:6], found[6:]]
    for batch, nodes in zip(batches, (["n4"], ["n2", "n3"], ["n0", "n1"]), strict=True):
        targets = [f"node/{each}" for each in nodes]
        assert sorted(target for step, target in batch if step == "backed_up") == targets
        assert sorted(target for step, target in batch if step == "undone") == targets


def test_a_failing_batch_ends_it_and_the_rest_is_undone_later(site: SmallSite) -> None:
    run = site.last_run()
    with read_only(site.root("n3") / "etc"):
        code, said = undo(site, run, "--canary", 1, "--batch", 2)

    assert code == 7
    lines = [line.split(":")[0] for line in said.splitlines()]
    assert [each for each in lines if re.match("(undone|failed|skipped) ", each)] == [
        "undone   node/n4", "failed   node/n3", "undone   node/n2", "skipped  node/n1",
        "skipped  node/n0",
    ]  # fmt: skip
    assert f"gapcheck undo {run} continues" in said
    assert "node/n3 failed" in said
    assert site.repaired() == ["n0", "n1", "n3"]
    assert f"run {run}: partly undone" in site.run("runs", run).out

    code, said = undo(site, run)

    assert code == 0
    assert site.repaired() == []
    assert {target for _, target in steps(site, site.last_run())} == {
        "node/n0", "node/n1", "node/n3"
    }  # fmt: skip
    assert f"run {run}: undone" in site.run("runs", run).out


def test_a_batch_that_is_no_number_is_refused_before_anything_is_touched(site: SmallSite) -> None:
    code, said = undo(site, site.last_run(), "--batch", "x")
    assert code == 4
    assert "--batch x: not a number of nodes" in said
    assert site.repaired() == site.nodes()


def test_nodes_over_ssh_are_held_changed_and_undone_side_by_side(tmp_path: Path) -> None:
    with ssh_site(tmp_path, nodes=4) as site:
        before = site.snapshot()
        site.run("fix", "--site", "site.yaml", "--canary", 0, "--batch", "100%")
        assert site.repaired() == site.nodes()
        assert undo(site, site.last_run(), "--canary", 0, "--batch", "100%")[0] == 0
        after = site.snapshot()
        kept = {path: what for path, what in after.items() if "/state" not in path}
        assert kept == {path: what for path, what in before.items() if "/state" not in path}
        assert not list(site.folder.glob("*/state/lock*"))


def test_what_is_no_node_is_a_batch_of_its_own() -> None:
    names = ("cluster", "node/a", "node/b", "node/c", "registry", "site")
    found = in_batches(map(SubjectId, names), Pace(canary=1, batch=2))
    assert list(found) == [
        ("cluster",), ("node/a",), ("node/b", "node/c"), ("registry",), ("site",)
    ]  # fmt: skip
