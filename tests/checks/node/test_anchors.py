from __future__ import annotations

import pytest
from support.healthy import ca, healthy, other_ca, site, verdict_of, with_facts, with_file
from support.nodes import put, untrusting

from gapcheck.fixtures.facts import OsRelease, Present, Unreadable
from gapcheck.model import Severity, Status


@pytest.mark.parametrize("name", ["debian", "rhel"])
def test_healthy_node_has_no_misplaced_copy(name: str) -> None:
    of, facts = healthy()
    assert verdict_of("NODE-TRUST-002", facts, of, f"node/{name}").status is Status.PASS
    assert verdict_of("NODE-TRUST-003", facts, of, f"node/{name}").status is Status.PASS


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("debian", "/etc/pki/tls/registry.crt"),
        ("rhel", "/etc/pki/tls/registry.crt"),
        ("debian", "/usr/local/share/ca-certificates/registry.pem"),
        ("rhel", "/usr/local/share/ca-certificates/registry.crt"),
        ("debian", "/etc/pki/ca-trust/source/anchors/registry.crt"),
        ("debian", "/etc/docker/certs.d/ca.crt"),
        ("debian", "/etc/docker/certs.d/registry.local/ca.pem"),
    ],
)
def test_copy_where_nothing_reads_it_fails_and_is_the_root(name: str, path: str) -> None:
    facts, subject = untrusting(name, folder=False)
    facts = put(facts, subject, path, ca().pem)
    verdict = verdict_of("NODE-TRUST-002", facts, site(), subject)
    assert verdict.status is Status.FAIL
    assert [each.locus for each in verdict.findings] == [path]
    trust = verdict_of("NODE-TRUST-001", facts, site(), subject)
    assert "NODE-TRUST-002" in [each.check for each in trust.root_causes]


def test_misplaced_copy_is_minor_where_the_node_trusts_the_ca() -> None:
    facts = put(healthy()[1], "node/debian", "/etc/pki/tls/registry.crt", ca().pem)
    verdict = verdict_of("NODE-TRUST-002", facts, site(), "node/debian")
    assert verdict.severity is Severity.MINOR


@pytest.mark.parametrize(
    "path",
    [
        "/etc/pki/tls/other.crt",
        "/usr/local/share/ca-certificates/corp/inner.crt",
        "/etc/docker/certs.d/registry.local/ca.crt",
    ],
)
def test_other_certificates_and_read_places_are_left_alone(path: str) -> None:
    content = other_ca().pem if "other" in path else ca().pem
    facts = put(healthy()[1], "node/debian", path, content)
    verdict = verdict_of("NODE-TRUST-002", facts, site(), "node/debian")
    assert verdict.status is Status.PASS


def test_anchor_that_is_not_in_the_bundle_fails_and_is_the_root() -> None:
    facts, subject = untrusting("debian", folder=False)
    facts = put(facts, subject, "/usr/local/share/ca-certificates/registry.crt", ca().pem)
    verdict = verdict_of("NODE-TRUST-003", facts, site(), subject)
    assert verdict.status is Status.FAIL
    trust = verdict_of("NODE-TRUST-001", facts, site(), subject)
    assert [each.check for each in trust.root_causes] == ["NODE-TRUST-003"]


def test_unreadable_bundle_is_an_error() -> None:
    facts = with_file(
        healthy()[1], "node/debian", "/etc/ssl/certs/ca-certificates.crt", Unreadable("denied")
    )
    assert verdict_of("NODE-TRUST-003", facts, site(), "node/debian").status is Status.ERROR


def test_node_without_anchor_has_nothing_to_rebuild() -> None:
    facts, subject = untrusting("debian")
    verdict = verdict_of("NODE-TRUST-003", facts, site(), subject)
    assert verdict.status is Status.NOT_APPLICABLE


def test_unknown_distribution_has_no_bundle_to_judge() -> None:
    release = Present(OsRelease(id="talos"))
    facts = with_facts(healthy()[1], "node/debian", os_release=release)
    verdict = verdict_of("NODE-TRUST-003", facts, site(), "node/debian")
    assert verdict.status is Status.NOT_APPLICABLE


@pytest.mark.parametrize("check", ["NODE-TRUST-002", "NODE-TRUST-003", "NODE-TRUST-004"])
def test_site_without_ca_file_has_no_copy_to_look_for(check: str) -> None:
    of = site(registry={"host": "registry.local", "address": "10.0.0.2"})
    verdict = verdict_of(check, healthy()[1], of, "node/debian")
    assert verdict.status is Status.NOT_APPLICABLE


BLOCKLISTS = (
    "/etc/pki/ca-trust/source/blocklist",
    "/usr/share/pki/ca-trust-source/blocklist",
    "/etc/pki/ca-trust/source/blacklist",
)


@pytest.mark.parametrize("folder", BLOCKLISTS)
def test_ca_on_a_blocklist_fails_although_it_is_an_anchor(folder: str) -> None:
    facts, subject = untrusting("rhel", folder=False)
    facts = put(facts, subject, "/etc/pki/ca-trust/source/anchors/a.crt", ca().pem)
    facts = put(facts, subject, f"{folder}/a.pem", ca().pem)
    verdict = verdict_of("NODE-TRUST-003", facts, site(), subject)
    assert verdict.status is Status.FAIL
    assert [each.locus for each in verdict.findings] == [f"{folder}/a.pem"]
    trust = verdict_of("NODE-TRUST-001", facts, site(), subject)
    assert "NODE-TRUST-003" in [each.check for each in trust.root_causes]


def test_other_certificate_on_a_blocklist_is_left_alone() -> None:
    facts = put(healthy()[1], "node/rhel", f"{BLOCKLISTS[0]}/b.pem", other_ca().pem)
    assert verdict_of("NODE-TRUST-003", facts, site(), "node/rhel").status is Status.PASS


def test_blocklist_only_warns_where_the_registrys_own_folder_holds_the_ca() -> None:
    facts = put(healthy()[1], "node/rhel", f"{BLOCKLISTS[0]}/a.pem", ca().pem)
    assert verdict_of("NODE-TRUST-003", facts, site(), "node/rhel").status is Status.WARN


def test_blocklist_that_could_not_be_read_is_an_error() -> None:
    facts = with_file(
        healthy()[1], "node/rhel", f"{BLOCKLISTS[0]}/a.pem", Unreadable("permission denied")
    )
    assert verdict_of("NODE-TRUST-003", facts, site(), "node/rhel").status is Status.ERROR
