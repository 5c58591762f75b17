"""Whether the cluster's name service runs."""

from __future__ import annotations

from support.healthy import COREFILE, healthy, site, with_facts
from support.kube import DNS_ENTRY, judged, no_cluster, with_texts

from gapcheck.fixtures.facts import Absent, Present, Unreadable
from gapcheck.fixtures.kube_facts import NameServer, Workload
from gapcheck.model import CheckId, Status, Verdict

CHECK = "DNS-CORE-003"
LOCUS = "Deployment/kube-system/coredns"
WORKLOAD = Workload(kind="Deployment", namespace="kube-system", name="coredns", locus=LOCUS)


def verdict(ready: int, wanted: int = 2, waits: str = "") -> Verdict:
    server = NameServer(workload=WORKLOAD, wanted=wanted, ready=ready, waits=waits)
    known, facts = healthy()
    return judged(CHECK, with_facts(facts, "dns", servers=Present((server,))), known, "dns")


def test_pods_that_are_ready_pass() -> None:
    assert verdict(2).status is Status.PASS


def test_no_ready_pod_fails_with_the_words_of_kubelet() -> None:
    found = verdict(0, waits="ImagePullBackOff: not found")
    assert found.status is Status.FAIL
    (finding,) = found.findings
    assert finding.locus == LOCUS
    assert "ImagePullBackOff: not found" in {each.value for each in finding.evidence}


def test_a_service_scaled_to_nothing_fails() -> None:
    assert verdict(0, wanted=0).status is Status.FAIL


def test_some_ready_pods_only_warn() -> None:
    assert verdict(1).status is Status.WARN


def test_a_corefile_that_coredns_refuses_explains_it() -> None:
    known, _ = healthy()
    server = NameServer(workload=WORKLOAD, wanted=1, ready=0, waits="CrashLoopBackOff")
    broken = with_texts(coredns=COREFILE.replace(DNS_ENTRY, DNS_ENTRY * 2))
    found = judged(CHECK, with_facts(broken, "dns", servers=Present((server,))), known, "dns")
    assert found.status is Status.FAIL
    assert [each.check for each in found.root_causes] == [CheckId("DNS-CORE-001")]


def test_unread_workloads_are_an_error() -> None:
    known, facts = healthy()
    unread = with_facts(facts, "dns", servers=Unreadable("403"))
    assert judged(CHECK, unread, known, "dns").status is Status.ERROR


def test_none_no_cluster_and_no_pods_are_not_applicable() -> None:
    known, facts = healthy()
    facts = with_facts(facts, "dns", servers=Absent("none"))
    for each in (known, no_cluster(known), site(dns={"pods": False})):
        assert judged(CHECK, facts, each, "dns").status is Status.NOT_APPLICABLE
