from __future__ import annotations

from typing import Any

import msgspec
import pytest
from support.healthy import healthy, with_facts
from support.kube import judged

from gapcheck.fixtures.fact_set import FactSet
from gapcheck.fixtures.facts import Present, Unreadable
from gapcheck.model import Status

CHECK = "DNS-POLICY-001"


def with_policy(policy: str) -> FactSet:
    facts = healthy()[1]
    release: Any = facts.by_subject["release"]
    workload, *others = release.workloads.value
    changed = msgspec.structs.replace(workload, host_network=True, dns_policy=policy)
    return with_facts(facts, "release", workloads=Present((changed, *others)))


@pytest.mark.parametrize(
    ("policy", "status"),
    [
        ("ClusterFirst", Status.WARN),
        ("ClusterFirstWithHostNet", Status.PASS),
        ("None", Status.PASS),
        ("Default", Status.PASS),
    ],
)
def test_host_network_needs_a_policy_of_its_own(policy: str, status: Status) -> None:
    assert judged(CHECK, with_policy(policy), healthy()[0], "release").status is status


def test_ordinary_pods_pass() -> None:
    known, facts = healthy()
    assert judged(CHECK, facts, known, "release").status is Status.PASS


def test_unreadable_workloads_are_an_error() -> None:
    facts = with_facts(healthy()[1], "release", workloads=Unreadable("403"))
    assert judged(CHECK, facts, healthy()[0], "release").status is Status.ERROR
