"""What a row of the cluster's matrix compares: the site's objects, and gapcheck's word on them."""

from __future__ import annotations

import json
import re
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from lab import trial
from lab.consumers import canary, product, restart_product, store
from lab.product import CHART, NAMESPACE, helm, wait_ready

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lab.cluster import Cluster
    from lab.cluster_faults import ClusterFault

# What the API server and controllers write by themselves (the revision of a rollout included).
_THEIRS = ("managedFields", "resourceVersion", "uid", "generation", "creationTimestamp")
_REVISION = "deployment.kubernetes.io/revision"
# A repair's backups outlive its undo; `gapcheck runs prune` removes them.
_NOT_OURS = "app.kubernetes.io/managed-by!=gapcheck"
_UPGRADE = re.compile(r"run: helm (upgrade .+?)(?: \(|$)", re.MULTILINE)
_DELETE = re.compile(r"make it anew: kubectl (-n coder delete pod [a-z0-9-]+)")
# Asked only of a daemon that runs: its socket would start it.
_CONTAINER = """systemctl is-active -q docker 2>/dev/null || exit 0
docker inspect --format '{{.Id}} {{.HostConfig.RestartPolicy.Name}}' registry 2>/dev/null || :
"""
_KINDS = "configmaps,secrets,deployments,statefulsets"


def objects(cluster: Cluster) -> dict[str, Any]:
    """Every object that a repair may touch, without what is not its own."""
    found = {}
    for namespace in (NAMESPACE, "kube-system"):
        words = ("get", _KINDS, "-n", namespace, "-l", _NOT_OURS, "-o", "json")
        said = cluster.control.kubectl(*words)
        for each in json.loads(said)["items"]:
            each.pop("status", None)
            for key in _THEIRS:
                each["metadata"].pop(key, None)
            each["metadata"].get("annotations", {}).pop(_REVISION, None)
            found[f"{each['kind']}/{namespace}/{each['metadata']['name']}"] = each
    return found


def files(cluster: Cluster) -> dict[str, str]:
    """The site's own files, and every file of a machine that a repair may touch."""
    site = cluster.site_file.parent
    found = {
        str(path): f"{path.stat().st_mode:o} {path.read_bytes()!r}"
        for path in sorted(site.rglob("*"))
        if path.is_file()
    }
    machines = cluster.machines
    with ThreadPoolExecutor() as pool:
        looks = pool.map(lambda each: each.run(trial.LOOK + _CONTAINER).stdout, machines.values())
    return found | dict(zip(machines, looks, strict=True))


def broken(cluster: Cluster) -> dict[str, str]:
    """The consumers that do not work, with what they say."""
    said = {name: canary(cluster.control, name) for name in cluster.nodes}
    said["coderd"] = product(cluster.control)
    said["timescale"] = store(cluster.control)
    return {name: error for name, error in said.items() if error}


def play(cluster: Cluster, fault: ClusterFault) -> None:
    """Play one row through on a lab that runs; what is not as the row says fails."""
    cluster.heal()
    try:
        _play(cluster, fault)
    finally:
        for name in fault.on:
            cluster.reset(name)


def together(cluster: Cluster, faults: Sequence[ClusterFault]) -> None:
    """Several faults at once: repaired to a working product, and undone to the same bytes."""
    cluster.heal()
    try:
        for fault in faults:
            fault.inject(cluster)
        restart_product(cluster.control)
        assert broken(cluster)
        faulty = objects(cluster), files(cluster)
        fixed = trial.gapcheck(cluster, "fix")
        assert fixed.code == 0, fixed.text
        left = broken(cluster)
        assert left == {}, f"{left}\n{fixed.text}"
        again = trial.gapcheck(cluster, "fix")
        assert (again.code, again.changes) == (0, 0), again.text
        trial.undo_last(cluster)
        assert (objects(cluster), files(cluster)) == faulty
    finally:
        for name in {name for fault in faults for name in fault.on}:
            cluster.reset(name)


def _play(cluster: Cluster, fault: ClusterFault) -> None:
    fault.inject(cluster)
    restart_product(cluster.control)
    found = broken(cluster)
    # The scheduler decides whether the product's new pod meets a node's fault.
    by_chance = {"coderd"} if set(fault.on) & set(cluster.nodes) else set()
    assert set(found) - by_chance == set(fault.breaks), found
    for consumer, words in fault.breaks.items():
        assert words in found[consumer], found
    faulty = objects(cluster), files(cluster)

    told = trial.gapcheck(cluster, "check")
    assert told.roots == set(fault.roots), told.text

    fixed = trial.gapcheck(cluster, "fix", *fault.options)
    if fault.explained:
        assert (fixed.code, fixed.changes) == (1, 0), fixed.text
        assert (objects(cluster), files(cluster)) == faulty
        return
    if fault.by_helm:
        assert fixed.code == 1, fixed.text
        by_hand(cluster, fixed)
        after = trial.gapcheck(cluster, "check")
        assert after.code == 0, after.text
    else:
        assert fixed.code == 0, fixed.text
    left = broken(cluster)
    assert left == {}, f"{left}\n{fixed.text}"
    again = trial.gapcheck(cluster, "fix", *fault.options)
    assert (again.code, again.changes) == (0, 0), again.text
    if fault.by_helm and not fixed.changes:
        return

    trial.undo_last(cluster)
    undone = objects(cluster), files(cluster)
    if fault.final:
        place, key = fault.final
        assert faulty[0][place]["data"].pop(key), "a row names what its repair takes for good"
    if fault.by_helm:
        assert undone[1] == faulty[1]
    else:
        assert undone == faulty


def by_hand(cluster: Cluster, told: trial.Told) -> None:
    """Do as gapcheck says, word for word: helm upgrade, then delete the pods that it names."""
    found = _UPGRADE.search(told.text)
    assert found, told.text
    words = found[1].replace(" CHART ", f" {CHART} ").split()
    helm(cluster.control, cluster.site_file.parent, *words)
    for words_of_pod in _DELETE.findall(trial.gapcheck(cluster, "fix").text):
        cluster.control.kubectl(*words_of_pod.split())
    wait_ready(cluster.control)
