from __future__ import annotations

from pathlib import Path

import pytest
from support.healthy import healthy, with_facts
from support.kube import Folder, families, judged, no_cluster
from support.manifests import timescale

from gapcheck.fixtures.facts import Absent, Present, Unreadable
from gapcheck.model import Cause, Scope, Status

OURS = [
    each.id
    for each in families().checks.values()
    if each.scope is Scope.RELEASE or each.id.startswith(("DNS-CORE", "DNS-POD"))
]


@pytest.mark.parametrize("check", OURS)
def test_a_cluster_that_does_not_answer_is_the_one_root(check: str) -> None:
    known, facts = healthy()
    facts = with_facts(facts, "cluster", version=Unreadable("dial tcp: connection refused"))
    found = judged(check, facts, known, families().checks[check].scope)
    assert found.status is Status.BLOCKED
    assert found.root_causes == (Cause("SITE-CLUSTER-001", "cluster"),)


def test_a_missing_secret_fails_once_and_blocks_what_is_in_it() -> None:
    known, facts = healthy()
    facts = with_facts(facts, "release", secrets=Present(()))
    statuses = {check: judged(check, facts, known, "release").status for check in OURS
                if check.startswith(("SECRET", "REL"))}  # fmt: skip
    bad = {check for check, status in statuses.items() if status is Status.FAIL}
    assert bad == {"SECRET-CA-001"}
    assert statuses["SECRET-CA-003"] is Status.BLOCKED


def test_a_missing_namespace_is_the_root_of_the_missing_secret() -> None:
    known, facts = healthy()
    facts = with_facts(facts, "release", namespace_exists=Present(value=False), secrets=Present(()))
    found = judged("SECRET-CA-003", facts, known, "release")
    assert found.root_causes == (Cause("SECRET-NS-001", "release"),)


@pytest.mark.parametrize("check", OURS)
def test_every_check_passes_or_is_not_applicable_on_a_healthy_site(check: str) -> None:
    known, facts = healthy()
    status = judged(check, facts, known, families().checks[check].scope).status
    assert status in (Status.PASS, Status.NOT_APPLICABLE)


def test_every_check_names_a_step_of_the_guide_and_a_fault() -> None:
    for check in OURS:
        source = families().checks[check].source
        assert source.step in (6, 7, 8)
        assert source.fault


@pytest.mark.parametrize("check", OURS)
def test_without_a_cluster_nothing_is_said_about_it(check: str) -> None:
    known, facts = healthy()
    absent = Absent("the site file names no cluster")
    facts = with_facts(
        facts, "release", source="none", namespace_exists=absent, record=absent,
        workloads=absent, secrets=absent, values={},
    )  # fmt: skip
    facts = with_facts(facts, "dns", coredns=absent)
    scope = families().checks[check].scope
    assert judged(check, facts, no_cluster(known), scope).status is Status.NOT_APPLICABLE


@pytest.mark.parametrize(
    "check",
    [each for each in OURS if each.startswith(("REL-I", "REL-N", "REL-C", "REL-V", "DNS-ALIAS",
                                               "DNS-POLICY", "SECRET-KEY"))],
)  # fmt: skip
def test_a_manifest_that_could_not_be_read_is_never_passed_over(check: str, tmp_path: Path) -> None:
    found = Folder(tmp_path, broken="kind: [Deployment\n").verdict(check)
    assert found.status is Status.ERROR
    assert "manifests/broken.yaml:" in found.reason


def test_what_is_wrong_elsewhere_is_still_said(tmp_path: Path) -> None:
    folder = Folder(tmp_path, broken="kind: [Deployment\n", timescale=timescale())
    found = folder.verdict("REL-IMAGE-001")
    assert found.status is Status.FAIL
    assert "manifests/broken.yaml:" in found.reason
