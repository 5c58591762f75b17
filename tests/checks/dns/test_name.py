from __future__ import annotations

from typing import Any

from support.healthy import healthy, site, with_facts
from support.kube import judged

from gapcheck.fixtures.fact_set import FactSet
from gapcheck.fixtures.facts import Absent, Present, Unreadable
from gapcheck.model import Severity, Status, Verdict
from gapcheck.site import Site

CHECK = "DNS-NAME-001"
BY_NAME = {"host": "registry.local", "ca_file": "ca.crt"}


def verdict(known: Site | None = None, **changes: Any) -> Verdict:
    facts: FactSet = with_facts(healthy()[1], "dns", **changes)
    return judged(CHECK, facts, known or healthy()[0], "dns")


def test_the_expected_answer_everywhere_passes() -> None:
    assert verdict().status is Status.PASS


def test_a_resolver_without_the_name_fails() -> None:
    found = verdict(resolvers={"10.0.0.53": Present(()), "10.0.0.54": Absent()})
    assert found.status is Status.FAIL
    assert [each.locus for each in found.findings] == ["10.0.0.53", "10.0.0.54"]
    assert found.findings[0].consequence == "lookup registry.local: no such host"


def test_a_resolver_with_another_address_fails_and_both_sides_are_told() -> None:
    found = verdict(resolvers={"10.0.0.53": Present(("10.0.0.9",))})
    assert found.findings[0].problem == (
        "10.0.0.53 answers 10.0.0.9 for registry.local; 10.0.0.2 is expected"
    )


def test_a_second_address_fails_too() -> None:
    assert verdict(resolvers={"r": Present(("10.0.0.2", "10.0.0.9"))}).status is Status.FAIL


def test_a_silent_resolver_is_an_error_and_the_others_are_judged() -> None:
    assert verdict(resolvers={"r": Unreadable("i/o timeout")}).status is Status.ERROR
    both = verdict(resolvers={"r": Unreadable("i/o timeout"), "s": Present(())})
    assert both.status is Status.FAIL
    assert "i/o timeout" in both.reason


def test_what_this_machine_answers_is_only_told_where_the_address_is_dialled() -> None:
    assert verdict(controller=Present(())).status is Status.PASS
    assert verdict(controller=Unreadable("no resolver")).status is Status.PASS
    other = verdict(controller=Present(("10.0.0.9",)))
    assert (other.status, other.severity) == (Status.WARN, Severity.INFO)


def test_what_this_machine_answers_counts_where_the_name_is_dialled() -> None:
    by_name = site(registry=BY_NAME)
    assert verdict(by_name, controller=Present(())).status is Status.FAIL
    assert verdict(by_name, controller=Unreadable("x")).status is Status.ERROR
    assert verdict(by_name).status is Status.PASS


def test_dns_expected_goes_before_the_address_dialled() -> None:
    other = site(dns={"expected": "10.0.0.9", "resolvers": ["10.0.0.53"]})
    assert verdict(other).status is Status.FAIL


def test_without_an_expected_address_all_must_agree() -> None:
    by_name = site(registry=BY_NAME)
    found = verdict(by_name, resolvers={"10.0.0.53": Present(("10.0.0.9",))})
    assert found.status is Status.FAIL
    assert "and this machine answers 10.0.0.2" in found.findings[0].problem


def test_a_registry_named_by_address_is_not_looked_up() -> None:
    assert verdict(site(registry={"host": "10.0.0.2"})).status is Status.NOT_APPLICABLE
    assert verdict(site(registry={"host": "fd00::2"})).status is Status.NOT_APPLICABLE
