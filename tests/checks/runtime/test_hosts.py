from __future__ import annotations

import pytest
from support.healthy import HOST, HOSTS_TOML, ca, site, verdict_of, with_facts, with_file
from support.nodes import FOLDER, drop, node, put, untrusting

from gapcheck.fixtures.facts import Present, Unreadable
from gapcheck.model import Severity, Status

HOSTS = f"{FOLDER}/hosts.toml"
NO_TABLE = f'server = "https://{HOST}"\nca = "ca.pem"\n'


@pytest.mark.parametrize("name", ["debian", "rhel"])
def test_healthy_folder_is_usable(name: str) -> None:
    facts, subject, _ = node(name)
    assert verdict_of("RUN-HOSTS-001", facts, site(), subject).status is Status.PASS


@pytest.mark.parametrize(("name", "status"), [("debian", Status.FAIL), ("rhel", Status.PASS)])
def test_file_without_host_table_is_dropped_by_1_x_only(name: str, status: Status) -> None:
    facts, subject = untrusting(name)
    facts = put(drop(facts, subject, f"{FOLDER}/ca.crt"), subject, HOSTS, NO_TABLE)
    facts = put(facts, subject, f"{FOLDER}/ca.pem", ca().pem)
    assert verdict_of("RUN-HOSTS-001", facts, site(), subject).status is status
    trust = verdict_of("NODE-TRUST-001", facts, site(), subject)
    assert trust.status is status


@pytest.mark.parametrize(
    "text",
    [
        "[host.\n",
        f'[host."https://{HOST}"]\ncapabilities = ["pull", "fetch"]\n',
        f'[host."https://{HOST}"]\ncapabilities = "pull"\n',
        f'[host."https://{HOST}"]\nskip_verify = "no"\n',
        f'[host."https://{HOST}"]\nca = 3\n',
    ],
    ids=["syntax", "unknown", "text", "skip", "ca"],
)
def test_file_that_containerd_drops_fails_without_a_fallback(text: str) -> None:
    facts, subject = untrusting("rhel")
    facts = put(drop(facts, subject, f"{FOLDER}/ca.crt"), subject, HOSTS, text)
    assert verdict_of("RUN-HOSTS-001", facts, site(), subject).status is Status.FAIL
    assert verdict_of("NODE-TRUST-001", facts, site(), subject).status is Status.FAIL


def test_file_that_containerd_drops_is_minor_beside_a_good_ca_crt() -> None:
    facts, subject = untrusting("rhel")
    facts = put(facts, subject, HOSTS, "[host.\n")
    verdict = verdict_of("RUN-HOSTS-001", facts, site(), subject)
    assert verdict.severity is Severity.MINOR
    assert verdict_of("NODE-TRUST-001", facts, site(), subject).status is Status.PASS


def test_missing_ca_file_fails_every_pull() -> None:
    facts, subject, _ = node("rhel")
    facts = drop(facts, subject, f"{FOLDER}/ca.crt")
    verdict = verdict_of("RUN-HOSTS-001", facts, site(), subject)
    assert verdict.status is Status.FAIL
    assert f'unable to read CA cert "{FOLDER}/ca.crt"' in verdict.findings[0].consequence


def test_binary_ca_file_fails_every_pull() -> None:
    facts, subject, _ = node("rhel")
    facts = put(facts, subject, f"{FOLDER}/ca.crt", ca().der)
    verdict = verdict_of("RUN-HOSTS-001", facts, site(), subject)
    assert "unable to load CA cert" in verdict.findings[0].consequence


def test_entry_that_may_only_pull_fails_without_a_ca_for_the_server() -> None:
    facts, subject = untrusting("rhel")
    text = HOSTS_TOML.replace('["pull", "resolve"]', '["pull"]')
    facts = put(facts, subject, HOSTS, text)
    verdict = verdict_of("RUN-HOSTS-001", facts, site(), subject)
    assert "may not resolve" in verdict.findings[0].problem
    facts = put(facts, subject, HOSTS, f'ca = "ca.crt"\n{text}')
    assert verdict_of("RUN-HOSTS-001", facts, site(), subject).status is Status.PASS
    assert verdict_of("NODE-TRUST-001", facts, site(), subject).status is Status.PASS


def test_empty_folder_hides_a_good_default_folder() -> None:
    facts, subject = untrusting("rhel")
    facts = drop(drop(facts, subject, HOSTS), subject, f"{FOLDER}/ca.crt")
    _, _, found = node("rhel", facts)
    facts = with_facts(facts, subject, dirs={**found.dirs, FOLDER: Present(())})
    facts = put(facts, subject, "/etc/containerd/certs.d/_default/ca.crt", ca().pem)
    assert verdict_of("RUN-HOSTS-001", facts, site(), subject).status is Status.FAIL
    trust = verdict_of("NODE-TRUST-001", facts, site(), subject)
    assert [each.check for each in trust.root_causes] == ["RUN-HOSTS-001"]


def test_default_folder_serves_a_registry_without_its_own() -> None:
    facts, subject = untrusting("rhel", folder=False)
    facts = put(facts, subject, "/etc/containerd/certs.d/_default/ca.crt", ca().pem)
    assert verdict_of("RUN-HOSTS-001", facts, site(), subject).status is Status.PASS
    assert verdict_of("NODE-TRUST-001", facts, site(), subject).status is Status.PASS


def test_plain_http_entry_fails() -> None:
    facts, subject, _ = node("rhel")
    facts = put(facts, subject, HOSTS, f'{HOSTS_TOML}\n[host."http://{HOST}"]\n')
    assert "without TLS" in verdict_of("RUN-HOSTS-001", facts, site(), subject).findings[0].problem


def test_unreadable_hosts_file_is_an_error() -> None:
    facts, subject, _ = node("rhel")
    facts = with_file(facts, subject, HOSTS, Unreadable("denied"))
    assert verdict_of("RUN-HOSTS-001", facts, site(), subject).status is Status.BLOCKED
    assert verdict_of("RUN-REG-001", facts, site(), subject).status is Status.ERROR


def test_node_without_a_folder_has_nothing_to_judge() -> None:
    facts, subject = untrusting("rhel", folder=False)
    verdict = verdict_of("RUN-HOSTS-001", facts, site(), subject)
    assert verdict.status is Status.BLOCKED
    facts = put(facts, subject, "/etc/containerd/certs.d/other/ca.crt", ca().pem)
    verdict = verdict_of("RUN-HOSTS-001", facts, site(), subject)
    assert verdict.status is Status.NOT_APPLICABLE
