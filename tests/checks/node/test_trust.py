from __future__ import annotations

from typing import Any

import msgspec
import pytest
from support.certs import authority
from support.healthy import (
    CONFIG_1,
    CONFIG_2,
    NOW,
    Blobs,
    ca,
    healthy,
    leaf,
    other_ca,
    site,
    verdict_of,
    with_facts,
    with_file,
)
from support.nodes import (
    BARE_1,
    BARE_2,
    CONFIG,
    FOLDER,
    config,
    docker_node,
    drop,
    guide,
    image,
    node,
    put,
    unit,
    untrusting,
)

from gapcheck.fixtures.facts import Absent, DirEntry, Present, Unreadable
from gapcheck.model import Severity, Status, SubjectId

DEBIAN_BUNDLE = "/etc/ssl/certs/ca-certificates.crt"


def roots(verdict: Any) -> list[str]:
    return [str(each.check) for each in verdict.root_causes]


def test_node_with_the_ca_in_both_stores_passes() -> None:
    of, facts = healthy()
    verdict = verdict_of("NODE-TRUST-001", facts, of, "node/debian")
    assert verdict.status is Status.PASS
    assert {each.value for each in verdict.evidence} == {DEBIAN_BUNDLE, f"{FOLDER}/ca.crt"}


@pytest.mark.parametrize("name", ["debian", "rhel"])
def test_ca_in_the_system_store_alone_is_enough(name: str) -> None:
    facts, subject, found = node(name)
    files = {path: known for path, known in found.files.items() if "certs.d" not in path}
    dirs = {**found.dirs, "/etc/containerd/certs.d": Absent()}
    dirs.pop(FOLDER)
    facts = with_facts(facts, subject, files=files, dirs=dirs)
    if name == "rhel":
        facts = put(facts, subject, "/etc/pki/tls/certs/ca-bundle.crt", other_ca().pem + ca().pem)
    assert verdict_of("NODE-TRUST-001", facts, site(), subject).status is Status.PASS


@pytest.mark.parametrize("name", ["debian", "rhel"])
def test_ca_in_the_registry_folder_alone_is_enough(name: str) -> None:
    facts, subject = untrusting(name)
    assert verdict_of("NODE-TRUST-001", facts, site(), subject).status is Status.PASS


@pytest.mark.parametrize("name", ["debian", "rhel"])
def test_ca_in_no_store_fails_critically(name: str) -> None:
    facts, subject = untrusting(name, folder=False)
    verdict = verdict_of("NODE-TRUST-001", facts, site(), subject)
    assert verdict.status is Status.FAIL
    assert verdict.severity is Severity.CRITICAL
    assert "x509: certificate signed by unknown authority" in verdict.findings[0].consequence


def test_ca_with_same_name_but_other_key_is_not_trusted() -> None:
    stale = authority("Example Registry CA 2026")
    facts, subject = untrusting("debian", folder=False)
    facts = put(facts, subject, DEBIAN_BUNDLE, other_ca().pem + stale.pem)
    assert verdict_of("NODE-TRUST-001", facts, site(), subject).status is Status.FAIL


def test_unreadable_store_is_an_error_and_never_a_pass() -> None:
    facts, subject = untrusting("debian", folder=False)
    facts = with_file(facts, subject, DEBIAN_BUNDLE, Unreadable("permission denied"))
    verdict = verdict_of("NODE-TRUST-001", facts, site(), subject)
    assert verdict.status is Status.ERROR
    assert "permission denied" in verdict.reason


def test_store_that_nobody_looked_at_is_an_error() -> None:
    facts, subject = untrusting("debian", folder=False)
    _, _, found = node("debian", facts)
    dirs = {path: known for path, known in found.dirs.items() if path != "/etc/ssl/certs"}
    facts = with_facts(facts, subject, dirs=dirs)
    assert verdict_of("NODE-TRUST-001", facts, site(), subject).status is Status.ERROR


def test_file_of_the_store_that_was_not_read_is_an_error() -> None:
    facts, subject = untrusting("debian", folder=False)
    _, _, found = node("debian", facts)
    entries = (DirEntry(name="corp.pem", kind="file"),)
    facts = with_facts(facts, subject, dirs={**found.dirs, "/etc/ssl/certs": Present(entries)})
    assert verdict_of("NODE-TRUST-001", facts, site(), subject).status is Status.ERROR


def test_links_to_shipped_roots_need_not_be_read() -> None:
    facts, subject = untrusting("debian", folder=False)
    _, _, found = node("debian", facts)
    entries = (
        DirEntry(name="ISRG.pem", kind="link", link="/usr/share/ca-certificates/mozilla/ISRG.crt"),
        DirEntry(name="4042bcee.0", kind="link", link="ISRG.pem"),
    )
    facts = with_facts(facts, subject, dirs={**found.dirs, "/etc/ssl/certs": Present(entries)})
    assert verdict_of("NODE-TRUST-001", facts, site(), subject).status is Status.FAIL


