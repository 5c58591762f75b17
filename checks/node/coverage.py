"""Guide step 5: all nodes that will run the product were prepared, and equally."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from urllib.parse import urlsplit

from gapcheck.counting import counted
from gapcheck.errors import NotApplicable, Unmeasured
from gapcheck.fixtures.effective import effective_registry
from gapcheck.fixtures.facts import NodeFacts, Present, measured
from gapcheck.fixtures.kube_facts import KubeNode
from gapcheck.fixtures.node_trust import node_trust
from gapcheck.model import (
    CLUSTER,
    CheckId,
    Evidence,
    Finding,
    Scope,
    Severity,
    SubjectId,
    node_subject,
)
from gapcheck.registry import Judgement, Source, check
from gapcheck.view import NodesView, View

_SHOWN = 12
_YES = "yes"
_CONFIG_PATH, _UNPARSED = "config_path", "not read: the configuration does not parse"
_IN_EFFECT, _IN_STORE = _SOUND = ("CA in effect", "system store holds the CA")
_ROOTS = tuple(map(CheckId, ("RUN-CONF-001", "NODE-TRUST-001", "RUN-CONF-002", "DNS-NODE-001")))


@check(
    "NODE-SET-001",
    scope=Scope.NODES,
    severity=Severity.MAJOR,
    after=("SITE-CLUSTER-001",),
    source=Source(step=5, fault=("N11",)),
    manual="Add the node to `nodes` in the site file, or prepare it with the script of "
    "`gapcheck export node-init`; gapcheck does not open machines that nobody named.",
)
def every_schedulable_node_was_measured(view: NodesView) -> Judgement:
    """Every node that may run pods is named by the site and was measured."""
    site_nodes = {node_subject(node.name): node.target for node in view.site.node_list}
    if not site_nodes:
        raise NotApplicable("the site has no nodes")
    unmeasured = [each for each in site_nodes if not view.has(each)]
    schedulable = _schedulable(view)
    for node in schedulable:
        if _subject_of(node, site_nodes) is None:
            yield _unnamed(node)
    measured_count = len(site_nodes) - len(unmeasured)
    yield Evidence(
        "measured", f"{measured_count} of {counted(len(site_nodes), 'node')} of the site"
    )
    yield Evidence("schedulable", str(len(schedulable)), "Node objects")
    for subject in unmeasured:
        reason = view.gap(subject) or "it was not looked at"
        raise Unmeasured("anything", reason, subject)


@check(
    "NODE-SET-002",
    scope=Scope.NODES,
    severity=Severity.MINOR,
    source=Source(step=5, fault=("N11",)),
    manual="The deviating node's own findings say what to repair; where a node differs on "
    "purpose, a waiver with this check's id and the node as locus records that.",
)
def nodes_agree(view: NodesView) -> Judgement:
    """All nodes trust the same CA in the same way and answer the registry's name alike."""
    peers = view.peers
    if len(peers) < 2:  # noqa: PLR2004 - one node agrees with itself
        raise NotApplicable("fewer than two nodes were measured")
    traits, gap = _compared(view, peers)
    common = {name: _commonest(traits, name) for name in _names(traits)}
    for subject, own in sorted(traits.items()):
        different = {
            name: value for name, value in own.items() if common[name] and value != common[name]
        }
        if different:
            yield _deviates(subject, different, common)
    divided = [name for name, value in common.items() if not value]
    if divided:
        yield _divided(traits, divided)
    for name, value in common.items():
        yield Evidence(name, value or "divided", f"most of {len(traits)} nodes")
    if gap:
        raise gap


def _schedulable(view: NodesView) -> tuple[KubeNode, ...]:
    """The cluster's schedulable nodes, () where the site has no live cluster."""
    if view.site.cluster is None:
        return ()
    if not view.has(CLUSTER):
        raise Unmeasured("the list of nodes", view.gap(CLUSTER) or "not looked at", CLUSTER)
    nodes = measured(view.cluster.nodes, "the list of nodes", CLUSTER) or ()
    return tuple(node for node in nodes if node.schedulable)


def _subject_of(node: KubeNode, site_nodes: Mapping[SubjectId, str]) -> SubjectId | None:
    """The site's subject for a Node object: by its name, else by one of its addresses."""
    subject = node_subject(node.name)
    if subject in site_nodes:
        return subject
    for known, target in site_nodes.items():
        host = urlsplit(f"//{target.partition('://')[2]}").hostname or ""
        if host == node.name.lower() or host in node.addresses:
            return known
    return None


