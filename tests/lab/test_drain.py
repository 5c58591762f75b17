"""Nodes cordoned, drained and uncordoned through a real API server, whose budgets really decide.

No kubelet runs: a pod that was evicted is deleted for good by a thread, as a kubelet would.
"""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from support.certs import NOW
from support.command import gapcheck
from support.killed import killed_at
from support.places import Places, holder, places, sha

from gapcheck.fixtures.fact_set import FactSet
from gapcheck.fixtures.kube_objects import CORDONED_BY
from gapcheck.fixtures.probes.cluster import probe_cluster
from gapcheck.model import CLUSTER, SubjectId
from gapcheck.record import ChangeResult
from gapcheck.remediations.apply import Applier, no_hook
from gapcheck.remediations.draining import left_cordoned
from gapcheck.remediations.machines.base import Machine
from gapcheck.remediations.machines.cluster import ClusterMachine
from gapcheck.remediations.plan import (
    DrainNode,
    EditBlock,
    Plan,
    PlannedChange,
    UncordonNode,
)
from gapcheck.remediations.undo import plan_undo, undo_run
from gapcheck.site import Cluster, Site
from lab.control_plane import ControlPlane, control_plane

pytestmark = pytest.mark.lab

HOSTS = b"127.0.0.1 localhost\n"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    with control_plane(tmp_path_factory.mktemp("control")) as made:
        made.kubectl("create", "namespace", "shop")
        for space in ("shop", "default"):  # no controller makes them here
            made.kubectl("create", "serviceaccount", "default", "-n", space, check=False)
        yield made


@pytest.fixture
def control(server: ControlPlane) -> Iterator[ControlPlane]:
    """Two ready nodes, a and b, without pods."""
    for name in ("a", "b"):
        add_node(server, name)
    yield server
    server.kubectl("delete", "nodes", "--all")
    server.kubectl("delete", "pods,pdb", "-A", "--all", "--grace-period=0", "--force")
    server.kubectl("delete", "leases", "-n", "default", "--all")


def add_node(control: ControlPlane, name: str, **spec: Any) -> None:
    apply(control, {"apiVersion": "v1", "kind": "Node", "metadata": {"name": name}, "spec": spec})
    ready = {"status": {"conditions": [{"type": "Ready", "status": "True"}]}}
    words = ("patch", "node", name, "--subresource=status", "-p", json.dumps(ready))
    control.kubectl(*words)
    control.kubectl("taint", "node", name, "node.kubernetes.io/not-ready-", check=False)


def apply(control: ControlPlane, *objects: dict[str, Any]) -> None:
    items = {"apiVersion": "v1", "kind": "List", "items": list(objects)}
    control.kubectl("create", "-f", "-", given=json.dumps(items))


def pod(name: str, node: str = "a", owner: str = "ReplicaSet", **more: Any) -> dict[str, Any]:
    """A pod on `node`, as the scheduler would have bound it."""
    owners = [{"apiVersion": "apps/v1", "kind": owner, "name": "o", "uid": "1", "controller": True}]
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": name,
            "namespace": "shop",
            "labels": {"app": name},
            "annotations": more.pop("annotations", {}),
            **({"ownerReferences": owners} if owner else {}),
        },
        "spec": {"nodeName": node, "containers": [{"name": "c", "image": "i"}], **more},
    }


def runs(control: ControlPlane, name: str) -> None:
    """Say that the pod runs and is ready: a budget does not protect one that is pending."""
    status = {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}
    words = ("patch", "pod", name, "-n", "shop", "--subresource=status")
    control.kubectl(*words, "-p", json.dumps({"status": status}))


def budget(control: ControlPlane, app: str, allowed: int) -> None:
    """A disruption budget whose status says what its controller would."""
    selector = {"matchLabels": {"app": app}}
    apply(control, {
        "apiVersion": "policy/v1", "kind": "PodDisruptionBudget",
        "metadata": {"name": app, "namespace": "shop"},
        "spec": {"minAvailable": 1, "selector": selector},
    })  # fmt: skip
    allow(control, app, allowed)


def allow(control: ControlPlane, app: str, allowed: int) -> None:
    status = {
        "observedGeneration": 1, "disruptionsAllowed": allowed, "currentHealthy": 1 + allowed,
        "desiredHealthy": 1, "expectedPods": 1 + allowed,
    }  # fmt: skip
    words = ("patch", "pdb", app, "-n", "shop", "--subresource=status", "--type=merge")
    control.kubectl(*words, "-p", json.dumps({"status": status}))