def test_bundle_changed_after_the_daemon_started_is_not_loaded() -> None:
    facts, subject, found = node("debian")
    files = {path: known for path, known in found.files.items() if "certs.d" not in path}
    dirs = {**found.dirs, "/etc/containerd/certs.d": Absent()}
    dirs.pop(FOLDER)
    facts = with_facts(facts, subject, files=files, dirs=dirs)
    facts = with_file(
        facts, subject, DEBIAN_BUNDLE, other_ca().pem + ca().pem, mtime=NOW.timestamp() - 5
    )
    verdict = verdict_of("NODE-TRUST-001", facts, site(), subject)
    assert verdict.status is Status.FAIL
    assert roots(verdict) == ["NODE-TRUST-007"]


def test_bundle_as_old_as_the_daemons_start_is_loaded() -> None:
    facts, subject, found = node("debian")
    facts = drop(drop(facts, subject, f"{FOLDER}/hosts.toml"), subject, f"{FOLDER}/ca.crt")
    started: Any = found.units["containerd.service"]
    facts = with_file(
        facts,
        subject,
        DEBIAN_BUNDLE,
        other_ca().pem + ca().pem,
        mtime=started.value.started,
    )
    assert verdict_of("NODE-TRUST-001", facts, site(), subject).status is Status.PASS


def test_unknown_start_time_is_an_error_where_only_the_system_store_holds_the_ca() -> None:
    facts, subject, _ = node("debian")
    facts = drop(drop(facts, subject, f"{FOLDER}/hosts.toml"), subject, f"{FOLDER}/ca.crt")
    facts = with_facts(facts, subject, units={"containerd.service": Unreadable("no systemctl")})
    verdict = verdict_of("NODE-TRUST-001", facts, site(), subject)
    assert verdict.status is Status.ERROR
    assert "no systemctl" in verdict.reason


def test_unread_environment_is_an_error_where_only_the_system_store_holds_the_ca() -> None:
    facts, subject, _ = node("debian")
    facts = unit(facts, subject, environment_unread="permission denied")
    assert verdict_of("NODE-TRUST-001", facts, site(), subject).status is Status.PASS
    facts = drop(drop(facts, subject, f"{FOLDER}/hosts.toml"), subject, f"{FOLDER}/ca.crt")
    verdict = verdict_of("NODE-TRUST-001", facts, site(), subject)
    assert verdict.status is Status.ERROR
    assert "permission denied" in verdict.reason


def test_environment_of_the_daemon_replaces_the_bundle() -> None:
    facts, subject = untrusting("debian", folder=False)
    facts = put(facts, subject, DEBIAN_BUNDLE, other_ca().pem + ca().pem)
    _, _, found = node("debian", facts)
    facts = with_facts(facts, subject, dirs={**found.dirs, "/none": Absent()})
    facts = put(facts, subject, "/opt/roots.pem", other_ca().pem)
    facts = unit(
        facts, subject, environment={"SSL_CERT_FILE": "/opt/roots.pem", "SSL_CERT_DIR": "/none"}
    )
    verdict = verdict_of("NODE-TRUST-001", facts, site(), subject)
    assert verdict.status is Status.FAIL
    assert ("SSL_CERT_FILE", "/opt/roots.pem") in {
        (each.label, each.value) for each in verdict.findings[0].evidence
    }


def test_any_file_of_etc_ssl_certs_is_read_by_go() -> None:
    facts, subject = untrusting("debian", folder=False)
    facts = put(facts, subject, "/etc/ssl/certs/registry.crt", ca().pem)
    assert verdict_of("NODE-TRUST-001", facts, site(), subject).status is Status.PASS
    info = verdict_of("NODE-TRUST-006", facts, site(), subject)
    assert info.status is Status.WARN
    assert info.findings[0].problem.startswith("only Go programs")


def test_default_list_of_folders_is_not_read_by_transfer_pulls() -> None:
    facts, subject = untrusting("rhel")
    facts = config(facts, subject, BARE_2)
    verdict = verdict_of("NODE-TRUST-001", facts, site(), subject)
    assert verdict.status is Status.FAIL
    assert roots(verdict) == ["RUN-CONF-002"]


def test_file_that_says_one_folder_does_not_help_a_daemon_that_uses_the_list() -> None:
    facts, subject = untrusting("rhel")
    facts = put(config(facts, subject, BARE_2), subject, CONFIG, CONFIG_2)
    verdict = verdict_of("NODE-TRUST-001", facts, site(), subject)
    assert verdict.status is Status.FAIL
    assert roots(verdict) == ["RUN-LOAD-001"]


