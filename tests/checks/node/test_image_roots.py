"""Image roots: what their own files say about a daemon that does not run yet."""

from __future__ import annotations

from support.healthy import healthy, site, verdict_of, with_facts, with_file

from gapcheck.fixtures.fact_set import FactSet
from gapcheck.fixtures.facts import Absent, Unreadable
from gapcheck.model import Status

FOLDER = "/etc/containerd/certs.d/registry.local"
DROP_IN = "/etc/systemd/system/containerd.service.d/roots.conf"


def image() -> FactSet:
    _, facts = healthy()
    return with_facts(facts, "node/debian", running=False, resolver={}, dns_only={})


def test_drop_in_that_names_other_roots_makes_the_system_store_unknown() -> None:
    facts = image()
    for name in ("ca.crt", "hosts.toml"):
        facts = with_file(facts, "node/debian", f"{FOLDER}/{name}", Absent())
    assert verdict_of("NODE-TRUST-001", facts, site(), "node/debian").status is Status.PASS
    facts = with_file(facts, "node/debian", DROP_IN, b"[Service]\nEnvironment=SSL_CERT_FILE=/x\n")
    verdict = verdict_of("NODE-TRUST-001", facts, site(), "node/debian")
    assert verdict.status is Status.ERROR
    assert DROP_IN in verdict.reason


def test_hosts_entry_that_the_image_never_reads_is_no_answer() -> None:
    facts = image()
    assert verdict_of("DNS-NODE-001", facts, site(), "node/debian").status is Status.PASS
    blind = with_file(facts, "node/debian", "/etc/nsswitch.conf", b"hosts: dns\n")
    blind = with_facts(blind, "dns", resolvers={})
    assert verdict_of("DNS-NODE-001", blind, site(), "node/debian").status is not Status.PASS


def test_unread_configuration_makes_the_comparison_of_stores_an_error() -> None:
    _, facts = healthy()
    facts = with_file(
        facts, "node/debian", "/etc/containerd/config.toml", Unreadable("permission denied")
    )
    assert verdict_of("NODE-TRUST-006", facts, site(), "node/debian").status is Status.ERROR


def test_registry_host_is_written_as_folders_and_images_write_it() -> None:
    of = site(registry={"host": "Registry.LOCAL:5000", "address": "127.0.0.1"})
    assert of.registry.netloc == "registry.local:5000"
