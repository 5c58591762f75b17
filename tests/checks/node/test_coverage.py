from __future__ import annotations

from typing import Any

import msgspec
import pytest
from support.healthy import CONFIG_2, ca, healthy, site, verdict_of, with_facts, with_file
from support.nodes import BARE_2, CONFIG, config, docker_node, node, put, untrusting

from gapcheck.fixtures.fact_set import FactSet
from gapcheck.fixtures.facts import Absent, Present, Unreadable
from gapcheck.fixtures.kube_facts import KubeNode
from gapcheck.model import Gap, Status, SubjectId

NEW = KubeNode(
    name="node-3",
    schedulable=True,
    ready=True,
    runtime="containerd://2.4.2",
    addresses=("10.0.0.13",),
)


def with_node(facts: FactSet, node: KubeNode) -> FactSet:
    cluster: Any = facts.by_subject[SubjectId("cluster")]
    return with_facts(facts, "cluster", nodes=Present((*cluster.nodes.value, node)))


def without(facts: FactSet, subject: str, reason: str) -> FactSet:
    kept = {key: value for key, value in facts.by_subject.items() if key != subject}
    gap = Gap(subject=SubjectId(subject), stage="probe", reason=reason)
    return msgspec.structs.replace(facts, by_subject=kept, gaps=(gap,))


def test_all_nodes_measured_passes() -> None:
    of, facts = healthy()
    assert verdict_of("NODE-SET-001", facts, of, "nodes").status is Status.PASS


def test_schedulable_node_that_the_site_does_not_name_fails() -> None:
    facts = with_node(healthy()[1], NEW)
    verdict = verdict_of("NODE-SET-001", facts, site(), "nodes")
    assert verdict.status is Status.FAIL
    assert [each.locus for each in verdict.findings] == ["node-3"]


def test_cordoned_node_need_not_be_named() -> None:
    cordoned = msgspec.structs.replace(NEW, schedulable=False)
    facts = with_node(healthy()[1], cordoned)
    assert verdict_of("NODE-SET-001", facts, site(), "nodes").status is Status.PASS


def test_node_is_matched_by_its_address_too() -> None:
    facts = with_node(healthy()[1], msgspec.structs.replace(NEW, addresses=("10.0.0.11",)))
    assert verdict_of("NODE-SET-001", facts, site(), "nodes").status is Status.PASS


def test_node_that_was_not_reached_is_an_error_and_never_a_pass() -> None:
    facts = without(healthy()[1], "node/rhel", "connection refused")
    verdict = verdict_of("NODE-SET-001", facts, site(), "nodes")
    assert verdict.status is Status.ERROR
    assert "connection refused" in verdict.reason


def test_unreadable_list_of_nodes_is_an_error() -> None:
    facts = with_facts(healthy()[1], "cluster", nodes=Unreadable("forbidden"))
    assert verdict_of("NODE-SET-001", facts, site(), "nodes").status is Status.ERROR


def test_without_cluster_the_sites_own_nodes_are_the_set() -> None:
    facts = without(healthy()[1], "cluster", "not named")
    assert verdict_of("NODE-SET-001", facts, site(cluster=None), "nodes").status is Status.PASS
    facts = with_facts(healthy()[1], "cluster", nodes=Absent(), source="manifests")
    assert verdict_of("NODE-SET-001", facts, site(), "nodes").status is Status.PASS


def test_equal_nodes_agree() -> None:
    of, facts = healthy()
    assert verdict_of("NODE-SET-002", facts, of, "nodes").status is Status.PASS


def test_deviating_node_is_one_finding_with_what_differs() -> None:
    facts, _ = untrusting("rhel")
    verdict = verdict_of("NODE-SET-002", facts, site(), "nodes")
    assert [(each.locus, each.problem) for each in verdict.findings] == [
        ("rhel", "rhel differs from the others in: system store holds the CA")
    ]


def test_other_config_path_deviates() -> None:
    facts = config(healthy()[1], "node/rhel", BARE_2)
    verdict = verdict_of("NODE-SET-002", facts, site(), "nodes")
    assert "config_path" in verdict.findings[0].problem


def test_peer_that_cannot_be_compared_is_an_error() -> None:
    path = "/etc/containerd/config.toml"
    facts = with_file(healthy()[1], "node/rhel", path, Unreadable("denied"))
    verdict = verdict_of("NODE-SET-002", facts, site(), "nodes")
    assert verdict.status is Status.ERROR
    assert "node/rhel" in verdict.reason


def test_one_node_agrees_with_itself() -> None:
    facts = without(healthy()[1], "node/rhel", "gone")
    assert verdict_of("NODE-SET-002", facts, site(), "nodes").status is Status.NOT_APPLICABLE


def test_site_without_nodes_has_no_set() -> None:
    of = site(nodes={"from": "cluster"})
    assert verdict_of("NODE-SET-001", healthy()[1], of, "nodes").status is Status.NOT_APPLICABLE


def test_cluster_that_was_not_measured_is_an_error_or_blocked() -> None:
    facts = without(healthy()[1], "cluster", "no route to host")
    verdict = verdict_of("NODE-SET-001", facts, site(), "nodes")
    assert verdict.status is Status.BLOCKED


def test_peer_whose_trust_is_not_known_is_an_error() -> None:
    facts, subject = untrusting("rhel", folder=False)
    bundle = "/etc/pki/tls/certs/ca-bundle.crt"
    facts = with_file(facts, subject, bundle, Unreadable("denied"))
    assert verdict_of("NODE-SET-002", facts, site(), "nodes").status is Status.ERROR


def test_peer_without_runtime_and_resolver_is_compared_in_what_it_has() -> None:
    facts, subject, _ = node("rhel")
    facts = docker_node(facts, subject)
    facts = put(facts, subject, "/etc/docker/certs.d/registry.local/ca.crt", ca().pem)
    facts = with_facts(facts, subject, resolver={})
    assert verdict_of("NODE-SET-002", facts, site(), "nodes").status is Status.PASS


@pytest.mark.parametrize("name", ["debian", "rhel"])
def test_of_two_nodes_the_one_without_the_ca_is_the_deviating_one(name: str) -> None:
    facts, _ = untrusting(name, folder=False)
    verdict = verdict_of("NODE-SET-002", facts, site(), "nodes")
    assert {each.locus for each in verdict.findings} == {name}


def test_two_sound_nodes_that_differ_are_divided_and_neither_is_blamed() -> None:
    facts = put(healthy()[1], "node/rhel", "/srv/certs.d/registry.local/ca.crt", ca().pem)
    facts = config(facts, "node/rhel", CONFIG_2.replace("/etc/containerd/certs.d", "/srv/certs.d"))
    verdict = verdict_of("NODE-SET-002", facts, site(), "nodes")
    assert [each.locus for each in verdict.findings] == ["divided"]
    shown = [each.value for each in verdict.findings[0].evidence]
    assert shown == ["/etc/containerd/certs.d: debian", "/srv/certs.d: rhel"]


def test_configuration_that_does_not_parse_is_not_called_not_set() -> None:
    facts = put(healthy()[1], "node/rhel", CONFIG, "[broken")
    verdict = verdict_of("NODE-SET-002", facts, site(), "nodes")
    (found,) = verdict.findings
    assert found.locus == "rhel"
    assert any("does not parse" in each.value for each in found.evidence)
    assert "RUN-CONF-001" in found.because