def test_legacy_ca_file_counts_on_1_x() -> None:
    facts, subject = untrusting("debian", folder=False)
    table = '[plugins."io.containerd.grpc.v1.cri".registry.configs."registry.local".tls]\n'
    facts = put(facts, subject, "/etc/containerd/registry-ca.pem", ca().pem)
    facts = config(facts, subject, f'{BARE_1}{table}ca_file = "/etc/containerd/registry-ca.pem"\n')
    assert verdict_of("NODE-TRUST-001", facts, site(), subject).status is Status.PASS


def test_pull_that_skips_verification_is_named_as_the_only_reason_it_works() -> None:
    facts, subject = untrusting("debian", folder=False)
    facts = config(facts, subject, BARE_1 + guide())
    verdict = verdict_of("NODE-TRUST-001", facts, site(), subject)
    assert verdict.status is Status.FAIL
    assert "only because nothing is verified" in verdict.findings[0].consequence


def test_trusted_leaf_without_its_ca_is_minor() -> None:
    facts, subject = untrusting("debian", folder=False)
    facts = put(facts, subject, DEBIAN_BUNDLE, other_ca().pem + leaf().pem)
    verdict = verdict_of("NODE-TRUST-001", facts, site(), subject)
    assert verdict.status is Status.WARN
    assert verdict.severity is Severity.MINOR


def test_ca_file_that_holds_the_leaf_is_named_and_the_real_ca_is_not_former() -> None:
    of = site()
    facts = with_file(healthy()[1], "site", str(of.registry.ca_file), leaf().pem)
    for name in ("debian", "rhel"):
        verdict = verdict_of("NODE-TRUST-001", facts, of, f"node/{name}")
        assert verdict.status is Status.WARN
        assert "holds the registry's own certificate instead" in verdict.findings[0].problem
        assert "and not the CA" not in verdict.findings[0].problem
        assert verdict_of("NODE-TRUST-004", facts, of, f"node/{name}").status is Status.PASS


def test_site_without_ca_file_is_judged_by_the_nodes_own_roots() -> None:
    of = site()
    registry = {**of.registry.model_dump(), "ca_file": None}
    of = site(registry=registry)
    facts, subject, _ = node("debian")
    assert verdict_of("NODE-TRUST-001", facts, of, subject).status is Status.PASS
    bad, subject = untrusting("debian", folder=False)
    verdict = verdict_of("NODE-TRUST-001", bad, of, subject)
    assert verdict.status is Status.FAIL
    assert "certificate signed by unknown authority" in verdict.findings[0].problem


def test_docker_reads_its_own_folder() -> None:
    facts, subject = untrusting("debian", folder=False)
    facts = docker_node(facts, subject)
    assert verdict_of("NODE-TRUST-001", facts, site(), subject).status is Status.FAIL
    facts = put(facts, subject, "/etc/docker/certs.d/registry.local/ca.crt", ca().pem)
    assert verdict_of("NODE-TRUST-001", facts, site(), subject).status is Status.PASS


def test_image_root_is_judged_without_any_daemon() -> None:
    of, facts, subject = image("debian", "version = 2\n", {})
    assert verdict_of("NODE-TRUST-001", facts, of, subject).status is Status.FAIL
    later = NOW.timestamp() + 9
    facts = put(facts, subject, DEBIAN_BUNDLE, other_ca().pem + ca().pem, mtime=later)
    assert verdict_of("NODE-TRUST-001", facts, of, subject).status is Status.PASS
    assert verdict_of("NODE-TRUST-007", facts, of, subject).status is Status.NOT_APPLICABLE


def test_ca_missing_from_the_system_store_is_info_with_the_clients_concerned() -> None:
    facts, subject = untrusting("debian")
    verdict = verdict_of("NODE-TRUST-006", facts, site(), subject)
    assert verdict.status is Status.WARN
    assert "curl" in verdict.findings[0].consequence


def test_both_stores_give_no_finding() -> None:
    of, facts = healthy()
    assert verdict_of("NODE-TRUST-006", facts, of, "node/debian").status is Status.PASS


def test_daemon_started_after_the_store_changed_passes() -> None:
    of, facts = healthy()
    assert verdict_of("NODE-TRUST-007", facts, of, "node/debian").status is Status.PASS


def test_daemon_older_than_the_store_is_info_while_the_folder_holds_the_ca() -> None:
    facts, subject, _ = node("debian")
    facts = with_file(
        facts, subject, DEBIAN_BUNDLE, other_ca().pem + ca().pem, mtime=NOW.timestamp() - 5
    )
    verdict = verdict_of("NODE-TRUST-007", facts, site(), subject)
    assert verdict.status is Status.WARN


