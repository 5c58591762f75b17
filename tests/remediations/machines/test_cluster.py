"""Live objects are patched where they still are the measured ones, and put back by an undo."""

from __future__ import annotations

import copy
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.object_api import ObjectApi, object_api
from support.places import Places, holder, plan_of

from gapcheck.errors import RepairRefused
from gapcheck.model import CLUSTER, SubjectId
from gapcheck.remediations.lock import FolderLocks
from gapcheck.remediations.machines.base import Holder, Machine
from gapcheck.remediations.machines.cluster import ClusterMachine
from gapcheck.remediations.plan import PatchObject
from gapcheck.remediations.runs import list_runs
from gapcheck.remediations.undo import plan_undo
from gapcheck.site import Cluster

CERT = "/api/v1/namespaces/coder/secrets/local-registry-cert"
WORKLOAD = "/apis/apps/v1/namespaces/coder/deployments/coderd"
LEASE = "/apis/coordination.k8s.io/v1/namespaces/coder/leases/gapcheck"


class ClusterPlaces(Places):
    """Places whose cluster is a server that keeps objects."""

    api: ObjectApi

    def machine(self, subject: SubjectId, locks: FolderLocks | None = None) -> Machine:
        if subject != CLUSTER:
            return super().machine(subject, locks)
        cluster = Cluster(kubeconfig=str(self.api.kubeconfig))
        return ClusterMachine(cluster, base=self.home, namespace="coder", wait_s=2)


@pytest.fixture
def here(tmp_path: Path) -> Iterator[ClusterPlaces]:
    with object_api(tmp_path) as api:
        secret = {"apiVersion": "v1", "kind": "Secret", "type": "Opaque"}
        name = {
            "name": "local-registry-cert", "namespace": "coder", "labels": {"a": "b"},
            "managedFields": [{"manager": "gitops", "operation": "Apply"}],
        }  # fmt: skip
        api.put(CERT, {**secret, "metadata": name, "data": {"old": "eA==", "key": "c2VjcmV0"}})
        pod = {"metadata": {}, "spec": {"containers": [{"name": "c", "image": "i"}]}}
        api.put(
            WORKLOAD,
            {
                "apiVersion": "apps/v1",
                "kind": "Deployment",
                "metadata": {"name": "coderd", "namespace": "coder"},
                "spec": {"replicas": 2, "template": pod},
            },
        )
        made = ClusterPlaces(tmp_path)
        made.api = api
        made.root.mkdir()
        made.site.mkdir()
        yield made


def patch(here: ClusterPlaces, path: str, body: Any, **more: Any) -> PatchObject:
    found = here.api.objects[path]
    return PatchObject(
        target=CLUSTER,
        api_version=found["apiVersion"],
        kind=found["kind"],
        namespace="coder",
        name=found["metadata"]["name"],
        uid=found["metadata"]["uid"],
        resource_version=found["metadata"]["resourceVersion"],
        patch=body,
        **more,
    )


def whole(here: ClusterPlaces) -> list[PatchObject]:
    aliases = [{"ip": "10.0.0.2", "hostnames": ["registry.local"]}]
    pod = {"spec": {"template": {"spec": {"hostAliases": aliases}}}}
    made = {"metadata": {"name": "new", "namespace": "coder"}, "data": {"ca": "eA=="}}
    created = PatchObject(
        target=CLUSTER,
        api_version="v1",
        kind="Secret",
        namespace="coder",
        name="new",
        uid="",
        resource_version="",
        patch=made,
        creates=True,
    )
    return [
        patch(here, CERT, {"data": {"registry.crt": "bmV3", "old": None}}),
        created,
        patch(here, WORKLOAD, pod, rolls_out=True),
    ]


def objects(here: ClusterPlaces) -> dict[str, Any]:
    """What an undo has to put back: everything but what the server writes by itself."""
    kept = copy.deepcopy(here.api.objects)
    for path in list(kept):
        found = kept[path]
        if "gapcheck" in path:
            del kept[path]
            continue
        found.pop("status", None)
        for name in ("resourceVersion", "generation", "uid"):
            found["metadata"].pop(name, None)
    return kept


def states(results: Any) -> list[str]:
    return [each.state for each in results]


def test_objects_are_patched_made_rolled_out_and_put_back(here: ClusterPlaces) -> None:
    before = objects(here)

    results = here.apply(plan_of(*whole(here)))

    assert states(results) == ["applied"] * 3, results
    assert here.api.objects[CERT]["data"] == {"key": "c2VjcmV0", "registry.crt": "bmV3"}
    assert "rolled out (2 of 2 new pods are ready)" in results[2].detail
    backups = [p for p in here.api.objects if "/secrets/gapcheck-run-1-" in p]
    assert len(backups) == 2
    labels = here.api.objects[backups[0]]["metadata"]["labels"]
    assert labels["app.kubernetes.io/managed-by"] == "gapcheck"
    assert LEASE not in here.api.objects

    assert states(here.undo()) == ["undone"]
    assert objects(here) == before


