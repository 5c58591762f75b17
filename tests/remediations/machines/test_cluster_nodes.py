"""A node is emptied as kubectl drain does it, within its time; only our own cordon is lifted."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.object_api import ObjectApi, object_api
from support.places import NODE, Places

from gapcheck.errors import RepairFailed, RepairRefused, TargetError
from gapcheck.fixtures.kube_objects import CORDONED_BY
from gapcheck.fixtures.probes.kube import open_cluster
from gapcheck.model import CLUSTER
from gapcheck.remediations.machines.cluster import ClusterMachine
from gapcheck.remediations.machines.cluster_nodes import ClusterNodes
from gapcheck.remediations.plan import DrainNode, PatchObject, UncordonNode
from gapcheck.site import Cluster

READY = {"conditions": [{"type": "Ready", "status": "True"}]}


@pytest.fixture
def api(tmp_path: Path) -> Iterator[ObjectApi]:
    """Nodes a and b, and one pod of a controller on a."""
    with object_api(tmp_path) as served:
        for name in ("a", "b"):
            add_node(served, name)
        add_pod(served, "web")
        yield served


def add_node(api: ObjectApi, name: str, *, status: Any = READY, **spec: Any) -> None:
    body = {"metadata": {"name": name}, "spec": spec, "status": status}
    api.put(f"/api/v1/nodes/{name}", {"apiVersion": "v1", "kind": "Node", **body})


def add_pod(
    api: ObjectApi, name: str, node: str = "a", owner: str = "ReplicaSet", **more: Any
) -> None:
    metadata = {"name": name, "namespace": "shop", **more.pop("metadata", {})}
    if owner:
        metadata["ownerReferences"] = [{"kind": owner, "controller": True}]
    status = {"phase": more.pop("phase", "Running")}
    body = {"metadata": metadata, "spec": {"nodeName": node, **more}, "status": status}
    api.put(f"/api/v1/namespaces/shop/pods/{name}", {"apiVersion": "v1", "kind": "Pod", **body})


def nodes(api: ObjectApi) -> ClusterNodes:
    def kube() -> Any:
        return open_cluster(Cluster(kubeconfig=str(api.kubeconfig)), base=Path("/"), timeout_s=10)

    return ClusterNodes(kube, lambda: None, one=threading.Lock(), poll_s=0.05)


def drain(name: str = "a", timeout_s: int = 5, **more: Any) -> DrainNode:
    return DrainNode(target=CLUSTER, name=name, timeout_s=timeout_s, **more)


def state(api: ObjectApi, name: str = "a") -> tuple[bool, str]:
    found = api.objects[f"/api/v1/nodes/{name}"]
    by = found["metadata"].get("annotations", {}).get(CORDONED_BY, "")
    return found["spec"].get("unschedulable", False), by


def pods(api: ObjectApi) -> list[str]:
    return [path.rpartition("/")[2] for path in api.objects if "/pods/" in path]


def test_pods_of_the_node_go_and_the_rest_stays(api: ObjectApi) -> None:
    add_pod(api, "elsewhere", node="b")
    add_pod(api, "agent", owner="DaemonSet")
    add_pod(api, "done", owner="", phase="Succeeded")
    mirror = {"annotations": {"kubernetes.io/config.mirror": "x"}}
    add_pod(api, "static", owner="", metadata=mirror)

    word = nodes(api).drain(drain(), "run-1")["word"]

    assert word.startswith("a cordoned; 1 pod evicted, gone after ")
    assert pods(api) == ["elsewhere", "agent", "done", "static"]
    assert state(api) == (True, "run-1")
    assert nodes(api).uncordon("a", "run-1") == "a uncordoned"
    assert state(api) == (False, "")
    assert nodes(api).uncordon("a", "run-1") == ""


def test_a_pod_that_is_ending_is_waited_for_and_not_evicted(api: ObjectApi) -> None:
    ending = {"deletionTimestamp": "2026-01-01T00:00:00Z"}
    add_pod(api, "slow", metadata=ending)
    with pytest.raises(
        RepairFailed, match=r"not drained after 1 s: pod shop/slow \(is still ending"
    ):
        nodes(api).drain(drain(timeout_s=1), "run-1")
    assert pods(api) == ["slow"]
    assert not any("slow/eviction" in path for _, path in api.requests)


def test_a_budget_that_refuses_is_asked_again_until_time_is_up(api: ObjectApi) -> None:
    api.evictions["web"] = 429
    with pytest.raises(RepairFailed, match=r"after 1 s: pod shop/web \(the budget web needs it\)"):
        nodes(api).drain(drain(timeout_s=1), "run-1")
    assert sum("web/eviction" in path for _, path in api.requests) > 2
    assert state(api) == (True, "run-1")


def test_a_pod_that_is_gone_or_made_anew_meanwhile_is_no_failure(api: ObjectApi) -> None:
    api.evictions["web"] = 404
    with pytest.raises(RepairFailed, match="is still ending"):
        nodes(api).drain(drain(timeout_s=1), "run-1")
    assert sum("web/eviction" in path for _, path in api.requests) == 1


def test_an_eviction_that_is_forbidden_ends_the_drain(api: ObjectApi) -> None:
    api.evictions["web"] = 403
    with pytest.raises(RepairFailed, match="evicting pod shop/web: HTTP 403"):
        nodes(api).drain(drain(), "run-1")


@pytest.mark.parametrize(
    ("more", "why"),
    [
        ({"owner": ""}, "pod shop/p has no controller"),
        ({"volumes": [{"name": "v", "emptyDir": {}}]}, "pod shop/p has an emptyDir"),
    ],
    ids=["no controller", "emptyDir"],
)
def test_what_an_eviction_would_lose_refuses_it_beforehand(
    api: ObjectApi, more: dict[str, Any], why: str
) -> None:
    add_pod(api, "p", **more)
    with pytest.raises(RepairRefused, match=why):
        nodes(api).drain(drain(), "run-1")
    assert state(api) == (False, "")
    assert pods(api) == ["web", "p"]


def test_such_a_pod_that_comes_in_between_ends_the_drain(api: ObjectApi) -> None:
    api.evictions["web"] = 429
    found = nodes(api)
    threading.Timer(0.5, lambda: add_pod(api, "late", owner="")).start()
    with pytest.raises(RepairFailed, match="pod shop/late came meanwhile and has no controller"):
        found.drain(drain(timeout_s=20), "run-1")


def test_emptydir_data_goes_where_that_is_asked_for(api: ObjectApi) -> None:
    add_pod(api, "p", volumes=[{"name": "v", "emptyDir": {}}])
    nodes(api).drain(drain(delete_emptydir=True), "run-1")
    assert pods(api) == []


@pytest.mark.parametrize(
    "other",
    [
        {"unschedulable": True},
        {"status": {"conditions": [{"type": "Ready", "status": "Unknown"}]}},
        {"taints": [{"key": "node-role.kubernetes.io/control-plane", "effect": "NoSchedule"}]},
    ],
    ids=["cordoned", "not ready", "control plane"],
)
def test_the_last_node_that_takes_pods_is_refused(api: ObjectApi, other: dict[str, Any]) -> None:
    add_node(api, "b", **other)
    with pytest.raises(RepairRefused, match="no other node is ready and takes pods"):
        nodes(api).drain(drain(), "run-1")
    assert state(api) == (False, "")


@pytest.mark.parametrize(
    "taint",
    [
        {"key": "site.example/gpu", "effect": "NoSchedule"},
        {"key": "node.kubernetes.io/x", "effect": "PreferNoSchedule"},
    ],
    ids=["the site's own", "a preference"],
)
def test_other_taints_do_not_make_it_the_last(api: ObjectApi, taint: dict[str, str]) -> None:
    add_node(api, "b", taints=[taint])
    nodes(api).drain(drain(), "run-1")
    assert state(api) == (True, "run-1")


def test_a_person_s_cordon_is_neither_taken_over_nor_lifted(api: ObjectApi) -> None:
    add_node(api, "a", unschedulable=True)
    word = nodes(api).drain(drain(), "run-1")["word"]
    assert word.startswith("a was cordoned before and stays so; 1 pod evicted")
    assert nodes(api).uncordon("a", "run-1") == "a stays cordoned: this run did not do it"
    assert state(api) == (True, "")


def test_a_cordon_that_a_dead_run_left_is_taken_over_and_lifted(api: ObjectApi) -> None:
    nodes(api).drain(drain(), "run-1")
    word = nodes(api).drain(drain(), "run-2")["word"]
    assert word.startswith("a cordoned (run run-1 had left it so); 0 pods evicted")
    assert nodes(api).uncordon("a", "run-1") == "a stays cordoned: this run did not do it"
    assert nodes(api).uncordon("a", "run-2") == "a uncordoned"


def test_a_node_that_is_not_there_is_said(api: ObjectApi) -> None:
    with pytest.raises(RepairRefused, match="the cluster has no node z"):
        nodes(api).drain(drain("z"), "run-1")
    assert nodes(api).uncordon("z", "run-1") == "the node z is not there any more"


@pytest.mark.parametrize("verb", ["GET", "PATCH"])
def test_an_api_that_refuses_is_no_drain(api: ObjectApi, verb: str) -> None:
    api.denied.add((verb, "nodes"))
    with pytest.raises((TargetError, RepairFailed), match="403"):
        nodes(api).drain(drain(), "run-1")
    assert state(api) == (False, "")


def test_pods_that_cannot_be_listed_are_no_drained_node(api: ObjectApi) -> None:
    api.denied.add(("GET", "v1"))
    with pytest.raises(TargetError, match="reading /api/v1/nodes: HTTP 403"):
        nodes(api).drain(drain(), "run-1")


def test_the_rights_are_asked_for_only_where_nodes_are_drained(api: ObjectApi) -> None:
    machine = ClusterMachine(
        Cluster(kubeconfig=str(api.kubeconfig)), base=Path("/"), namespace="default"
    )
    api.denied |= {("PATCH", "nodes"), ("POST", "pods")}
    free = UncordonNode(target=CLUSTER, name="a")
    assert machine.missing_rights([drain(), free]) == ("patch nodes", "create pods/eviction")
    assert machine.missing_rights([patched()]) == ()


def patched() -> PatchObject:
    return PatchObject(
        target=CLUSTER, api_version="v1", kind="Secret", namespace="x", name="y", uid="1",
        resource_version="2", patch={},
    )  # fmt: skip


def test_no_other_place_drains(tmp_path: Path) -> None:
    (tmp_path / "image").mkdir()
    machine = Places(tmp_path).machine(NODE)
    with pytest.raises(RepairRefused, match="the node a is not drained from here"):
        machine.drain_node(drain(), "run-1")
    with pytest.raises(RepairRefused, match="the node a is not uncordoned from here"):
        machine.uncordon_node("a", "run-1")
