from __future__ import annotations

from typing import Any

import pytest
from support.healthy import HOST, healthy, site, with_facts, with_file
from support.kube import judged

from gapcheck.fixtures.fact_set import FactSet
from gapcheck.fixtures.facts import Absent, Present, Unreadable
from gapcheck.model import Cause, Status, Verdict
from gapcheck.site import Site

NODE = "node/debian"
HOSTS, NODES = "DNS-HOSTS-001", "DNS-NODE-001"
NO_ADDRESS = {"registry": {"host": HOST, "ca_file": "ca.crt"}}


def with_hosts(text: str, *answers: str, facts: FactSet | None = None) -> FactSet:
    """The node's hosts file is `text`, and its resolver answers `answers`."""
    facts = with_file(facts or healthy()[1], NODE, "/etc/hosts", text.encode())
    return with_facts(facts, NODE, resolver={HOST: Present(answers)})


def image(text: str) -> FactSet:
    facts = with_facts(healthy()[1], NODE, running=False, resolver={}, dns_only={})
    return with_file(facts, NODE, "/etc/hosts", text.encode())


def verdict(check: str, facts: FactSet, known: Site | None = None) -> Verdict:
    return judged(check, facts, known or healthy()[0], NODE)


@pytest.mark.parametrize("check", [HOSTS, NODES])
def test_a_healthy_node_passes(check: str) -> None:
    assert verdict(check, healthy()[1]).status is Status.PASS


def test_two_addresses_after_a_move_are_one_root() -> None:
    facts = with_hosts("10.0.0.9 registry.local\n10.0.0.2 registry.local\n", "10.0.0.9", "10.0.0.2")
    found = verdict(HOSTS, facts)
    assert found.status is Status.FAIL
    assert found.findings[0].problem == (
        "/etc/hosts gives registry.local 2 addresses: 10.0.0.9, 10.0.0.2"
    )
    blocked = verdict(NODES, facts)
    assert blocked.status is Status.BLOCKED
    assert blocked.root_causes == (Cause(HOSTS, NODE),)


def test_an_address_of_each_family_is_no_conflict() -> None:
    facts = with_hosts("10.0.0.2 registry.local\nfd00::2 registry.local\n", "10.0.0.2", "fd00::2")
    assert verdict(HOSTS, facts).status is Status.PASS
    assert verdict(NODES, facts).status is Status.WARN


def test_the_same_line_twice_only_warns() -> None:
    facts = with_hosts("10.0.0.2 registry.local\n" * 2, "10.0.0.2")
    found = verdict(HOSTS, facts)
    assert found.status is Status.WARN
    assert "on 2 lines (1, 2)" in found.findings[0].problem
    assert verdict(NODES, facts).status is Status.PASS


def test_the_empty_variable_of_the_guide_is_the_root_of_the_missing_name() -> None:
    facts = with_hosts("127.0.0.1 localhost\n10.0.0.2 \n")
    found = verdict(HOSTS, facts)
    assert found.status is Status.FAIL
    assert "the variable for the name was empty" in found.findings[0].problem
    assert verdict(NODES, facts).status is Status.BLOCKED


def test_the_empty_line_only_warns_where_the_name_resolves() -> None:
    assert verdict(HOSTS, with_hosts("10.0.0.2 \n", "10.0.0.2")).status is Status.WARN


def test_a_nameless_line_of_another_address_is_not_ours() -> None:
    assert verdict(HOSTS, with_hosts("10.7.7.7\n", "10.0.0.2")).status is Status.PASS


def test_an_unreadable_hosts_file_is_an_error() -> None:
    facts = with_file(healthy()[1], NODE, "/etc/hosts", Unreadable("permission denied"))
    assert verdict(HOSTS, facts).status is Status.ERROR


def test_an_absent_hosts_file_has_no_conflict() -> None:
    facts = with_file(healthy()[1], NODE, "/etc/hosts", Absent())
    assert verdict(HOSTS, facts).status is Status.PASS


