from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest
from support.healthy import COREFILE, healthy, site, with_facts, with_file
from support.kube import (
    DNS_ENTRY,
    NODE_LOCAL,
    Folder,
    judged,
    no_cluster,
    with_texts,
    with_upstream,
)
from support.manifests import coderd

from gapcheck.fixtures.fact_set import FactSet
from gapcheck.fixtures.facts import Absent, Present, Unreadable
from gapcheck.fixtures.kube_facts import HostAlias
from gapcheck.model import Cause, Status, Verdict

CHECK = "DNS-POD-001"
PLAIN = COREFILE.replace(DNS_ENTRY, "")


def with_aliases(facts: FactSet, *aliases: HostAlias, **changes: Any) -> FactSet:
    release: Any = facts.by_subject["release"]
    workloads = tuple(
        msgspec.structs.replace(each, host_aliases=aliases, **changes)
        for each in release.workloads.value
    )
    return with_facts(facts, "release", workloads=Present(workloads))


def verdict(facts: FactSet) -> Verdict:
    return judged(CHECK, facts, healthy()[0], "dns")


def test_a_hosts_block_in_coredns_passes() -> None:
    found = verdict(healthy()[1])
    assert found.status is Status.PASS
    assert "CoreDNS, hosts" in found.evidence[0].value


def test_a_node_entry_alone_does_not_reach_pods() -> None:
    found = verdict(with_texts(with_upstream(), coredns=PLAIN))
    assert found.status is Status.FAIL
    assert found.findings[0].problem == "pods get no address for registry.local"
    assert "Deployment coderd" in found.findings[0].evidence[1].value


def test_an_upstream_that_answers_right_passes() -> None:
    assert verdict(with_texts(with_upstream("10.0.0.2"), coredns=PLAIN)).status is Status.PASS


def test_an_upstream_that_answers_another_address_fails() -> None:
    found = verdict(with_texts(with_upstream("10.0.0.9"), coredns=PLAIN))
    assert found.findings[0].problem == (
        "pods get 10.0.0.9 for registry.local; 10.0.0.2 is expected"
    )


def test_one_node_whose_upstream_is_not_known_is_an_error() -> None:
    facts = with_facts(
        with_upstream("10.0.0.2"), "node/rhel", dns_only={"registry.local": Unreadable("no answer")}
    )
    assert verdict(with_texts(facts, coredns=PLAIN)).status is Status.ERROR


def test_a_stub_on_the_node_proves_nothing_as_it_reads_the_hosts_file() -> None:
    facts = with_file(
        with_upstream("10.0.0.2"), "node/rhel", "/etc/resolv.conf", b"nameserver 127.0.0.53\n"
    )
    assert verdict(with_texts(facts, coredns=PLAIN)).status is Status.ERROR


@pytest.mark.parametrize(
    ("server", "status"),
    [
        ("10.0.0.53", Status.PASS),
        ("10.0.0.53:53", Status.PASS),
        ("10.9.9.9", Status.ERROR),
        ("10.0.0.53 10.9.9.9", Status.ERROR),
        ("tls://10.0.0.53", Status.ERROR),
    ],
)
def test_the_server_that_coredns_asks_must_be_one_that_was_asked(
    server: str, status: Status
) -> None:
    text = PLAIN.replace("forward . /etc/resolv.conf", f"forward . {server}")
    assert verdict(with_texts(coredns=text)).status is status


def test_a_resolver_without_the_name_is_the_root() -> None:
    text = PLAIN.replace("forward . /etc/resolv.conf", "forward . 10.0.0.53")
    facts = with_facts(with_texts(coredns=text), "dns", resolvers={"10.0.0.53": Present(())})
    found = verdict(facts)
    assert found.status is Status.FAIL
    assert found.root_causes == (Cause("DNS-NAME-001", "dns"),)


def test_a_wrong_entry_in_coredns_fails() -> None:
    found = verdict(with_texts(coredns=COREFILE.replace("10.0.0.2", "10.0.0.9")))
    assert "10.0.0.2 is expected" in found.findings[0].problem


def test_a_rewrite_is_followed() -> None:
    text = COREFILE.replace("10.0.0.2 registry.local", "10.0.0.2 mirror.corp").replace(
        "    errors\n", "    errors\n    rewrite name registry.local mirror.corp\n"
    )
    assert verdict(with_texts(coredns=text)).status is Status.PASS
    into_cluster = text.replace(
        "rewrite name registry.local mirror.corp",
        "rewrite name registry.local registry.kube-system.svc.cluster.local",
    )
    assert verdict(with_texts(coredns=into_cluster)).status is Status.ERROR


def test_a_broken_corefile_is_the_root() -> None:
    found = verdict(with_texts(coredns=COREFILE.replace(DNS_ENTRY, DNS_ENTRY * 2)))
    assert found.status is Status.BLOCKED
    assert found.root_causes == (Cause("DNS-CORE-001", "dns"),)


def test_a_node_local_cache_without_the_entry_is_the_root() -> None:
    facts = with_texts(with_upstream(), coredns=COREFILE, node_local_dns=NODE_LOCAL)
    assert verdict(facts).root_causes == (Cause("DNS-CORE-002", "dns"),)


def test_host_aliases_of_what_calls_the_registry_are_enough() -> None:
    facts = with_texts(with_upstream(), coredns=PLAIN)
    alias = HostAlias(ip="10.0.0.2", hostnames=("registry.local",))
    assert verdict(with_aliases(facts, alias)).status is Status.PASS


def test_pods_on_the_hosts_network_get_the_nodes_name() -> None:
    facts = with_texts(with_upstream(), coredns=PLAIN)
    assert verdict(with_aliases(facts, host_network=True)).status is Status.PASS


