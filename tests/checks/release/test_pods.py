"""Whether the release's pods run."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from support.certs import NOW
from support.healthy import IMAGES, healthy, with_facts
from support.kube import judged, planned

from gapcheck.errors import CannotPlan
from gapcheck.fixtures.facts import Absent, Present, Unreadable
from gapcheck.fixtures.kube_facts import PodFact, ReleaseFacts
from gapcheck.model import Status, Verdict
from gapcheck.remediations.plan import PatchObject

CHECK = "REL-POD-001"
LOCUS = "Deployment/coder/coderd"
PULL = f'ImagePullBackOff: Back-off pulling image "{IMAGES["coderd"]}": x509'


def facts(**given: Any) -> Any:
    pod = {"name": "coderd-1", "workload": LOCUS, "node": "debian", "ready": False, "since": NOW}
    wanted = PodFact(**{**pod, **given})
    rest: Any = healthy()[1].by_subject["release"]
    others = tuple(each for each in rest.running.value if each.workload != wanted.workload)
    return with_facts(healthy()[1], "release", running=Present((wanted, *others)))


def verdict(**given: Any) -> Verdict:
    return judged(CHECK, facts(**given), healthy()[0], "release")


def test_a_ready_pod_passes() -> None:
    assert verdict(ready=True).status is Status.PASS


def test_a_pod_in_back_off_fails_with_kubelets_words() -> None:
    found = verdict(waits=PULL, image=IMAGES["coderd"])
    assert found.status is Status.FAIL
    (finding,) = found.findings
    assert (finding.locus, finding.problem) == (
        LOCUS,
        "pod coderd-1 does not start: ImagePullBackOff",
    )
    assert PULL in {each.value for each in finding.evidence}
    assert "REG-TLS-001" in finding.because


def test_a_foreign_image_is_explained_by_the_release_alone() -> None:
    (finding,) = verdict(waits=PULL, image="docker.io/coderenvs/coder-service:1").findings
    assert set(finding.because) == set()

    assert "older than its Deployment" in finding.problem


@pytest.mark.parametrize(("age", "status"), [(59, Status.PASS), (61, Status.FAIL)])
def test_a_pod_that_is_not_ready_has_a_minute(age: int, status: Status) -> None:
    assert verdict(since=NOW - timedelta(seconds=age)).status is status


def test_a_pod_whose_age_is_not_known_is_not_excused() -> None:
    assert verdict(since=None).status is Status.FAIL


def test_unread_pods_are_an_error_and_so_are_those_an_older_bundle_lacks() -> None:
    known, rest = healthy()
    for running in (Unreadable("403"), ReleaseFacts.__struct_defaults__[0]):
        given = with_facts(rest, "release", running=running)
        assert judged(CHECK, given, known, "release").status is Status.ERROR


@pytest.mark.parametrize("running", [Absent(), Present(())])
def test_a_workload_without_any_pod_fails_and_is_left_to_a_person(running: Any) -> None:
    known, rest = healthy()
    given = with_facts(rest, "release", running=running)
    found = judged(CHECK, given, known, "release")
    assert found.status is Status.FAIL
    assert {each.locus for each in found.findings} >= {LOCUS}
    with pytest.raises(CannotPlan, match="events"):
        planned(CHECK, given, known, "release")


def test_no_pod_where_none_is_to_be_is_not_applicable() -> None:
    known, rest = healthy()
    given = with_facts(rest, "release", running=Present(()), workloads=Present(()))
    assert judged(CHECK, given, known, "release").status is Status.NOT_APPLICABLE


def test_new_pods_are_made_of_a_deployment() -> None:
    (change,) = planned(CHECK, facts(waits=PULL, image=IMAGES["coderd"]), healthy()[0], "release")
    assert isinstance(change, PatchObject)
    assert (change.kind, change.name, change.rolls_out) == ("Deployment", "coderd", True)


def test_a_pod_of_a_stateful_set_is_left_to_a_person() -> None:
    given = facts(workload="StatefulSet/coder/timescale", name="timescale-0", waits=PULL)
    with pytest.raises(CannotPlan, match="kubectl -n coder delete pod timescale-0"):
        planned(CHECK, given, healthy()[0], "release")