def rolls_out(here: ClusterPlaces) -> Any:
    image = [{"name": "c", "image": "other"}]
    return plan_of(
        patch(
            here, WORKLOAD, {"spec": {"template": {"spec": {"containers": image}}}}, rolls_out=True
        )
    )


def test_an_undo_waits_for_the_former_pods(here: ClusterPlaces) -> None:
    here.apply(rolls_out(here))

    (result,) = here.undo()

    name = "Deployment/coder/coderd"
    assert result.detail == f"{name} put back and rolled out (2 of 2 new pods are ready)"


def test_pods_that_do_not_come_back_in_time_are_said_and_fail_no_undo(here: ClusterPlaces) -> None:
    here.apply(rolls_out(here))
    here.api.stuck = True

    (result,) = here.undo()

    assert result.state == "undone"
    assert result.detail.endswith("put back; after 2 s 0 of 2 new pods are ready")


def test_pods_that_were_not_ready_before_a_run_are_not_waited_for(here: ClusterPlaces) -> None:
    here.api.stuck = True
    here.api.kept(WORKLOAD, here.api.objects[WORKLOAD])
    here.apply(rolls_out(here))

    (result,) = here.undo()

    assert result.detail.endswith("its pods were not ready before either and are not waited for")


def test_an_undo_of_objects_can_be_undone(here: ClusterPlaces) -> None:
    here.apply(plan_of(*whole(here)))
    after = objects(here)
    here.undo(by="run-2")

    here.undo("run-2", by="run-3")

    assert objects(here) == after


def test_two_patches_of_one_object_follow_each_other(here: ClusterPlaces) -> None:
    before = objects(here)
    first = patch(here, CERT, {"data": {"a": "eA=="}})
    second = patch(here, CERT, {"data": {"b": "eA=="}})

    assert states(here.apply(plan_of(first, second))) == ["applied", "applied"]

    here.undo()
    assert objects(here) == before


def test_an_object_that_changed_since_it_was_measured_is_refused(here: ClusterPlaces) -> None:
    plan = plan_of(*whole(here))
    here.api.kept(CERT, here.api.objects[CERT])
    before = objects(here)

    results = here.apply(plan)

    assert states(results) == ["failed", "skipped", "skipped"]
    assert "has changed since it was measured; nothing was written there" in results[0].detail
    assert objects(here) == before


def test_an_object_that_came_to_be_is_not_written_over(here: ClusterPlaces) -> None:
    plan = plan_of(whole(here)[1])
    here.api.put("/api/v1/namespaces/coder/secrets/new", {"metadata": {"name": "new"}})

    results = here.apply(plan)

    assert "has come to be since it was measured" in results[0].detail
    assert "/api/v1/namespaces/coder/secrets/new" in here.api.objects


def test_a_failing_patch_puts_the_round_back(here: ClusterPlaces) -> None:
    before = objects(here)
    plan = plan_of(*whole(here))
    here.api.denied.add(("PATCH", "deployments"))
    here.api.reviews = False

    results = here.apply(plan)

    assert states(results) == ["undone", "undone", "failed"], results
    assert "may not patch" in results[2].detail
    assert objects(here) == before


def test_an_undo_refuses_where_an_object_was_edited_after_us(here: ClusterPlaces) -> None:
    here.apply(plan_of(*whole(here)))
    found = here.api.objects[CERT]
    here.api.kept(CERT, {**found, "data": {"edited": "eA=="}})

    with pytest.raises(RepairRefused, match="Secret/coder/local-registry-cert"):
        here.undo()

    assert here.api.objects[CERT]["data"] == {"edited": "eA=="}


def test_status_alone_is_no_edit(here: ClusterPlaces) -> None:
    here.apply(plan_of(*whole(here)))
    here.api.kept(WORKLOAD, here.api.objects[WORKLOAD])

    assert states(here.undo()) == ["undone"]


def test_a_key_that_was_removed_for_good_is_kept_nowhere(here: ClusterPlaces) -> None:
    gone = patch(here, CERT, {"data": {"key": None}}, final=True)

    here.apply(plan_of(gone))

    assert not any("gapcheck-run" in path for path in here.api.objects)
    assert "c2VjcmV0" not in str(here.api.objects)
    here.undo()
    assert "key" not in here.api.objects[CERT]["data"]


