from __future__ import annotations

from typing import Any

import pytest
from support.certs import NOW
from support.healthy import COREFILE, healthy, with_facts
from support.kube import DNS_ENTRY, NODE_LOCAL, judged, planned, with_texts, with_upstream

from gapcheck.errors import CannotPlan
from gapcheck.fixtures.facts import Absent, Present
from gapcheck.fixtures.kube_facts import NameServer, Volume, Workload
from gapcheck.model import Finding, Risk, Status, SubjectId
from gapcheck.remediations.dns.coredns import plan_node_local_entry, plan_sound_corefile
from gapcheck.remediations.plan import PatchObject
from gapcheck.view import View

CORE, LOCAL = "DNS-CORE-001", "DNS-CORE-002"


@pytest.mark.parametrize(
    "text",
    [
        COREFILE.replace("        fallthrough\n", ""),
        COREFILE.replace("fallthrough", "falthrough"),
        COREFILE.replace("hosts {", "hosts registry.local {"),
        COREFILE.replace(DNS_ENTRY, DNS_ENTRY * 2),
    ],
    ids=["no fallthrough", "misspelt", "name as file", "twice"],
)
def test_a_defect_of_the_hosts_block_is_patched_and_then_all_is_right(text: str) -> None:
    changes = planned(CORE, with_texts(coredns=text), healthy()[0], "dns")
    change = changes[0]
    assert len(changes) == 1
    assert isinstance(change, PatchObject)
    assert (change.namespace, change.name, change.uid) == ("kube-system", "coredns", "u-9")
    assert change.risk is Risk.SAFE
    after = with_texts(coredns=change.patch["data"]["Corefile"])
    for check in (CORE, "DNS-POD-001"):
        assert judged(check, after, healthy()[0], "dns").status is Status.PASS
    assert planned(CORE, after, healthy()[0], "dns") == []


def test_a_text_that_does_not_parse_is_left_to_a_person() -> None:
    text = COREFILE.replace("    reload\n}\n", "    reload {\n")
    with pytest.raises(CannotPlan, match="by hand"):
        planned(CORE, with_texts(coredns=text), healthy()[0], "dns")


def test_a_defect_elsewhere_in_the_text_is_left_to_a_person() -> None:
    text = COREFILE + ".:53 {\n    forward . 10.0.0.53\n}\n"
    with pytest.raises(CannotPlan, match="already defined"):
        planned(CORE, with_texts(coredns=text), healthy()[0], "dns")


def test_the_node_local_cache_gets_the_entry_too() -> None:
    facts = with_texts(with_upstream(), coredns=COREFILE, node_local_dns=NODE_LOCAL)
    (change,) = planned(LOCAL, facts, healthy()[0], "dns")
    assert isinstance(change, PatchObject)
    assert change.name == "node-local-dns"
    text = change.patch["data"]["Corefile"]
    after = with_texts(with_upstream(), coredns=COREFILE, node_local_dns=text)
    assert judged(LOCAL, after, healthy()[0], "dns").status is Status.PASS


def test_what_rke2_writes_anew_is_left_to_a_person() -> None:
    text = COREFILE.replace("        fallthrough\n", "")
    facts = with_texts(rke2_coredns_rke2_coredns=text)
    with pytest.raises(CannotPlan, match="HelmChartConfig"):
        planned(CORE, facts, healthy()[0], "dns")


@pytest.mark.parametrize("plan", [plan_sound_corefile, plan_node_local_entry])
def test_without_a_text_nothing_is_planned(plan: Any) -> None:
    known, facts = healthy()
    facts = with_facts(facts, "dns", coredns=Absent())
    view: Any = View(SubjectId("dns"), facts, known, now=NOW)
    with pytest.raises(CannotPlan):
        list(plan(Finding(problem="x", data={"kind": "y"}), view))


def test_an_entry_that_is_there_already_is_not_planned_again() -> None:
    known = healthy()[0]
    facts = with_texts(coredns=COREFILE, node_local_dns=COREFILE)
    view: Any = View(SubjectId("dns"), facts, known, now=NOW)
    with pytest.raises(CannotPlan):
        list(plan_node_local_entry(Finding(problem="x"), view))


def test_the_pods_that_load_a_text_start_anew_each_time_it_is_put_right() -> None:
    known, _ = healthy()
    broken = with_texts(coredns=COREFILE.replace("        fallthrough\n", ""))
    found = []
    for version in ("3", "8"):
        runs = (server("coredns", "coredns", version), server("node-local-dns", "node-local-dns"))
        facts = with_facts(broken, "dns", servers=Present(runs))
        text, pods = planned(CORE, facts, known, "dns")
        assert isinstance(text, PatchObject)
        assert isinstance(pods, PatchObject)
        assert (text.kind, text.rolls_out) == ("ConfigMap", False)
        assert (pods.kind, pods.name, pods.rolls_out) == ("Deployment", "coredns", True)
        assert pods.risk is Risk.RESTART
        found.append(pods.patch)
    assert found[0] != found[1]


def server(name: str, config_map: str, version: str = "3") -> NameServer:
    workload = Workload(
        kind="Deployment",
        namespace="kube-system",
        name=name,
        locus=f"Deployment/kube-system/{name}",
        uid="u",
        resource_version=version,
        volumes=(Volume(name="config", kind="configmap", source=config_map),),
    )
    return NameServer(workload=workload, wanted=1, ready=1)