@contextmanager
def kubelet(control: ControlPlane) -> Iterator[None]:
    """Ends pods that are to end."""
    over = threading.Event()

    def run() -> None:
        while not over.wait(0.3):
            listed = json.loads(control.kubectl("get", "pods", "-A", "-o", "json"))["items"]
            for each in listed:
                if each["metadata"].get("deletionTimestamp"):
                    words = ("delete", "pod", each["metadata"]["name"], "-n", "shop")
                    control.kubectl(*words, "--grace-period=0", "--force", check=False)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def node(control: ControlPlane, name: str) -> tuple[bool, str]:
    """Whether it is cordoned, and by which run of ours."""
    found = json.loads(control.kubectl("get", "node", name, "-o", "json"))
    annotations = found["metadata"].get("annotations", {})
    return found["spec"].get("unschedulable", False), annotations.get(CORDONED_BY, "")


def pods(control: ControlPlane) -> list[str]:
    names = control.kubectl("get", "pods", "-n", "shop", "-o", "name").split()
    return [each.removeprefix("pod/") for each in names]


class Repair:
    """One run on the cluster and on node a, which is the root of an image."""

    def __init__(self, control: ControlPlane, home: Path) -> None:
        self.cluster = Cluster(kubeconfig=str(control.kubeconfig))
        home.mkdir(parents=True, exist_ok=True)
        self.here: Places = places(home)
        self.base = control.folder

    def machine(self, subject: SubjectId) -> Machine:
        if subject == CLUSTER:
            return ClusterMachine(self.cluster, base=self.base, namespace="default")
        return self.here.machine(subject)

    def apply(
        self, *changes: Any, run: str = "run-1", hook: Any = no_hook, parallel: int = 1
    ) -> list[ChangeResult]:
        planned = tuple(PlannedChange(id=e.id, change=e, stage=0, causes=()) for e in changes)
        journal = self.here.journal(run)
        try:
            applier = Applier(
                machines=self.machine, journal=journal, holder=holder(run), now=NOW, hook=hook,
                parallel=parallel,
            )  # fmt: skip
            results = applier.apply(Plan(round=1, changes=planned))
            applier.finish()
            return list(results)
        finally:
            journal.close()

    def undo(self, run: str = "run-1", by: str = "run-9") -> list[ChangeResult]:
        journal = self.here.journal(by)
        try:
            plan = plan_undo(run, self.here.state)
            return list(undo_run(plan, machines=self.machine, journal=journal, holder=holder(by)))
        finally:
            journal.close()


def drain(name: str = "a", timeout_s: int = 20, **more: Any) -> DrainNode:
    return DrainNode(target=CLUSTER, name=name, timeout_s=timeout_s, **more)


def free(name: str = "a") -> UncordonNode:
    return UncordonNode(target=CLUSTER, name=name)


def edit(name: str = "a", before: bytes = HOSTS) -> EditBlock:
    return EditBlock(
        target=SubjectId(f"node/{name}"),
        path="/etc/hosts",
        before_sha256=sha(before),
        marker="m",
        lines=("::1 registry",),
    )


def states(results: list[ChangeResult]) -> list[str]:
    return [each.state for each in results]


def test_pods_that_move_are_evicted_and_the_others_stay(
    control: ControlPlane, tmp_path: Path
) -> None:
    apply(
        control,
        pod("web"),
        pod("elsewhere", node="b"),
        pod("agent", owner="DaemonSet"),
        pod("done", owner=""),
    )
    mirror = pod("static", owner="Node", annotations={"kubernetes.io/config.mirror": "x"})
    mirror["metadata"]["ownerReferences"] = [
        {"apiVersion": "v1", "kind": "Node", "name": "a", "uid": "1", "controller": True}
    ]
    apply(control, mirror)
    finished = json.dumps({"status": {"phase": "Succeeded"}})
    control.kubectl("patch", "pod", "done", "-n", "shop", "--subresource=status", "-p", finished)
    seen: list[tuple[bool, str]] = []

    def hook(step: str) -> None:
        if step.startswith("planned EditBlock"):
            seen.append(node(control, "a"))

    with kubelet(control):
        results = Repair(control, tmp_path).apply(drain(), edit(), free(), hook=hook)

    assert states(results) == ["applied"] * 3, results
    assert seen == [(True, "run-1")]
    assert "a cordoned; 1 pod evicted" in results[0].detail
    assert results[2].detail == "a uncordoned"
    assert node(control, "a") == (False, "")
    assert pods(control) == ["agent", "done", "elsewhere", "static"]


def test_a_budget_is_waited_for(control: ControlPlane, tmp_path: Path) -> None:
    apply(control, pod("web"))
    runs(control, "web")
    budget(control, "web", 0)
    later = threading.Timer(4, partial(allow, control, "web", 1))
    later.start()
    began = time.monotonic()

    with kubelet(control):
        results = Repair(control, tmp_path).apply(drain(), edit(), free())

    later.join()
    assert states(results) == ["applied"] * 3, results
    assert time.monotonic() - began > 4
    assert pods(control) == []


