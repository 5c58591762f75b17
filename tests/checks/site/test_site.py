from datetime import timedelta
from typing import Any

import msgspec
from support.certs import NOW
from support.healthy import healthy, site, verdict_of, with_facts

from gapcheck.fixtures.facts import Unreadable
from gapcheck.model import Gap, Status, SubjectId

WAIVER = {"check": "CERT-CN-001", "reason": "accepted", "owner": "ops"}


def waived(**keys: Any) -> Any:
    return site(waivers=[{**WAIVER, "until": NOW.date() + timedelta(days=9), **keys}])


def test_expired_waiver_is_a_finding_of_its_own() -> None:
    _, facts = healthy()
    old = waived(until=NOW.date() - timedelta(days=1))
    verdict = verdict_of("SITE-WAIVER-001", facts, old, "site")
    assert verdict.status is Status.FAIL
    assert "CERT-CN-001" in verdict.findings[0].problem


def test_waiver_on_its_last_day_has_not_expired() -> None:
    _, facts = healthy()
    today = waived(until=NOW.date())
    assert verdict_of("SITE-WAIVER-001", facts, today, "site").status is Status.PASS


def test_waiver_that_matches_nothing_is_said_and_fails_nothing() -> None:
    _, facts = healthy()
    assert verdict_of("SITE-WAIVER-002", facts, waived(), "site").status is Status.WARN


def test_waiver_of_an_unknown_check_matches_nothing() -> None:
    _, facts = healthy()
    unknown = waived(check="NODE-NOSUCH-001")
    assert verdict_of("SITE-WAIVER-002", facts, unknown, "site").status is Status.WARN


def test_waiver_that_accepts_a_finding_is_needed() -> None:
    _, facts = healthy()
    denied = with_facts(facts, "cluster", denied=("list secrets",))
    used = waived(check="SITE-CLUSTER-001", subject="cluster")
    assert verdict_of("SITE-CLUSTER-001", denied, used, "cluster").status is Status.WAIVED
    assert verdict_of("SITE-WAIVER-002", denied, used, "site").status is Status.PASS


def test_gap_makes_the_site_unmeasured() -> None:
    of, facts = healthy()
    gap = Gap(subject=SubjectId("node/n3"), stage="connect", reason="connection refused")
    gapped = msgspec.structs.replace(facts, gaps=(gap,))
    verdict = verdict_of("SITE-GAP-001", gapped, of, "site")
    assert verdict.status is Status.ERROR
    assert "node/n3" in verdict.reason
    assert verdict_of("SITE-GAP-001", facts, of, "site").status is Status.PASS


def test_cluster_that_does_not_answer_is_an_error_and_never_a_pass() -> None:
    of, facts = healthy()
    silent = with_facts(facts, "cluster", version=Unreadable("connection refused"))
    assert verdict_of("SITE-CLUSTER-001", silent, of, "cluster").status is Status.ERROR
    assert verdict_of("SITE-CLUSTER-001", facts, of, "cluster").status is Status.PASS


def test_missing_right_is_named_and_blocks_nothing_by_itself() -> None:
    of, facts = healthy()
    denied = with_facts(facts, "cluster", denied=("list secrets -n coder",))
    verdict = verdict_of("SITE-CLUSTER-001", denied, of, "cluster")
    assert verdict.status is Status.WARN
    assert verdict.findings[0].remedy_hint == "kubectl auth can-i list secrets -n coder"