def test_unknown_system_store_makes_the_load_check_an_error() -> None:
    facts, subject, _ = node("debian")
    facts = with_file(facts, subject, DEBIAN_BUNDLE, Unreadable("permission denied"))
    assert verdict_of("NODE-TRUST-007", facts, site(), subject).status is Status.ERROR


def test_unreadable_ca_file_of_the_site_is_an_error() -> None:
    of, facts = healthy()
    old: Any = facts.by_subject["site"]
    files = {**old.files, "ca.crt": Unreadable("permission denied")}
    facts = msgspec.structs.replace(
        facts, by_subject={**facts.by_subject, "site": msgspec.structs.replace(old, files=files)}
    )
    verdict = verdict_of("NODE-TRUST-006", facts, of, "node/debian")
    assert verdict.status is Status.BLOCKED


def test_der_anchor_is_no_copy_for_go() -> None:
    facts, subject = untrusting("debian", folder=False)
    blobs = Blobs()
    facts = with_facts(facts, subject, blobs.held)
    facts = put(facts, subject, DEBIAN_BUNDLE, ca().der)
    assert verdict_of("NODE-TRUST-001", facts, site(), subject).status is Status.FAIL


def without_runtime(facts: Any, subject: str) -> Any:
    found = facts.by_subject[subject]
    facts = with_facts(facts, "cluster", nodes=Absent())
    return with_facts(
        facts,
        subject,
        units={"containerd.service": Absent()},
        programs={"containerd": Absent(), "dockerd": Absent()},
        files={path: known for path, known in found.files.items() if "containerd" not in path},
        containerd_version=Absent(),
    )


def test_node_without_runtime_is_judged_by_its_system_store() -> None:
    facts = without_runtime(healthy()[1], "node/debian")
    assert verdict_of("NODE-TRUST-001", facts, site(), "node/debian").status is Status.PASS
    verdict = verdict_of("NODE-TRUST-007", facts, site(), "node/debian")
    assert verdict.status is Status.NOT_APPLICABLE
    bad, subject = untrusting("debian", folder=False)
    verdict = verdict_of("NODE-TRUST-001", without_runtime(bad, subject), site(), subject)
    assert verdict.status is Status.FAIL


def test_unknown_start_time_makes_the_load_check_an_error() -> None:
    facts, subject, _ = node("debian")
    facts = with_facts(facts, subject, units={"containerd.service": Unreadable("no systemctl")})
    assert verdict_of("NODE-TRUST-007", facts, site(), subject).status is Status.ERROR


def test_system_store_alone_is_info_about_what_it_costs() -> None:
    facts, subject, found = node("debian")
    files = {path: known for path, known in found.files.items() if "certs.d" not in path}
    dirs = {**found.dirs, "/etc/containerd/certs.d": Absent()}
    dirs.pop(FOLDER)
    facts = with_facts(facts, subject, files=files, dirs=dirs)
    verdict = verdict_of("NODE-TRUST-006", facts, site(), subject)
    assert "not in a per-registry store" in verdict.findings[0].problem


def test_site_without_ca_file_has_no_ca_to_compare() -> None:
    of = site(registry={"host": "registry.local", "address": "10.0.0.2"})
    verdict = verdict_of("NODE-TRUST-006", healthy()[1], of, "node/debian")
    assert verdict.status is Status.NOT_APPLICABLE


def test_site_without_ca_file_and_without_a_chain_has_nothing_to_verify() -> None:
    of = site(registry={"host": "registry.local", "address": "10.0.0.2"})
    facts = healthy()[1]
    registry: Any = facts.by_subject[SubjectId("registry")]
    tls = msgspec.structs.replace(registry.tls, chain=(), stage="connect", error="refused")
    facts = with_facts(facts, "registry", tls=tls)
    verdict = verdict_of("NODE-TRUST-001", facts, of, "node/debian")
    assert verdict.status is Status.NOT_APPLICABLE


def test_site_without_ca_file_and_an_unread_store_is_an_error() -> None:
    of = site(registry={"host": "registry.local", "address": "10.0.0.2"})
    facts, subject = untrusting("debian", folder=False)
    facts = with_file(facts, subject, DEBIAN_BUNDLE, Unreadable("denied"))
    assert verdict_of("NODE-TRUST-001", facts, of, subject).status is Status.ERROR


def test_settings_that_the_plugin_refuses_hold_no_ca() -> None:
    facts, subject = untrusting("debian")
    facts = config(facts, subject, CONFIG_1 + guide())
    verdict = verdict_of("NODE-TRUST-001", facts, site(), subject)
    assert verdict.status is Status.FAIL
    assert roots(verdict) == ["RUN-REG-001"]
    shown = {each.label: each.value for each in verdict.findings[0].evidence}
    assert "cannot be set when" in shown["per-registry settings"]
