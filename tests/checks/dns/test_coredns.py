from __future__ import annotations

import pytest
from support.healthy import COREFILE, healthy, site, with_facts
from support.kube import DNS_ENTRY, NODE_LOCAL, judged, no_cluster, with_texts, with_upstream

from gapcheck.fixtures.fact_set import FactSet
from gapcheck.fixtures.facts import Absent, Present, Unreadable
from gapcheck.fixtures.kube_facts import CoreDnsPods
from gapcheck.model import Status, Verdict

CORE, LOCAL = "DNS-CORE-001", "DNS-CORE-002"


def verdict(check: str, facts: FactSet) -> Verdict:
    return judged(check, facts, healthy()[0], "dns")


def test_a_sound_corefile_passes() -> None:
    assert verdict(CORE, healthy()[1]).status is Status.PASS


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("hosts-no-fallthrough", COREFILE.replace("        fallthrough\n", "")),
        ("hosts-twice", COREFILE.replace(DNS_ENTRY, DNS_ENTRY * 2)),
        ("hosts-file-is-name", COREFILE.replace("hosts {", "hosts registry.local {")),
        ("hosts-no-fallthrough", COREFILE.replace("fallthrough", "falthrough")),
        ("syntax", COREFILE.replace("    reload\n}\n", "    reload {\n")),
    ],
)
def test_what_shuts_out_other_names_or_stops_coredns_fails(kind: str, text: str) -> None:
    found = verdict(CORE, with_texts(coredns=text))
    assert found.status is Status.FAIL
    assert any(each.data["kind"] == kind for each in found.findings)


def test_a_line_that_coredns_skips_only_warns() -> None:
    text = COREFILE.replace("        fallthrough", "        10.0.0.2\n        fallthrough")
    assert verdict(CORE, with_texts(coredns=text)).status is Status.WARN


def with_plugin(name: str, pods: object = None) -> FactSet:
    facts = with_texts(coredns=COREFILE.replace("    errors\n", f"    errors\n    {name}\n"))
    return facts if pods is None else with_facts(facts, "dns", coredns_pods=pods)


def test_a_misspelt_plugin_fails_with_its_line_and_place() -> None:
    found = verdict(CORE, with_plugin("hoosts"))
    assert found.status is Status.FAIL
    assert found.findings[0].problem == (
        "Corefile line 3: Unknown directive 'hoosts'; hosts is meant?"
    )


@pytest.mark.parametrize(
    ("plugin", "pods", "status"),
    [
        ("k8s_gateway", None, Status.WARN),
        ("of_our_own", None, Status.FAIL),
        ("of_our_own", Unreadable("list pods: 403"), Status.ERROR),
        ("k8s_gateway", Unreadable("list pods: 403"), Status.WARN),
        ("hoosts", Unreadable("list pods: 403"), Status.FAIL),
        (
            "of_our_own",
            Present(CoreDnsPods(images=("registry.local/dns:1",), loaded=True)),
            Status.PASS,
        ),
        ("of_our_own", Present(CoreDnsPods(images=("coredns:1",), loaded=False)), Status.FAIL),
    ],
)
def test_a_plugin_of_another_build_is_judged_by_the_pods_that_run(
    plugin: str, pods: object, status: Status
) -> None:
    assert verdict(CORE, with_plugin(plugin, pods)).status is status


def test_an_unreadable_configuration_is_an_error() -> None:
    facts = with_facts(healthy()[1], "dns", coredns=Unreadable("403"))
    assert verdict(CORE, facts).status is Status.ERROR


def test_no_configuration_no_cluster_and_no_pods_are_not_applicable() -> None:
    known, facts = healthy()
    absent = with_facts(facts, "dns", coredns=Absent())
    assert verdict(CORE, absent).status is Status.NOT_APPLICABLE
    assert judged(CORE, facts, no_cluster(known), "dns").status is Status.NOT_APPLICABLE
    no_pods = site(dns={"pods": False})
    assert judged(CORE, facts, no_pods, "dns").status is Status.NOT_APPLICABLE


def test_a_node_local_cache_that_goes_past_coredns_fails() -> None:
    facts = with_texts(with_upstream(), coredns=COREFILE, node_local_dns=NODE_LOCAL)
    found = verdict(LOCAL, facts)
    assert found.status is Status.FAIL
    assert "CoreDNS holds registry.local" in found.findings[0].problem


def test_a_node_local_cache_with_the_entry_passes() -> None:
    text = NODE_LOCAL.replace(".:53 {\n", f".:53 {{\n{DNS_ENTRY}")
    assert verdict(LOCAL, with_texts(coredns=COREFILE, node_local_dns=text)).status is Status.PASS


def test_a_node_local_cache_that_asks_coredns_for_all_passes() -> None:
    text = NODE_LOCAL.replace("__PILLAR__UPSTREAM__SERVERS__", "__PILLAR__CLUSTER__DNS__")
    assert verdict(LOCAL, with_texts(coredns=COREFILE, node_local_dns=text)).status is Status.PASS


def test_an_upstream_that_knows_the_name_makes_the_cache_right() -> None:
    facts = with_texts(with_upstream("10.0.0.2"), coredns=COREFILE, node_local_dns=NODE_LOCAL)
    assert verdict(LOCAL, facts).status is Status.PASS


def test_an_upstream_that_was_not_asked_is_an_error() -> None:
    text = NODE_LOCAL.replace("__PILLAR__UPSTREAM__SERVERS__", "10.9.9.9")
    found = verdict(LOCAL, with_texts(coredns=COREFILE, node_local_dns=text))
    assert found.status is Status.ERROR
    assert "10.9.9.9" in found.reason


def test_without_an_entry_in_coredns_there_is_nothing_to_pass_by() -> None:
    facts = with_texts(coredns=COREFILE.replace(DNS_ENTRY, ""), node_local_dns=NODE_LOCAL)
    assert verdict(LOCAL, facts).status is Status.NOT_APPLICABLE
    assert verdict(LOCAL, healthy()[1]).status is Status.NOT_APPLICABLE


def test_custom_blocks_without_a_corefile_are_not_judged() -> None:
    facts = with_texts(coredns_custom="registry.local:53 {\n    errors\n}\n")
    assert verdict(CORE, facts).status is Status.NOT_APPLICABLE


@pytest.mark.parametrize(
    "text",
    [".:53 {\n    errors {\n", ".:53 {\n    errors\n}\n"],
    ids=["does not parse", "answers nothing"],
)
def test_a_node_local_cache_that_cannot_answer_fails(text: str) -> None:
    found = verdict(LOCAL, with_texts(coredns=COREFILE, node_local_dns=text))
    assert found.status is Status.FAIL