def test_a_budget_that_never_allows_it_ends_in_time_with_the_node_uncordoned(
    control: ControlPlane, tmp_path: Path
) -> None:
    apply(control, pod("web"))
    runs(control, "web")
    budget(control, "web", 0)
    repair = Repair(control, tmp_path)

    results = repair.apply(drain(timeout_s=3), edit(), free())

    assert states(results) == ["failed", "skipped", "skipped"]
    assert "a is not drained after 3 s: pod shop/web (Cannot evict pod" in results[0].detail
    assert "rolled back; a uncordoned" in results[0].detail
    assert node(control, "a") == (False, "")
    assert pods(control) == ["web"]
    assert (repair.here.root / "etc/hosts").read_bytes() == HOSTS


@pytest.mark.parametrize(
    ("odd", "why"),
    [
        (pod("bare", owner=""), "pod shop/bare has no controller"),
        (pod("data", volumes=[{"name": "v", "emptyDir": {}}]), "pod shop/data has an emptyDir"),
    ],
    ids=["no controller", "emptyDir"],
)
def test_a_pod_that_would_be_lost_refuses_the_drain_before_anything_is_done(
    control: ControlPlane, tmp_path: Path, odd: dict[str, Any], why: str
) -> None:
    apply(control, odd, pod("web"))

    results = Repair(control, tmp_path).apply(drain(), edit(), free())

    assert states(results) == ["failed", "skipped", "skipped"]
    assert why in results[0].detail
    assert "nothing was written" in results[0].detail
    assert node(control, "a") == (False, "")
    assert len(pods(control)) == 2


def test_an_emptydir_goes_where_that_is_asked_for(control: ControlPlane, tmp_path: Path) -> None:
    apply(control, pod("data", volumes=[{"name": "v", "emptyDir": {}}]))
    with kubelet(control):
        results = Repair(control, tmp_path).apply(drain(delete_emptydir=True), edit(), free())
    assert states(results) == ["applied"] * 3, results


def test_the_last_node_that_takes_pods_is_not_drained(
    control: ControlPlane, tmp_path: Path
) -> None:
    control.kubectl("cordon", "b")
    add_node(control, "c", taints=[
        {"key": "node-role.kubernetes.io/control-plane", "effect": "NoSchedule"}
    ])  # fmt: skip

    results = Repair(control, tmp_path).apply(drain(), edit(), free())

    assert states(results) == ["failed", "skipped", "skipped"]
    assert "no other node is ready and takes pods" in results[0].detail
    assert node(control, "a") == (False, "")


def test_two_drains_at_once_leave_one_node(control: ControlPlane, tmp_path: Path) -> None:
    repair = Repair(control, tmp_path)
    stay = threading.Barrier(2, timeout=20)

    def hook(step: str) -> None:
        if step.startswith("planned DrainNode"):
            stay.wait()

    results = repair.apply(drain("a"), drain("b"), hook=hook, parallel=2)

    assert sorted(states(results)) == ["applied", "failed"]
    assert sorted(node(control, each)[0] for each in "ab") == [False, True]


def test_a_node_that_a_person_cordoned_stays_cordoned(
    control: ControlPlane, tmp_path: Path
) -> None:
    control.kubectl("cordon", "a")
    apply(control, pod("web"))
    repair = Repair(control, tmp_path)

    with kubelet(control):
        results = repair.apply(drain(), edit(), free())

    assert states(results) == ["applied"] * 3, results
    assert "was cordoned before and stays so" in results[0].detail
    assert results[2].detail == "a stays cordoned: this run did not do it"
    assert node(control, "a") == (True, "")
    assert pods(control) == []
    repair.undo()
    assert node(control, "a") == (True, "")


def test_a_change_that_fails_is_rolled_back_before_the_node_is_uncordoned(
    control: ControlPlane, tmp_path: Path
) -> None:
    repair = Repair(control, tmp_path)
    wrong = EditBlock(
        target=edit().target, path="/etc/old.crt", before_sha256=sha(b"x"), marker="m", lines=("l",)
    )

    results = repair.apply(drain(), edit(), wrong, free())

    assert states(results) == ["undone", "undone", "failed", "skipped"], results
    assert node(control, "a") == (False, "")
    assert (repair.here.root / "etc/hosts").read_bytes() == HOSTS


def found_cordoned(control: ControlPlane) -> dict[str, str]:
    """What a fix is told of nodes that a repair left cordoned."""
    site = Site.model_validate(
        {
            "version": 1,
            "registry": {"host": "registry.local"},
            "cluster": {"kubeconfig": str(control.kubeconfig)},
        }
    )
    probed = probe_cluster(site, base=control.folder, timeout_s=20)
    facts = FactSet(taken_at=NOW, tool_version="", by_subject={CLUSTER: probed.facts})
    return left_cordoned(facts)


