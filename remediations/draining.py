"""Which nodes are drained around their changes, and which cannot be. Pure."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from gapcheck.fixtures.facts import ClusterFacts, FactSet, NodeFacts, Present
from gapcheck.model import CLUSTER, Cause, Risk, SubjectId, node_subject
from gapcheck.remediations.plan import (
    Change,
    DrainNode,
    PlannedChange,
    RestartUnit,
    Stage,
    UncordonNode,
)

_NODE = "node/"
WAIT_S = 300


class Drain(msgspec.Struct, frozen=True, kw_only=True):
    """How nodes are drained: how long evictions are waited for, whether emptyDir data may go."""

    timeout_s: int = WAIT_S
    delete_emptydir: bool = False


def place_of(change: Change) -> SubjectId:
    """The place that a change is made for: a drain is part of what is done to its node."""
    if isinstance(change, DrainNode | UncordonNode):
        return node_subject(change.name)
    return change.target


def undrainable(changes: Sequence[Change], drain: Drain | None, most: Risk, facts: FactSet) -> str:
    """Why `changes` of one finding cannot have their nodes drained, '' where they can."""
    nodes = [each.target for each in changes if _drains(each, facts)] if drain else []
    if not nodes:
        return ""
    if most.rank < Risk.OUTAGE.rank:
        return "needs --max-risk outage: with --drain, the node's pods are evicted"
    cluster = facts.by_subject.get(CLUSTER)
    known = cluster.nodes if isinstance(cluster, ClusterFacts) else None
    if not isinstance(known, Present):
        return "--drain: the cluster's nodes were not measured (cluster.kubeconfig)"
    names = {each.name for each in known.value}
    missing = [each for each in nodes if each.removeprefix(_NODE) not in names]
    if missing:
        return f"--drain: the cluster has no node called {missing[0].removeprefix(_NODE)}"
    return ""


def with_drains(
    changes: Sequence[PlannedChange], drain: Drain | None, facts: FactSet
) -> tuple[PlannedChange, ...]:
    """`changes` with each node that is restarted drained before, and uncordoned after its own."""
    nodes = {each.change.target for each in changes if _drains(each.change, facts)} if drain else ()
    if drain is None or not nodes:
        return tuple(changes)
    own = {
        node: [
            at
            for at, each in enumerate(changes)
            if each.change.target == node and each.stage <= Stage.RESTART
        ]
        for node in nodes
    }
    before = {places[0]: node for node, places in own.items()}
    after = {places[-1]: node for node, places in own.items()}
    found: list[PlannedChange] = []
    for at, each in enumerate(changes):
        if at in before:
            found.append(_draining(before[at], each.stage, changes, drain))
        found.append(each)
        if at in after:
            found.append(_uncordoning(after[at], changes))
    return tuple(found)


def left_cordoned(facts: FactSet) -> dict[str, str]:
    """The nodes that a repair cordoned and nobody uncordoned since, with its run."""
    cluster = facts.by_subject.get(CLUSTER)
    known = cluster.nodes if isinstance(cluster, ClusterFacts) else None
    nodes = known.value if isinstance(known, Present) else ()
    return {each.name: each.cordoned_by for each in nodes if each.cordoned_by}


def _drains(change: Change, facts: FactSet) -> bool:
    """Whether the change restarts what runs the pods of a node."""
    node = facts.by_subject.get(change.target)
    return isinstance(change, RestartUnit) and isinstance(node, NodeFacts) and node.running


def _draining(
    node: SubjectId, stage: int, changes: Sequence[PlannedChange], drain: Drain
) -> PlannedChange:
    change = DrainNode(
        target=CLUSTER,
        name=node.removeprefix(_NODE),
        timeout_s=drain.timeout_s,
        delete_emptydir=drain.delete_emptydir,
    )
    lost = "; emptyDir data is deleted" if drain.delete_emptydir else ""
    note = (
        f"cordoned, its pods evicted by their disruption budgets, waited for up to "
        f"{drain.timeout_s} s{lost}; an undo does not bring the pods back"
    )
    return PlannedChange(
        id=change.id, change=change, stage=stage, causes=_causes(node, changes), note=note
    )


def _uncordoning(node: SubjectId, changes: Sequence[PlannedChange]) -> PlannedChange:
    change = UncordonNode(target=CLUSTER, name=node.removeprefix(_NODE))
    return PlannedChange(
        id=change.id,
        change=change,
        stage=Stage.RESTART,
        causes=_causes(node, changes),
        note="unless it was cordoned before",
    )


def _causes(node: SubjectId, changes: Sequence[PlannedChange]) -> tuple[Cause, ...]:
    mine = (each for each in changes if each.change.target == node)
    return tuple(dict.fromkeys(cause for each in mine for cause in each.causes))