def test_workloads_that_could_not_be_read_leave_it_open() -> None:
    facts = with_texts(with_upstream(), coredns=PLAIN)
    facts = with_facts(facts, "release", workloads=Unreadable("403"))
    assert verdict(facts).status is Status.ERROR
    right = with_facts(healthy()[1], "release", workloads=Unreadable("403"))
    assert verdict(right).status is Status.PASS


def test_an_unreadable_configuration_is_never_a_pass() -> None:
    facts = with_facts(healthy()[1], "dns", coredns=Unreadable("403"))
    found = verdict(facts)
    assert found.status is Status.BLOCKED
    assert found.root_causes == (Cause("DNS-CORE-001", "dns"),)


def test_what_the_dns_service_answers_decides() -> None:
    wrong = with_facts(healthy()[1], "dns", pods={"kube-dns 10.96.0.10": Present(("10.9.9.9",))})
    found = verdict(wrong)
    assert found.status is Status.FAIL
    assert "10.9.9.9" in found.findings[0].problem
    silent = with_facts(healthy()[1], "dns", pods={"kube-dns 10.96.0.10": Unreadable("no answer")})
    assert verdict(silent).status is Status.PASS


def test_no_cluster_and_no_wish_are_not_applicable() -> None:
    known, facts = healthy()
    assert judged(CHECK, facts, no_cluster(known), "dns").status is Status.NOT_APPLICABLE
    unwanted = site(dns={"pods": False})
    assert judged(CHECK, facts, unwanted, "dns").status is Status.NOT_APPLICABLE


def test_a_folder_with_host_aliases_passes(tmp_path: Path) -> None:
    assert Folder(tmp_path).verdict(CHECK, "dns").status is Status.PASS


def unasked(folder: Folder) -> FactSet:
    """The folder's facts, with nodes whose DNS was not asked."""
    facts = folder.facts()
    for node in ("node/debian", "node/rhel"):
        facts = with_facts(facts, node, dns_only={})
    return facts


def test_a_folder_that_gives_pods_nothing_fails(tmp_path: Path) -> None:
    folder = Folder(tmp_path, coderd=coderd())
    found = judged(CHECK, unasked(folder), folder.site, "dns")
    assert found.status is Status.FAIL


def test_a_folder_without_a_corefile_leaves_it_open_where_dns_has_the_name(tmp_path: Path) -> None:
    assert Folder(tmp_path, coderd=coderd()).verdict(CHECK, "dns").status is Status.ERROR


def test_a_cluster_without_a_config_map_of_coredns_is_not_guessed_at() -> None:
    facts = with_facts(with_upstream(), "dns", coredns=Absent("config maps coredns"))
    assert verdict(facts).status is Status.ERROR


@pytest.mark.parametrize(
    ("line", "status"),
    [
        ("    template IN A {\n    }\n", Status.ERROR),
        ("    rewrite name registry.local registry.local\n", Status.ERROR),
    ],
    ids=["plugin that may answer", "rewrite in a circle"],
)
def test_what_the_text_does_not_decide_is_an_error(line: str, status: Status) -> None:
    text = PLAIN.replace("    errors\n", f"    errors\n{line}")
    assert verdict(with_texts(with_upstream(), coredns=text)).status is status


def test_a_corefile_without_an_upstream_gives_pods_nothing() -> None:
    text = PLAIN.replace("    forward . /etc/resolv.conf\n", "")
    found = verdict(with_texts(with_upstream("10.0.0.2"), coredns=text))
    assert found.status is Status.FAIL


def test_a_resolv_conf_that_was_not_read_proves_nothing() -> None:
    facts = with_file(
        with_upstream("10.0.0.2"), "node/rhel", "/etc/resolv.conf", Unreadable("permission denied")
    )
    assert verdict(with_texts(facts, coredns=PLAIN)).status is Status.ERROR


def test_custom_server_blocks_alone_do_not_say_what_coredns_does() -> None:
    facts = with_texts(with_upstream(), coredns_custom="registry.local:53 {\n    errors\n}\n")
    assert verdict(facts).status is Status.ERROR


def test_a_site_without_a_release_relies_on_coredns_alone() -> None:
    known, facts = healthy()
    alone = known.model_copy(update={"release": None})
    rest = {key: each for key, each in facts.by_subject.items() if key != "release"}
    facts = msgspec.structs.replace(facts, by_subject=rest)
    assert judged(CHECK, facts, alone, "dns").status is Status.PASS
    bare = with_texts(with_upstream(), coredns=PLAIN)
    bare = msgspec.structs.replace(
        bare, by_subject={key: each for key, each in bare.by_subject.items() if key != "release"}
    )
    assert judged(CHECK, bare, alone, "dns").status is Status.FAIL


def test_a_corefile_that_another_file_breaks_is_never_a_pass() -> None:
    text = PLAIN + "import /etc/coredns/custom/*.server\n"
    found = verdict(with_texts(with_upstream(), coredns=text, coredns_custom="a.b:53 {\n"))
    assert found.status is Status.BLOCKED


def test_every_service_that_was_asked_must_be_right() -> None:
    seen = {"one": Present(("10.0.0.2",)), "two": Present(())}
    found = verdict(with_facts(healthy()[1], "dns", pods=seen))
    assert found.status is Status.FAIL
    assert len(found.findings) == 1


def test_a_manifest_that_could_not_be_read_leaves_it_open(tmp_path: Path) -> None:
    folder = Folder(tmp_path, coderd=coderd(), broken="kind: [Deployment\n")
    facts = with_facts(unasked(folder), "dns", coredns=Absent("no Corefile in the folder"))
    found = judged(CHECK, facts, folder.site, "dns")
    assert found.status is Status.ERROR