def test_a_run_killed_while_the_node_is_cordoned_is_undone_or_taken_over(
    control: ControlPlane, tmp_path: Path
) -> None:
    for at, gone in enumerate(("acted DrainNode", "applied DrainNode", "planned UncordonNode")):
        repair = Repair(control, tmp_path / str(at))
        before = (repair.here.root / "etc/hosts").read_bytes()

        def hook(step: str, gone: str = gone) -> None:
            if step.startswith(gone):
                os.kill(os.getpid(), 9)

        work = partial(repair.apply, drain(), edit(), free(), hook=hook)
        died, _ = killed_at(0, None, work)
        assert died
        assert node(control, "a") == (True, "run-1"), gone
        control.kubectl("delete", "lease", "gapcheck", "-n", "default")  # it would run out
        assert found_cordoned(control) == {"a": "run-1"}

        if at % 2:
            taken = repair.apply(drain(), free(), run="run-2")
            assert "cordoned (run run-1 had left it so)" in taken[0].detail
            assert node(control, "a") == (False, "")
        undone = repair.undo()
        assert {each.state for each in undone} == {"undone"}
        assert node(control, "a") == (False, "")
        assert (repair.here.root / "etc/hosts").read_bytes() == before


def test_a_run_that_came_to_its_end_leaves_nothing_of_the_cluster_to_undo(
    control: ControlPlane, tmp_path: Path
) -> None:
    repair = Repair(control, tmp_path)
    repair.apply(drain(), edit(), free())
    assert plan_undo("run-1", repair.here.state).targets == (SubjectId("node/a"),)


def test_a_missing_right_is_named_before_the_first_cordon(
    control: ControlPlane, tmp_path: Path
) -> None:
    control.kubectl("create", "serviceaccount", "poor", "-n", "default", check=False)
    token = control.kubectl("create", "token", "poor", "-n", "default").strip()
    repair = Repair(control, tmp_path)
    leases = ("get", "create", "update", "patch", "delete")
    control.kubectl("create", "role", "lease", "-n", "default", f"--verb={','.join(leases)}",
                    "--resource=leases.coordination.k8s.io")  # fmt: skip
    control.kubectl("create", "rolebinding", "lease", "-n", "default", "--role=lease",
                    "--serviceaccount=default:poor")  # fmt: skip
    repair.cluster = Cluster(kubeconfig=str(control.kubeconfig_with("poor", token)))

    results = repair.apply(drain(), edit(), free())

    assert results[0].state == "failed"
    for right in ("patch nodes", "list pods", "create pods/eviction"):
        assert right in results[0].detail
    assert node(control, "a") == (False, "")


def test_the_exported_rights_are_enough(control: ControlPlane, tmp_path: Path) -> None:
    text = "version: 1\nregistry: {host: registry.local}\ncluster: {kubeconfig: admin}\n"
    (control.folder / "site.yaml").write_text(text)
    words = ("export", "rbac", "--site", "site.yaml", "--for", "fix")
    control.kubectl("apply", "-f", "-", given=gapcheck(control.folder, *words, "--drain").out)
    token = control.kubectl("create", "token", "gapcheck", "-n", "default").strip()
    repair = Repair(control, tmp_path)
    repair.cluster = Cluster(kubeconfig=str(control.kubeconfig_with("ours", token)))
    apply(control, pod("web"))

    with kubelet(control):
        results = repair.apply(drain(), edit(), free())

    assert states(results) == ["applied"] * 3, results
    assert node(control, "a") == (False, "")
    assert gapcheck(control.folder, *words[:-1], "check", "--drain").code == 4
    assert "evict" not in gapcheck(control.folder, *words).out


def test_a_fix_with_nothing_else_to_do_says_what_a_dead_run_left(control: ControlPlane) -> None:
    text = "version: 1\nregistry: {host: 127.0.0.1, port: 1}\ncluster: {kubeconfig: admin}\n"
    (control.folder / "site.yaml").write_text(text)
    mine = json.dumps({"metadata": {"annotations": {CORDONED_BY: "run-1"}}})
    control.kubectl("cordon", "a")
    control.kubectl("patch", "node", "a", "-p", mine)
    state = str(control.folder / "state")

    done = gapcheck(control.folder, "fix", "--site", "site.yaml", GAPCHECK_STATE=state)

    said = (done.out + done.err).replace("\n  ", " ")
    assert "node a is cordoned by run run-1; where that run has ended, gapcheck undo run-1" in said