def test_a_missing_name_fails_with_what_the_daemon_says() -> None:
    found = verdict(NODES, with_hosts("127.0.0.1 localhost\n"))
    assert found.status is Status.FAIL
    assert "lookup registry.local: no such host" in found.findings[0].consequence


@pytest.mark.parametrize("answers", [("10.0.0.9",), ("10.0.0.2", "10.0.0.9"), ("fd00::2",)])
def test_any_other_answer_fails(answers: tuple[str, ...]) -> None:
    assert verdict(NODES, with_hosts("127.0.0.1 localhost\n", *answers)).status is Status.FAIL


def test_the_sources_of_a_wrong_answer_are_shown() -> None:
    facts = with_hosts("10.0.0.2 registry.local\n", "10.0.0.9")
    facts = with_file(facts, NODE, "/etc/nsswitch.conf", b"hosts: dns files\n")
    facts = with_facts(facts, NODE, dns_only={HOST: Present(("10.0.0.9",))})
    found = verdict(NODES, facts)
    assert {each.label: each.value for each in found.findings[0].evidence} == {
        "lookup registry.local": "10.0.0.9",
        "hosts file": "10.0.0.2",
        "lookup order": "dns files",
        "DNS alone": "10.0.0.9",
    }
    assert "let files come before dns" in found.findings[0].remedy_hint


def test_multicast_dns_is_named_for_a_local_name() -> None:
    facts = with_file(
        with_hosts("127.0.0.1 localhost\n"), NODE, "/etc/nsswitch.conf",
        b"hosts: files mdns4_minimal [NOTFOUND=return] dns\n",
    )  # fmt: skip
    labels = [each.label for each in verdict(NODES, facts).findings[0].evidence]
    assert "mdns" in labels


@pytest.mark.parametrize("resolver", [{HOST: Unreadable("getent is not there")}, {}])
def test_an_answer_that_was_not_measured_is_an_error(resolver: dict[str, Any]) -> None:
    facts = with_facts(healthy()[1], NODE, resolver=resolver)
    assert verdict(NODES, facts).status is Status.ERROR


def test_without_an_expected_address_any_answer_will_do_and_none_will_not() -> None:
    known = site(**NO_ADDRESS)
    assert verdict(NODES, with_hosts("", "10.7.7.7"), known).status is Status.PASS
    assert verdict(NODES, with_hosts(""), known).status is Status.FAIL


def test_an_image_is_judged_by_its_hosts_file() -> None:
    right = verdict(NODES, image("10.0.0.2 registry.local\n"))
    assert right.status is Status.PASS
    assert right.evidence[0].source == "/etc/hosts of the image"
    assert verdict(NODES, image("10.0.0.9 registry.local\n")).status is Status.FAIL


def test_an_image_without_an_entry_relies_on_the_sites_resolvers() -> None:
    assert verdict(NODES, image("127.0.0.1 localhost\n")).status is Status.PASS
    none = with_facts(image(""), "dns", resolvers={})
    assert verdict(NODES, none).status is Status.FAIL
    silent = with_facts(image(""), "dns", resolvers={"r": Unreadable("timeout")})
    assert verdict(NODES, silent).status is Status.ERROR


def test_an_unreadable_lookup_order_does_not_hide_a_wrong_answer() -> None:
    facts = with_file(
        with_hosts("", "10.0.0.9"), NODE, "/etc/nsswitch.conf", Unreadable("permission denied")
    )
    found = verdict(NODES, facts)
    assert found.status is Status.FAIL
    assert "not read" in [each.label for each in found.findings[0].evidence]


def test_what_dns_alone_says_is_left_out_where_it_was_not_asked() -> None:
    facts = with_facts(with_hosts("", "10.0.0.9"), NODE, dns_only={})
    labels = [each.label for each in verdict(NODES, facts).findings[0].evidence]
    assert "DNS alone" not in labels