def test_a_run_that_is_killed_at_any_boundary_can_be_undone_and_repeated(
    here: ClusterPlaces,
) -> None:
    before = objects(here)
    for at in range(1, 60):
        plan, run = plan_of(*whole(here)), f"run-{at:02}"
        child = os.fork()
        if child == 0:
            seen: list[str] = []

            def hook(step: str, seen: list[str] = seen, at: int = at) -> None:
                seen.append(step)
                if len(seen) == at:
                    os._exit(77)

            here.apply(plan, run=run, hook=hook)
            os._exit(0)
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        here.api.objects.pop(LEASE, None)
        if any(each.id == run and each.changes for each in list_runs(here.state)):
            assert plan_undo(run, here.state).lines
            assert states(here.undo(run, by=f"{run}-undo")) == ["undone"], at
        assert objects(here) == before, at
        if code == 0:
            assert at > 12
            return
        assert code == 77


def test_an_undo_that_is_killed_at_any_boundary_is_asked_for_again(here: ClusterPlaces) -> None:
    before = objects(here)
    for at in range(1, 60):
        run = f"run-{at:02}"
        child = os.fork()
        if child == 0:
            seen: list[str] = []

            def hook(step: str, seen: list[str] = seen, at: int = at) -> None:
                seen.append(step)
                if len(seen) == at:
                    os._exit(77)

            try:
                here.apply(plan_of(*whole(here)), run=run)
                here.undo(run, by=f"{run}-a", hook=hook)
                os._exit(0)
            finally:
                os._exit(1)
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        here.api.objects.pop(LEASE, None)
        if code == 77:
            assert states(here.undo(run, by=f"{run}-b")) == ["undone"], at
        assert objects(here) == before, at
        if code == 0:
            assert at > 12
            return
        assert code == 77, at
    pytest.fail("the undo never ended by itself")


def machine(here: ClusterPlaces) -> ClusterMachine:
    found = here.machine(CLUSTER)
    assert isinstance(found, ClusterMachine)
    return found


def test_a_second_run_is_told_who_holds_the_cluster(here: ClusterPlaces) -> None:
    first = machine(here)
    first.lock(holder("run-1"))

    with pytest.raises(RepairRefused, match=r"run run-1 \(process"):
        machine(here).lock(holder("run-2"))

    first.unlock()
    assert machine(here).lock(holder("run-2")) == ""


def test_a_lease_that_nothing_renewed_is_taken_over(here: ClusterPlaces) -> None:
    machine(here).lock(Holder(run="gone", pid=1, host="elsewhere", since="x"))
    here.api.objects[LEASE]["spec"]["renewTime"] = "2020-01-01T00:00:00.000000Z"

    assert "taken over from run gone" in machine(here).lock(holder("run-2"))


def test_a_lease_of_a_process_that_has_ended_here_is_taken_over_at_once(
    here: ClusterPlaces,
) -> None:
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait()
    machine(here).lock(Holder(run="dead", pid=child.pid, host=socket.gethostname(), since="x"))
    assert "which has ended" in machine(here).lock(holder("run-2"))


def test_a_lease_of_another_machine_is_left_while_it_is_renewed(here: ClusterPlaces) -> None:
    machine(here).lock(Holder(run="far", pid=1, host="elsewhere", since="x"))
    with pytest.raises(RepairRefused, match="run far"):
        machine(here).lock(holder("run-2"))


def test_an_object_of_another_kind_is_refused(here: ClusterPlaces) -> None:
    change = patch(here, CERT, {})
    odd = PatchObject(
        target=CLUSTER, api_version="v1", kind="Node", namespace="", name="n",
        uid=change.uid, resource_version="1", patch={},
    )  # fmt: skip

    assert "objects of kind Node are not patched" in here.apply(plan_of(odd))[0].detail


def test_a_missing_right_is_named_before_the_first_change(here: ClusterPlaces) -> None:
    here.api.denied = {("PATCH", "deployments")}
    before = copy.deepcopy(here.api.objects)
    annotation = {"spec": {"template": {"metadata": {"annotations": {"a": "b"}}}}}
    plan = plan_of(patch(here, CERT, {"data": {"new": "eQ=="}}), patch(here, WORKLOAD, annotation))

    results = here.apply(plan)

    assert {each.state for each in results} == {"failed"}
    assert "patch deployments.apps/coderd -n coder" in results[0].detail
    assert "gapcheck export rbac --for fix" in results[0].detail
    assert "nothing was written there" in results[0].detail
    assert here.api.objects == before
