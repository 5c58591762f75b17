"""Records of large sites, judged by the real engine: equal nodes, and some that are not."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import msgspec
from support.certs import NOW
from support.healthy import healthy, other_ca, site, with_facts, with_file
from support.records import finding, run_info, verdict

from gapcheck.certificate_life import certificate_lives
from gapcheck.engine import Evaluation
from gapcheck.fixtures.fact_set import FactSet
from gapcheck.fixtures.facts import NodeFacts, Present, Unreadable
from gapcheck.fixtures.kube_facts import KubeNode
from gapcheck.model import Gap, Status, SubjectId
from gapcheck.record import Record
from gapcheck.registry import catalogue
from gapcheck.suite import describe

NODE = SubjectId("node/debian")
TRUST_FILES = (
    "/etc/containerd/certs.d/registry.local/ca.crt",
    "/usr/local/share/ca-certificates/example-registry.crt",
    "/etc/ssl/certs/ca-certificates.crt",
)


def three_roots(count: int = 300) -> Record:
    """An expired certificate, nodes that don't trust the CA, and nodes that did not answer."""
    _, facts = healthy()
    debian: Any = facts.by_subject[NODE]
    for path in TRUST_FILES:
        facts = with_file(facts, NODE, path, other_ca().pem)
    untrusting: Any = facts.by_subject[NODE]
    nodes: dict[str, NodeFacts] = {}
    gaps = []
    for number in range(count):
        name = f"rack{number // 40}-n{number:05d}"
        if number % 60 == 7:
            gaps.append(Gap(subject=SubjectId(f"node/{name}"), stage="connect",
                            reason="ssh: connect to host: No route to host"))  # fmt: skip
            continue
        nodes[name] = untrusting if number % 5 == 0 else debian
    every = [f"rack{number // 40}-n{number:05d}" for number in range(count)]
    return judged(facts, nodes, every=every, gaps=tuple(gaps), now=NOW + timedelta(days=400))


def one_in_a_hundred(count: int) -> Record:
    """`count` nodes, of which every hundredth has a hosts file that could not be read."""
    _, facts = healthy()
    debian: Any = facts.by_subject[NODE]
    bad = msgspec.structs.replace(
        debian, files={**debian.files, "/etc/hosts": Unreadable("permission denied")}
    )
    names = [f"n{number:05d}" for number in range(count)]
    nodes = {name: bad if number % 100 == 0 else debian for number, name in enumerate(names)}
    return judged(facts, nodes, every=names)


def distinct(nodes: int, checks: int) -> Record:
    """Every node unlike every other, with words of its own: the worst that grouping can meet."""
    statuses = (Status.PASS, Status.FAIL, Status.WARN, Status.ERROR, Status.BLOCKED)
    verdicts = []
    for check in range(checks):
        for node in range(nodes):
            status = statuses[(node // 5 ** (check % 6) + check) % 5]
            said = (finding(f"of n{node} {check} is wrong, {'word ' * 20}"),)
            bad = status in (Status.FAIL, Status.WARN)
            verdicts.append(verdict(
                f"NODE-X{check}-001", f"node/rack-with-a-long-name-{node:06d}.example.org", status,
                findings=said if bad else (),
                reason=f"reason {node}" if status in (Status.ERROR, Status.BLOCKED) else "",
            ))  # fmt: skip
    return Record(run=run_info(), verdicts=tuple(verdicts))


def judged(
    facts: FactSet,
    nodes: dict[str, NodeFacts],
    *,
    every: list[str],
    gaps: tuple[Gap, ...] = (),
    now: datetime = NOW,
) -> Record:
    """The record of the healthy site with `nodes` instead of its own; `every` are named by it."""
    of = site(nodes=[{"name": name, "target": f"ssh://root@{name}"} for name in every])
    others = {s: f for s, f in facts.by_subject.items() if not s.startswith("node/")}
    by_subject = {**others, **{SubjectId(f"node/{name}"): fact for name, fact in nodes.items()}}
    changed = msgspec.structs.replace(facts, by_subject=by_subject, gaps=gaps)
    changed = with_facts(changed, "cluster", nodes=Present(tuple(map(kube_node, every))))
    verdicts = tuple(Evaluation(of, changed, catalogue(), now=now).all())
    return Record(
        run=run_info(site="example", now=now, taken_at=now, started=now, finished=now),
        verdicts=verdicts,
        gaps=gaps,
        catalogue=describe(verdict.check for verdict in verdicts),
        certificates=certificate_lives(changed),
    )


def kube_node(name: str) -> KubeNode:
    """The node as the cluster knows it."""
    return KubeNode(
        name=name, schedulable=True, ready=True, arch="amd64", runtime="containerd://1.6.20"
    )
