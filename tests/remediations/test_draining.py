"""Nodes whose runtime restarts are drained around their own changes, where that can be done."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from support.certs import NOW
from support.command import Ended, gapcheck
from support.healthy import CONFIG_1, CONFIG_2, healthy, with_facts, with_file
from support.nodes import CONFIG, guide

from gapcheck.engine import Evaluation
from gapcheck.fixtures.bundle import write_bundle
from gapcheck.fixtures.fact_set import FactSet
from gapcheck.fixtures.facts import Present, Unreadable
from gapcheck.model import CLUSTER, REGISTRY, Risk, SubjectId
from gapcheck.registry import catalogue
from gapcheck.remediations.draining import Drain, left_cordoned, place_of, with_drains
from gapcheck.remediations.plan import (
    DrainNode,
    EditBlock,
    Plan,
    PlannedChange,
    RestartUnit,
    Stage,
    UncordonNode,
)
from gapcheck.remediations.planner import Wanted, build_plan
from gapcheck.remediations.rolling import Pace, parse_pace, parts

DEBIAN, RHEL = SubjectId("node/debian"), SubjectId("node/rhel")


def broken() -> FactSet:
    """Both nodes verify nothing, and have to restart their runtime for it."""
    facts = healthy()[1]
    for node, config in ((DEBIAN, CONFIG_1), (RHEL, CONFIG_2)):
        facts = with_file(facts, node, CONFIG, (config + guide()).encode())
    return facts


def planned(facts: FactSet | None = None, **more: Any) -> Plan:
    site = healthy()[0]
    evaluation = Evaluation(site, facts or broken(), catalogue(), now=NOW)
    more = {"max_risk": Risk.OUTAGE, "drain": Drain(), "targets": ("debian", "rhel"), **more}
    return build_plan(evaluation, wanted=Wanted(**more))


def names(plan: Plan) -> list[str]:
    return [
        f"{type(each.change).__name__} {place_of(each.change).removeprefix('node/')}"
        for each in plan.changes
    ]


def of_node(plan: Plan, node: str) -> list[str]:
    return [each.partition(" ")[0] for each in names(plan) if each.endswith(f" {node}")]


def whys(plan: Plan) -> set[str]:
    return {each.why for each in plan.unplanned}


def test_each_node_is_drained_first_and_uncordoned_last() -> None:
    plan = planned()
    for node in ("debian", "rhel"):
        kinds = of_node(plan, node)
        assert kinds[0] == "DrainNode"
        assert kinds[-1] == "UncordonNode"
        assert kinds.count("DrainNode") == kinds.count("UncordonNode") == 1
        assert "RestartUnit" in kinds
    drain = next(each for each in plan.changes if isinstance(each.change, DrainNode))
    assert drain.change.risk is Risk.OUTAGE
    assert "waited for up to 300 s" in drain.note
    assert drain.causes


def test_how_to_drain_is_part_of_the_plan() -> None:
    plan = planned(drain=Drain(timeout_s=9, delete_emptydir=True))
    drains = [each for each in plan.changes if isinstance(each.change, DrainNode)]
    assert {(each.change.timeout_s, each.change.delete_emptydir) for each in drains} == {(9, True)}
    assert all("up to 9 s; emptyDir data is deleted" in each.note for each in drains)


def test_without_being_asked_nothing_is_drained() -> None:
    assert not any("Drain" in each or "Uncordon" in each for each in names(planned(drain=None)))


def test_a_node_that_may_not_be_drained_is_not_changed_either() -> None:
    plan = planned(max_risk=Risk.RESTART)
    assert plan.changes == ()
    assert "needs --max-risk outage: with --drain, the node's pods are evicted" in whys(plan)


def test_a_node_that_the_cluster_does_not_know_is_not_changed() -> None:
    facts = broken()
    cluster: Any = facts.by_subject[CLUSTER]
    nodes = tuple(each for each in cluster.nodes.value if each.name != "rhel")
    plan = planned(with_facts(facts, CLUSTER, nodes=Present(nodes)))
    assert of_node(plan, "debian")[0] == "DrainNode"
    assert of_node(plan, "rhel") == []
    assert "--drain: the cluster has no node called rhel" in whys(plan)


def test_a_cluster_whose_nodes_were_not_measured_drains_nothing() -> None:
    plan = planned(with_facts(broken(), CLUSTER, nodes=Unreadable("forbidden")))
    assert plan.changes == ()
    assert "--drain: the cluster's nodes were not measured (cluster.kubeconfig)" in whys(plan)


def test_the_root_of_an_image_is_not_drained() -> None:
    facts = with_facts(broken(), DEBIAN, running=False)
    assert "DrainNode" not in of_node(planned(facts), "debian")


def one(change: Any, stage: Stage) -> PlannedChange:
    return PlannedChange(id=change.id, change=change, stage=stage, causes=())


def block(target: SubjectId) -> PlannedChange:
    change = EditBlock(target=target, path="/x", before_sha256=None, marker="m", lines=())
    return one(change, Stage.NAMES)


def restart(target: SubjectId) -> PlannedChange:
    return one(RestartUnit(target=target, unit="u"), Stage.RESTART)


def test_a_node_without_a_restart_and_the_registry_are_left_alone() -> None:
    changes = (block(DEBIAN), block(RHEL), restart(RHEL), restart(REGISTRY))
    facts = healthy()[1]
    found = with_drains(changes, Drain(), facts)
    plan = Plan(round=1, changes=found)
    assert names(plan) == [
        "EditBlock debian", "DrainNode rhel", "EditBlock rhel", "RestartUnit rhel",
        "UncordonNode rhel", "RestartUnit registry",
    ]  # fmt: skip
    assert with_drains((block(DEBIAN),), Drain(), facts) == (block(DEBIAN),)


def test_a_drain_is_in_the_batch_of_its_node() -> None:
    changes = (block(DEBIAN), block(RHEL), restart(DEBIAN), restart(RHEL))
    plan = Plan(round=1, changes=with_drains(changes, Drain(), healthy()[1]))
    found = parts(plan, Pace())
    assert [each.nodes for each in found] == [(DEBIAN,), (RHEL,)]
    assert [len(each.changes) for each in found] == [4, 4]


def test_nodes_are_drained_one_at_a_time_unless_a_batch_says_otherwise() -> None:
    assert list(parse_pace(None, None, drains=True).sizes(30)) == [1] * 30
    assert list(parse_pace(0, "3", drains=True).sizes(9)) == [3, 3, 3]


def test_nodes_that_a_repair_left_cordoned_are_known() -> None:
    facts = healthy()[1]
    cluster: Any = facts.by_subject[CLUSTER]
    first, second = cluster.nodes.value
    left = msgspec.structs.replace(first, schedulable=False, cordoned_by="run-1")
    facts = with_facts(facts, CLUSTER, nodes=Present((left, second)))
    assert left_cordoned(facts) == {"debian": "run-1"}
    assert left_cordoned(with_facts(facts, CLUSTER, nodes=Unreadable("x"))) == {}


def test_a_change_has_the_place_of_its_node() -> None:
    assert place_of(DrainNode(target=CLUSTER, name="a", timeout_s=1)) == "node/a"
    assert place_of(UncordonNode(target=CLUSTER, name="a")) == "node/a"
    assert place_of(RestartUnit(target=REGISTRY, unit="u")) == REGISTRY


@pytest.mark.parametrize("change", [DrainNode(target=CLUSTER, name="a", timeout_s=1)])
def test_an_id_holds_how_the_node_is_drained(change: DrainNode) -> None:
    assert change.id != msgspec.structs.replace(change, timeout_s=2).id


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    """What was measured of the broken site, as a file."""
    path = tmp_path / "site.tar.gz"
    write_bundle(path, healthy()[0], broken())
    return path


def ask(bundle: Path, *words: object) -> Ended:
    return gapcheck(bundle.parent, "plan", "--bundle", bundle, "--target", "debian", *words)


def test_the_command_plans_drains_where_it_is_told_to(bundle: Path) -> None:
    risk = ("--max-risk", "outage")
    found = ask(bundle, "--drain", *risk, "-o", "plan.json")
    assert "drain node  cluster debian  (outage)" in found.out
    assert "uncordon node  cluster debian  (safe)" in found.out
    asked = json.loads((bundle.parent / "plan.json").read_text())["asked"]
    assert asked["drain"] == {"timeout_s": 300, "delete_emptydir": False}
    timed = ask(bundle, "--drain", *risk, "--drain-timeout", 7, "--delete-emptydir-data")
    assert "waited for up to 7 s; emptyDir data is deleted" in timed.out
    assert "drain node" not in ask(bundle, *risk).out
    assert "needs --max-risk outage: with --drain" in ask(bundle, "--drain").out


@pytest.mark.parametrize("word", ["--delete-emptydir-data", "--drain-timeout=3"])
def test_how_to_drain_without_draining_is_a_usage_error(bundle: Path, word: str) -> None:
    done = ask(bundle, word)
    assert done.code == 4
    assert "add --drain" in done.err
