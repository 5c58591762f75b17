"""The CA of tomorrow is spread before anybody misses it."""

from __future__ import annotations

from typing import Any

import pytest
from support.certs import authority
from support.healthy import NOW, ca, healthy, other_ca, site, verdict_of, with_facts, with_file
from support.nodes import FOLDER, drop, put, untrusting
from support.repair import applied, planned

from gapcheck.engine import Evaluation
from gapcheck.fixtures.fact_set import FactSet
from gapcheck.fixtures.facts import Absent
from gapcheck.model import Risk, Status, SubjectId
from gapcheck.registry import catalogue
from gapcheck.remediations.plan import RefreshTrustStore, RestartUnit, WriteFile
from gapcheck.remediations.planner import Wanted, build_plan

CHECK = "NODE-TRUST-008"
BUNDLE = "/etc/ssl/certs/ca-certificates.crt"
NEW = authority("Example Registry CA 2027")


def given(facts: FactSet | None = None) -> FactSet:
    return with_file(facts or healthy()[1], "site", "ca.crt", ca().pem + NEW.pem)


def spread(facts: FactSet, subject: str, **policy: str) -> tuple[list[Any], FactSet]:
    """The changes, and the facts after them; a second time plans nothing."""
    of = site(policy=policy) if policy else site()
    changes = planned(CHECK, facts, of, subject)
    after = applied(facts, of, changes)
    assert verdict_of(CHECK, after, of, subject).status is Status.PASS
    assert verdict_of("NODE-TRUST-001", after, of, subject).status is Status.PASS
    assert planned(CHECK, after, of, subject) == []
    return changes, after


@pytest.mark.parametrize("name", ["debian", "rhel"])
def test_it_goes_beside_todays_into_both_stores_without_a_restart(name: str) -> None:
    changes, _ = spread(given(), f"node/{name}")
    kinds = [type(each) for each in changes]
    assert sorted(each.__name__ for each in kinds) == [
        "RefreshTrustStore",
        "WriteFile",
        "WriteFile",
    ]
    (folder,) = [each for each in changes if getattr(each, "path", "") == f"{FOLDER}/ca.crt"]
    assert folder.content.data.count(b"BEGIN CERTIFICATE") == 2


def test_it_goes_into_the_registrys_folder_alone_where_todays_is_there_alone() -> None:
    facts, subject = untrusting("debian")
    changes, _ = spread(given(facts), subject)
    assert [(type(each), each.path) for each in changes] == [(WriteFile, f"{FOLDER}/ca.crt")]


def test_a_runtime_that_reads_the_system_store_alone_is_restarted() -> None:
    facts = drop(drop(given(), "node/debian", f"{FOLDER}/hosts.toml"), "node/debian",
                 f"{FOLDER}/ca.crt")  # fmt: skip
    changes, _ = spread(facts, "node/debian", trust="os")
    assert [type(each) for each in changes] == [WriteFile, RefreshTrustStore, RestartUnit]


def test_a_store_that_was_not_loaded_needs_the_restart_alone() -> None:
    facts = drop(drop(given(), "node/debian", f"{FOLDER}/hosts.toml"), "node/debian",
                 f"{FOLDER}/ca.crt")  # fmt: skip
    # The old bundle was loaded from the anchors' neighbour file, the new one was not.
    facts = put(facts, "node/debian", "/etc/ssl/certs/next.pem", NEW.pem, mtime=NOW.timestamp())
    of = site(policy={"trust": "os"})
    assert [type(each) for each in planned(CHECK, facts, of, "node/debian")] == [RestartUnit]


def test_a_node_without_runtime_gets_it_into_its_system_store() -> None:
    facts = given()
    found: Any = facts.by_subject[SubjectId("node/debian")]
    facts = with_facts(facts, "cluster", nodes=Absent())
    facts = with_facts(
        facts,
        "node/debian",
        units={},
        programs={"containerd": Absent(), "dockerd": Absent()},
        files={path: known for path, known in found.files.items() if "containerd" not in path},
        containerd_version=Absent(),
    )
    facts = put(facts, "node/debian", BUNDLE, other_ca().pem + ca().pem)
    changes, _ = spread(facts, "node/debian")
    assert [type(each) for each in changes] == [WriteFile, RefreshTrustStore]


def test_a_warning_is_repaired_where_it_is_selected_and_not_otherwise() -> None:
    evaluation = Evaluation(site(), given(), catalogue(), now=NOW)
    causes = lambda plan: {cause.check for each in plan.changes for cause in each.causes}  # noqa: E731 - said once
    assert CHECK not in causes(build_plan(evaluation))
    chosen = build_plan(evaluation, wanted=Wanted(select=("NODE-TRUST-008", "SECRET-CA-004")))
    assert causes(chosen) == {CHECK, "SECRET-CA-004"}


def test_a_former_ca_is_taken_away_with_max_risk_outage_alone() -> None:
    """Its changes are files, but clients lose what they may still trust."""
    facts = put(healthy()[1], "node/debian", f"{FOLDER}/ca.crt", ca().pem + NEW.pem)
    evaluation = Evaluation(site(policy={"ca_overlap_days": 0}), facts, catalogue(), now=NOW)
    select = ("NODE-TRUST-004",)
    for risk in (Risk.SAFE, Risk.RESTART):
        plan = build_plan(evaluation, wanted=Wanted(select=select, max_risk=risk))
        assert plan.changes == ()
        assert [each.why for each in plan.unplanned] == ["needs --max-risk outage"]
    plan = build_plan(evaluation, wanted=Wanted(select=select, max_risk=Risk.OUTAGE))
    assert [type(each.change) for each in plan.changes] == [WriteFile]
