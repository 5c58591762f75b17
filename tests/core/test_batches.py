"""Nodes are repaired one first, then in batches; what goes wrong is rolled back and ends it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.mounts import read_only
from support.places import plan_of
from support.small_site import SmallSite, small_site

from gapcheck.errors import UsageError
from gapcheck.model import REGISTRY, SITE, SubjectId
from gapcheck.remediations.plan import (
    EditBlock,
    Literal,
    Plan,
    PlannedChange,
    RestartUnit,
    Stage,
    WriteFile,
)
from gapcheck.remediations.rolling import Pace, Part, parse_pace, parts


@pytest.fixture
def site(tmp_path: Path) -> SmallSite:
    return small_site(tmp_path / "site", nodes=5)


def fix(site: SmallSite, *words: object) -> tuple[int, str]:
    done = site.run("fix", "--site", "site.yaml", *words)
    return done.code, done.out + done.err


def test_a_batch_that_fails_is_rolled_back_and_the_rest_is_not_begun(site: SmallSite) -> None:
    before = site.snapshot()
    with read_only(site.root("n2") / "etc"):
        code, said = fix(site, "--canary", 1, "--batch", 2)

    assert code == 7
    assert site.repaired() == ["n0"]
    assert "batch 2 of 3 failed (node/n2); not begun: node/n3, node/n4" in said
    assert "undone     node/n1 edit block /etc/hosts: rolled back" in said
    after = site.snapshot()
    changed = {path for path in before if before[path] != after[path]}
    assert changed == {str(site.hosts("n0"))}
    code, said = fix(site)
    assert site.repaired() == site.nodes(), said


def test_a_canary_whose_other_checks_break_ends_the_run(tmp_path: Path) -> None:
    """The hosts file is edited in place, so that a second name of it changes as well."""
    site = small_site(tmp_path / "site", nodes=3)
    site.hosts("n0").unlink()
    os.link(site.root("n0") / "etc/containerd/config.toml", site.hosts("n0"))
    before = site.snapshot()

    code, said = fix(site)

    assert code == 7
    assert "batch 1 of 3 broke RUN-CONF-001::node/n0; not begun: node/n1, node/n2" in said
    assert site.snapshot() == before


def test_a_plan_is_applied_in_batches_as_well(site: SmallSite) -> None:
    assert site.run("plan", "--site", "site.yaml", "-o", "plan.json").code == 1
    with read_only(site.root("n0") / "etc"):
        done = site.run(
            "apply", "plan.json", "--site", "site.yaml", "--canary", 2, "--batch", "50%"
        )

    assert done.code == 7
    assert "batch 1 of 3 failed (node/n0); not begun: node/n2, node/n3, node/n4" in (
        done.out + done.err
    )
    assert site.repaired() == []


@pytest.mark.parametrize("odd", ["0", "x", "-1", "101%", "%", "1.5", "٣"])
def test_a_batch_that_is_no_number_of_nodes_is_a_usage_error(odd: str) -> None:
    with pytest.raises(UsageError, match="as in 5, or 10%"):
        parse_pace(None, odd)


@pytest.mark.parametrize(
    ("canary", "batch", "nodes", "sizes"),
    [
        (None, None, 25, [1, *[2] * 12]),
        (None, None, 3, [1, 1, 1]),
        (None, None, 1, [1]),
        (0, "100%", 7, [7]),
        (3, "10", 300, [3, *[10] * 29, 7]),
        (5, None, 5, [1, 1, 1, 1, 1]),
    ],
)
def test_sizes_of_batches(
    canary: int | None, batch: str | None, nodes: int, sizes: list[int]
) -> None:
    assert list(parse_pace(canary, batch).sizes(nodes)) == sizes


def block(target: SubjectId) -> EditBlock:
    return EditBlock(target=target, path="/etc/hosts", before_sha256=None, marker="m", lines=("l",))


def restart(target: SubjectId) -> RestartUnit:
    return RestartUnit(target=target, unit="u.service")


def own(target: SubjectId, stage: Stage) -> WriteFile:
    return WriteFile(
        target=target, path=f"/{stage}", before_sha256=None, content=Literal(b""), stage=stage
    )


def staged(*changes: tuple[object, Stage]) -> Plan:
    plan = plan_of(*(change for change, _ in changes))
    numbered = (
        PlannedChange(id=e.id, change=e.change, stage=stage, causes=())
        for e, (_, stage) in zip(plan.changes, changes, strict=True)
    )
    return Plan(round=1, changes=tuple(sorted(numbered, key=lambda each: each.stage)))


def test_the_site_s_own_parts_come_before_and_after_all_nodes() -> None:
    a, b = SubjectId("node/a"), SubjectId("node/b")
    plan = staged(
        (own(SITE, Stage.ISSUE), Stage.ISSUE),
        *((block(each), Stage.NAMES) for each in (a, b)),
        *((restart(each), Stage.RESTART) for each in (a, b)),
        (restart(REGISTRY), Stage.REGISTRY),
        *((own(each, Stage.CLEANUP), Stage.CLEANUP) for each in (a, b)),
    )

    found = parts(plan, Pace())

    assert [(each.name, each.nodes, len(each.changes)) for each in found] == [
        ("what comes before the nodes", (), 1),
        ("batch 1 of 2", (a,), 2),
        ("batch 2 of 2", (b,), 2),
        ("what relies on all nodes", (), 1),
        ("batch 1 of 2", (a,), 1),
        ("batch 2 of 2", (b,), 1),
    ]


targets = st.sampled_from([SITE, REGISTRY, *(SubjectId(f"node/n{n}") for n in range(7))])
stages = st.sampled_from(list(Stage))
paces = st.builds(Pace, canary=st.integers(0, 3), batch=st.integers(0, 3))


@given(st.lists(st.tuples(targets, stages), unique=True, max_size=30), paces)
def test_every_change_is_in_one_part_and_each_target_keeps_its_order(
    wanted: list[tuple[SubjectId, Stage]], pace: Pace
) -> None:
    plan = staged(*((own(target, stage), stage) for target, stage in wanted))

    done = [change for part in parts(plan, pace) for change in part.changes]

    assert sorted(each.id for each in done) == sorted(each.id for each in plan.changes)
    for target, _ in wanted:
        of = [each.stage for each in done if each.change.target == target]
        assert of == sorted(of)
    assert _leaf_is_last(parts(plan, pace))


def _leaf_is_last(found: tuple[Part, ...]) -> bool:
    """Whether no node is prepared after the site has switched."""
    whole = [each for each in found if each.name == "what relies on all nodes"]
    after = found[found.index(whole[0]) + 1 :] if whole else ()
    return all(change.stage > Stage.RESTART for part in after for change in part.changes)