def _unnamed(node: KubeNode) -> Finding:
    return Finding(
        problem=f"{node.name} may run pods and is not among the site's nodes",
        evidence=(
            Evidence("addresses", ", ".join(node.addresses) or "none", "Node object"),
            Evidence("runtime", node.runtime or "not said", "Node object"),
        ),
        consequence="nothing is known of it: pods placed there may not be able to pull",
        remedy_hint="add it to nodes in the site file, or cordon it",
        locus=node.name,
        data={"node": node.name},
    )


def _traits(view: NodesView, subject: SubjectId) -> Iterator[tuple[str, str]]:
    """What has to be alike on all nodes. Raises Unmeasured where it is not known."""
    node: View[NodeFacts] = view.of(subject)
    trust = node_trust(node)
    for gap in trust.gaps if trust.missing else ():
        raise gap
    yield _IN_EFFECT, "no" if trust.missing else _YES
    yield _IN_STORE, _YES if trust.store_holds else "no"
    effective = effective_registry(node)
    if effective and effective.defect:
        yield _CONFIG_PATH, _UNPARSED
    elif effective and effective.config:
        yield _CONFIG_PATH, effective.config.config_path or "not set"
        yield "CAs of the registry's folder", _short(effective.fingerprints)
    host = view.site.registry.host
    answer = node.facts.resolver.get(host)
    if isinstance(answer, Present):
        yield f"address of {host}", ", ".join(sorted(answer.value)) or "none"


def _short(fingerprints: frozenset[str]) -> str:
    return ", ".join(sorted(each[:_SHOWN] for each in fingerprints)) or "none"


def _compared(
    view: NodesView, peers: Iterable[SubjectId]
) -> tuple[dict[SubjectId, Mapping[str, str]], Unmeasured | None]:
    """The traits of each node that was measured, and the first gap."""
    traits: dict[SubjectId, Mapping[str, str]] = {}
    gap: Unmeasured | None = None
    for subject in peers:
        try:
            traits[subject] = dict(_traits(view, subject))
        except Unmeasured as missing:
            gap = gap or Unmeasured(missing.what, missing.reason, subject)
    return traits, gap


def _names(traits: Mapping[SubjectId, Mapping[str, str]]) -> tuple[str, ...]:
    return tuple({name: None for _, own in sorted(traits.items()) for name in own})


def _commonest(traits: Mapping[SubjectId, Mapping[str, str]], name: str) -> str:
    """The value of most nodes; of equally many that of the sounder ones; '' = neither."""
    ranks: dict[str, tuple[int, int]] = {}
    for own in traits.values():
        if name in own:
            count, sound = ranks.get(own[name], (0, 0))
            ranks[own[name]] = (count + 1, sound + _soundness(own))
    best = max(ranks.values())
    found = [value for value, rank in ranks.items() if rank == best]
    return found[0] if len(found) == 1 else ""


def _soundness(own: Mapping[str, str]) -> int:
    return sum(own[each] == _YES for each in _SOUND) - (own.get(_CONFIG_PATH) == _UNPARSED)


def _divided(traits: Mapping[SubjectId, Mapping[str, str]], names: list[str]) -> Finding:
    groups: dict[tuple[str, str], list[str]] = {}
    for subject, own in sorted(traits.items()):
        for name in names:
            if name in own:
                groups.setdefault((name, own[name]), []).append(subject.partition("/")[2])
    return Finding(
        problem=f"the nodes are divided, as many each way, in: {', '.join(names)}",
        evidence=tuple(
            Evidence(name, f"{value}: {', '.join(nodes[:_SHOWN])}")
            for (name, value), nodes in groups.items()
        ),
        consequence="pods start or fail depending on the node they are placed on",
        remedy_hint="decide which of them is meant",
        locus="divided",
        because=_ROOTS,
    )


def _deviates(subject: str, different: Mapping[str, str], common: Mapping[str, str]) -> Finding:
    node = subject.partition("/")[2]
    listed = ", ".join(different)
    return Finding(
        problem=f"{node} differs from the others in: {listed}",
        evidence=tuple(
            Evidence(name, f"{value} (the others: {common[name]})", subject)
            for name, value in different.items()
        ),
        consequence="pods start or fail depending on the node they are placed on",
        remedy_hint=f"repair the findings of {node}",
        locus=node,
        because=_ROOTS,
    )
