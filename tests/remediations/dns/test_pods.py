from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from support.certs import NOW
from support.healthy import COREFILE, healthy, site, with_facts
from support.kube import (
    DNS_ENTRY,
    Folder,
    judged,
    planned,
    with_texts,
    with_upstream,
)
from support.manifests import coderd

from gapcheck.errors import CannotPlan
from gapcheck.fixtures.fact_set import FactSet
from gapcheck.fixtures.facts import Absent, Present, Unreadable
from gapcheck.model import Finding, Risk, Status, SubjectId
from gapcheck.remediations.dns.pods import plan_name_in_pods
from gapcheck.remediations.edits import apply_edit
from gapcheck.remediations.plan import EditYaml, PatchObject
from gapcheck.view import View

CHECK = "DNS-POD-001"
PLAIN = COREFILE.replace(DNS_ENTRY, "")


class Unasked(Folder):
    """A folder whose nodes' DNS was not asked."""

    def facts(self) -> FactSet:
        facts = super().facts()
        for node in ("node/debian", "node/rhel"):
            facts = with_facts(facts, node, dns_only={})
        return facts


def test_a_live_corefile_gets_the_name() -> None:
    facts = with_texts(with_upstream(), coredns=PLAIN)
    (change,) = planned(CHECK, facts, healthy()[0], "dns")
    assert isinstance(change, PatchObject)
    assert (change.kind, change.name, change.risk) == ("ConfigMap", "coredns", Risk.SAFE)
    after = with_texts(with_upstream(), coredns=change.patch["data"]["Corefile"])
    assert judged(CHECK, after, healthy()[0], "dns").status is Status.PASS
    assert planned(CHECK, after, healthy()[0], "dns") == []


def test_a_wrong_entry_is_replaced() -> None:
    facts = with_texts(coredns=COREFILE.replace("10.0.0.2", "10.0.0.9"))
    (change,) = planned(CHECK, facts, healthy()[0], "dns")
    assert isinstance(change, PatchObject)
    assert change.patch == {"data": {"Corefile": COREFILE}}


def test_the_place_for_own_server_blocks_is_used_where_there_is_one() -> None:
    text = PLAIN + "import /etc/coredns/custom/*.server\n"
    facts = with_texts(
        with_upstream(), coredns=text, coredns_custom="git.local:53 {\n    errors\n}\n"
    )
    (change,) = planned(CHECK, facts, healthy()[0], "dns")
    assert isinstance(change, PatchObject)
    assert change.name == "coredns-custom"
    block = change.patch["data"]["gapcheck.server"]
    assert "10.0.0.2 registry.local" in block
    after = with_texts(with_upstream(), coredns=text, coredns_custom=block)
    assert judged(CHECK, after, healthy()[0], "dns").status is Status.PASS


def test_a_manifest_gets_host_aliases_at_the_level_of_containers(tmp_path: Path) -> None:
    folder = Unasked(tmp_path, coderd=coderd())
    (change,) = folder.repair(CHECK, subject="dns")
    assert isinstance(change, EditYaml)
    assert [each.keys for each in change.edits] == [("spec", "template", "spec", "hostAliases")]
    assert folder.verdict(CHECK, "dns").status is Status.PASS
    assert folder.verdict("DNS-ALIAS-001").status is Status.PASS
    assert 'hostAliases:\n        - ip: "10.0.0.2"\n' in folder.text("manifests/coderd.yaml")
    assert folder.plan(CHECK, "dns") == []


def test_only_what_mounts_the_ca_gets_the_alias(tmp_path: Path) -> None:
    folder = Unasked(tmp_path, coderd=coderd())
    before = folder.text("manifests/timescale.yaml")
    folder.repair(CHECK, subject="dns")
    assert folder.text("manifests/timescale.yaml") == before


def test_a_corefile_of_rke2_leads_to_host_aliases_of_a_live_workload() -> None:
    facts = with_texts(with_upstream(), rke2_coredns_rke2_coredns=PLAIN)
    (change,) = planned(CHECK, facts, healthy()[0], "dns")
    assert isinstance(change, PatchObject)
    assert (change.kind, change.name, change.risk) == ("Deployment", "coderd", Risk.RESTART)
    assert change.patch == {
        "spec": {
            "template": {
                "spec": {"hostAliases": [{"ip": "10.0.0.2", "hostnames": ["registry.local"]}]}
            }
        }
    }


def test_with_nothing_to_change_a_person_is_told() -> None:
    facts: Any = with_texts(with_upstream(), rke2_coredns_rke2_coredns=PLAIN)
    facts = with_facts(facts, "release", workloads=Absent())
    with pytest.raises(CannotPlan, match="HelmChartConfig"):
        planned(CHECK, facts, healthy()[0], "dns")


def test_without_an_expected_address_none_is_made_up() -> None:
    unknown = site(registry={"host": "registry.local", "ca_file": "ca.crt"})
    facts = with_texts(with_upstream(), coredns=PLAIN)
    with pytest.raises(CannotPlan, match="which address"):
        planned(CHECK, facts, unknown, "dns")


DNS_MAP = """apiVersion: v1
kind: ConfigMap
metadata:
  name: coredns
  namespace: kube-system
data:
  Corefile: |
"""


def test_a_corefile_in_the_folder_is_edited_where_no_workload_could_take_an_alias(
    tmp_path: Path,
) -> None:
    text = DNS_MAP + "".join(f"    {line}\n" for line in PLAIN.splitlines())
    folder = Unasked(tmp_path, coderd=None, timescale=None, coredns=text)
    facts = with_facts(folder.facts(), "release", workloads=Absent("none"))
    for node in ("node/debian", "node/rhel"):
        facts = with_facts(facts, node, dns_only={"registry.local": Present(())})
    (change,) = planned(CHECK, facts, folder.site, "dns")
    assert isinstance(change, EditYaml)
    assert (change.path, change.edits[0].keys) == ("manifests/coredns.yaml", ("data", "Corefile"))
    after = apply_edit(change, text.encode())
    assert after is not None
    assert b"        10.0.0.2 registry.local" in after


def test_where_coredns_is_unreadable_what_pods_get_is_repaired_by_an_alias() -> None:
    known, facts = healthy()
    seen = {"kube-dns 10.96.0.10": Present(())}
    facts = with_facts(facts, "dns", pods=seen, coredns=Unreadable("403"))
    view: Any = View(SubjectId("dns"), facts, known, now=NOW)
    (change,) = plan_name_in_pods(Finding(problem="x"), view)
    assert isinstance(change, PatchObject)
    assert change.kind == "Deployment"


def test_with_neither_corefile_nor_workload_a_person_is_told() -> None:
    known, facts = healthy()
    facts = with_facts(facts, "release", workloads=Unreadable("403"))
    for coredns in (Absent(), Unreadable("403")):
        changed = with_facts(facts, "dns", coredns=coredns)
        view: Any = View(SubjectId("dns"), changed, known, now=NOW)
        with pytest.raises(CannotPlan, match="neither CoreDNS nor a workload"):
            list(plan_name_in_pods(Finding(problem="x"), view))
