"""Every fault of the cluster's layers on a real cluster: found, repaired, undone.

In the end the guide itself, on fresh nodes: one file, because two clusters have one bridge.
"""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from support.needs import absent

from lab import carried, cluster_trial, guide, product, programs, rotation, schedules, trial
from lab import cluster as clusters
from lab.cluster import Cluster
from lab.cluster_faults import FAULTS, IN_DOCKER, ClusterFault, on_different_layers
from lab.consumers import restart_product
from lab.network import ADDRESSES
from lab.schedules import InCluster

pytestmark = [pytest.mark.lab, pytest.mark.timeout(900)]

# What the guide itself leaves wrong, whoever follows it.
GUIDE = {
    ("CERT-SAN-001", "registry"),
    ("CERT-CA-001", "registry"),
    ("REG-RUN-001", "registry"),
    ("RUN-TLS-001", "node/n1"),
    ("RUN-CONF-002", "node/n2"),
    ("DNS-POD-001", "dns"),
    ("SECRET-KEY-001", "release"),
    ("REL-VALUE-001", "release"),
}


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    for why in programs.missing():
        absent(why)
    folder = clusters.folder_of_cluster()
    try:
        yield clusters.up(folder, "v2")
    finally:
        clusters.sweep(folder)


def test_healthy_cluster_works_and_is_green(cluster: Cluster) -> None:
    assert cluster_trial.broken(cluster) == {}
    told = trial.gapcheck(cluster, "check")
    assert told.code == 0, told.text
    assert told.roots == set()


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_fault_is_found_by_its_root_repaired_and_undone(
    cluster: Cluster, fault: ClusterFault
) -> None:
    cluster_trial.play(cluster, fault)


@pytest.mark.parametrize("seed", [1, 3, 4])
def test_three_faults_at_once_are_repaired_together(cluster: Cluster, seed: int) -> None:
    cluster_trial.together(cluster, on_different_layers(seed))


def rows(*ids: str) -> tuple[ClusterFault, ...]:
    """The rows of the matrix with these ids."""
    return tuple(each for each in FAULTS if each.id in ids)


def is_well(cluster: Cluster) -> None:
    """Every consumer works, and gapcheck says so."""
    assert cluster_trial.broken(cluster) == {}
    told = trial.gapcheck(cluster, "check")
    assert told.code == 0, told.text


def test_exported_playbook_repairs_a_node(cluster: Cluster, tmp_path: Path) -> None:
    cluster.heal()
    try:
        guide.unprepared(cluster.nodes["n1"])
        assert set(cluster_trial.broken(cluster)) >= {"n1"}
        first, second = carried.by_ansible(cluster, carried.export(cluster, "ansible"), tmp_path)
        if trial.gapcheck(cluster, "check").code:  # what waited for a root
            carried.by_ansible(cluster, carried.export(cluster, "ansible"), tmp_path)
        assert first > 0
        assert second == 0
        is_well(cluster)
    finally:
        cluster.reset("n1")


def test_exported_script_prepares_a_node(cluster: Cluster) -> None:
    cluster.heal()
    try:
        guide.unprepared(cluster.nodes["n2"])
        assert set(cluster_trial.broken(cluster)) >= {"n2"}
        script = carried.export(cluster, "node-init")
        assert "restarted containerd" in carried.by_shell(cluster, "n2", script)
        assert carried.by_shell(cluster, "n2", script) == ""
        is_well(cluster)
    finally:
        cluster.reset("n2")


@pytest.mark.parametrize(
    ("ids", "broken"), [(("S01", "D04"), {"coderd"}), (("S02", "D11"), {"coderd"})], ids="-".join
)
def test_exported_objects_repair_the_cluster(
    cluster: Cluster, ids: tuple[str, ...], broken: set[str], tmp_path: Path
) -> None:
    cluster.heal()
    for fault in rows(*ids):
        fault.inject(cluster)
    restart_product(cluster.control)
    assert set(cluster_trial.broken(cluster)) == broken
    carried.by_kubectl(cluster, carried.export(cluster, "manifests"), tmp_path)
    product.wait_ready(cluster.control)
    is_well(cluster)


@pytest.mark.parametrize("fault", rows("H02", "H04"), ids=lambda fault: fault.name)
def test_exported_values_repair_the_release(cluster: Cluster, fault: ClusterFault) -> None:
    cluster.heal()
    fault.inject(cluster)
    assert set(cluster_trial.broken(cluster)) == set(fault.breaks)
    exported = carried.export(cluster, "values")
    assert exported.code == 0, exported.left
    carried.by_helm(cluster, exported)
    product.wait_ready(cluster.control)
    is_well(cluster)


def revision(cluster: Cluster) -> int:
    said = product.helm(cluster.control, cluster.site_file.parent, "list", "-o", "json")
    return int(json.loads(said)[0]["revision"])


def test_release_is_upgraded_by_helm_and_rolled_back(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    (fault,) = rows("H02")
    cluster.heal()
    site = json.loads(cluster.site_file.read_text())
    site["release"]["chart"] = "chart"
    cluster.site_file.write_text(json.dumps(site))
    shutil.copytree(product.CHART, cluster.site_file.with_name("chart"))
    monkeypatch.setenv("PATH", f"{programs.go_programs('helm')}:{os.environ['PATH']}")
    fault.inject(cluster)
    assert set(cluster_trial.broken(cluster)) == set(fault.breaks)
    before = revision(cluster)

    kept = trial.gapcheck(cluster, "fix")
    assert (kept.code, kept.changes) == (1, 0), kept.text
    assert "--max-risk outage" in kept.text
    fixed = trial.gapcheck(cluster, "fix", "--max-risk", "outage")
    assert fixed.code == 0, fixed.text
    assert revision(cluster) == before + 1
    is_well(cluster)
    again = trial.gapcheck(cluster, "fix", "--max-risk", "outage")
    assert (again.code, again.changes) == (0, 0), again.text

    trial.undo_last(cluster)
    assert revision(cluster) == before + 2  # a rollback is a revision of its own
    assert set(cluster_trial.broken(cluster)) == set(fault.breaks)


def test_node_is_drained_around_the_restart_of_its_runtime(cluster: Cluster) -> None:
    cluster.heal()
    try:
        guide.unprepared(cluster.nodes["n1"])
        drained = trial.gapcheck(cluster, "fix", "--drain", "--max-risk", "outage")
        assert drained.code == 0, drained.text
        assert re.search(r"n1 cordoned; \d+ pods? evicted", drained.text), drained.text
        said = cluster.control.kubectl("get", "node", "n1", "-o", "json")
        assert not json.loads(said)["spec"].get("unschedulable"), said
        product.wait_ready(cluster.control)
        is_well(cluster)
    finally:
        cluster.reset("n1")


def test_ca_is_changed_while_every_node_pulls(cluster: Cluster) -> None:
    cluster.heal()
    old = cluster.ca
    try:
        rotation.name_new_issuer(cluster)
        assert trial.gapcheck(cluster, "check").code == 0  # nothing fails, it warns
        with rotation.pulling(cluster) as pulls:
            spread = trial.gapcheck(cluster, "fix", *rotation.EXCHANGE)
            assert spread.code == 0, spread.text
            rounds = [each for each in spread.report["rounds"] if each["changes"]]
            assert len(rounds) == 2, spread.text  # everywhere first, then exchanged
            rotation.drop_old_ca(cluster)
            removed = trial.gapcheck(cluster, "fix", *rotation.REMOVAL)
            assert removed.code == 0, removed.text
        assert not pulls.refused(), pulls.said
        assert all(pulls.worked(name) > 2 for name in cluster.nodes), pulls.said
        assert not rotation.holds(cluster, old), "every trust place has let the old CA go"
        again = trial.gapcheck(cluster, "fix", *rotation.EXCHANGE, *rotation.REMOVAL)
        assert (again.code, again.changes) == (0, 0), again.text
        is_well(cluster)
    finally:
        for name in cluster.machines:
            cluster.reset(name)


@pytest.fixture(scope="module")
def delivery(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What is carried into the site; it is built once it is needed, beside the running lab."""
    assert cluster
    out = tmp_path_factory.mktemp("delivery") / "out"
    schedules.deliver(out)
    return out


@pytest.fixture(scope="class")
def in_cluster(cluster: Cluster, delivery: Path) -> Iterator[InCluster]:
    cluster.heal()
    made = InCluster(cluster)
    try:
        said = made.install(delivery)
        assert "node/" not in said, said  # all nodes are judged from the pod
        yield made
    finally:
        made.remove()


class TestCronJob:
    """It goes with its class: another cluster takes the place of this one later."""

    def test_begins_green_then_finds_a_drift_and_names_its_cause(
        self, cluster: Cluster, in_cluster: InCluster
    ) -> None:
        first = in_cluster.run("one")
        assert first.code == 0, first.log
        assert "nothing to compare with" in first.log
        assert in_cluster.run("two").code == 0

        wrong = product.COREFILE.replace(ADDRESSES["registry"], "10.9.9.9")
        product.write_corefile(cluster.control, wrong)
        product.wait_ready(cluster.control)
        found = in_cluster.run("three")
        assert found.code == 1, found.log
        assert re.search(r"DNS-POD-001 critical +dns: pass -> fail", found.log), found.log
        assert "10.97.0.10 -> 10.9.9.9" in found.log
        assert "coredns kube-system/coredns/Corefile content sha256" in found.changed_facts()

        product.heal_dns(cluster.control)
        product.wait_ready(cluster.control)
        healed = in_cluster.run("four")
        assert healed.code == 8, healed.log
        assert re.search(r"DNS-POD-001 critical +dns: fail -> pass", healed.log), healed.log
        assert in_cluster.run("five").code == 0

    def test_leaves_its_drift_in_policy_reports(
        self, cluster: Cluster, in_cluster: InCluster
    ) -> None:
        cluster.nodes["n1"].run("echo '# by hand' >> /etc/containerd/config.toml")
        try:
            ran = in_cluster.run("six")
        finally:
            cluster.reset("n1")
        assert ran.code == 1, ran.log
        words = ("get", "clusterpolicyreports,policyreports", "-A", "-o", "json")
        items = json.loads(cluster.control.kubectl(*words))["items"]
        results = [each for item in items for each in item["results"]]
        assert len(results) == len(ran.report["verdicts"])
        (drifted,) = [each for each in results if each["policy"] == "RUN-LOAD-001"
                      and each["properties"].get("drift")]  # fmt: skip
        assert drifted["properties"]["drift"] == "new: pass -> fail"
        assert "file /etc/containerd/config.toml" in drifted["properties"]["cause"]


def test_timer_of_a_bastion_finds_a_drift_and_starts_the_hook(
    cluster: Cluster, delivery: Path
) -> None:
    cluster.heal()
    with schedules.bastion(cluster, delivery) as machine:
        listed = machine.machine.run("systemctl list-timers --no-legend gapcheck.timer").stdout
        assert "gapcheck.service" in listed
        first = machine.run()
        assert (first.code, machine.hooks()) == (0, 0), first.log
        assert "nothing to compare with" in first.log

        cluster.nodes["n2"].run("echo '10.9.9.1 other.local' >> /etc/hosts")
        second = machine.run()
        assert (second.code, machine.hooks()) == (8, 1), second.log
        assert second.changed_facts() == {"file /etc/hosts"}
        assert "file /etc/hosts of node/n2" in second.log

        broken = cluster.nodes["n1"].run("cat /etc/containerd/certs.d/*/hosts.toml").stdout
        assert broken
        cluster.nodes["n1"].run("rm -r /etc/containerd/certs.d/*")
        third = machine.run()
        assert (third.code, machine.hooks()) == (1, 2), third.log
        assert re.search(r"NODE-TRUST-001 critical +node/n1: pass -> fail", third.log), third.log

        cluster.machines["n1"].stop(at_once=True)
        fourth = machine.run()
        assert (fourth.code, machine.hooks()) == (6, 3), fourth.log
    for name in ("n1", "n2"):
        cluster.reset(name)


@contextmanager
def another(cluster: Cluster, kind: str) -> Iterator[Cluster]:
    """A cluster with another registry in place of the first."""
    clusters.sweep(cluster.folder)
    try:
        yield clusters.up(cluster.folder, kind)
    finally:
        clusters.sweep(cluster.folder)


def test_newer_registry_works_and_is_green(cluster: Cluster) -> None:
    with another(cluster, "v3") as newer:
        assert cluster_trial.broken(newer) == {}
        told = trial.gapcheck(newer, "check")
        assert told.code == 0, told.text


@pytest.fixture(scope="module")
def with_docker(cluster: Cluster) -> Iterator[Cluster]:
    """Its registry is a container of the guide's kind."""
    with another(cluster, "docker") as running:
        yield running


@pytest.mark.parametrize("fault", IN_DOCKER, ids=lambda fault: fault.name)
def test_fault_of_the_container_is_found_repaired_and_undone(
    with_docker: Cluster, fault: ClusterFault
) -> None:
    cluster_trial.play(with_docker, fault)


def test_guide_leaves_a_site_that_is_repaired_to_a_running_product(
    with_docker: Cluster,
) -> None:
    cluster = with_docker
    guide.fresh(cluster)
    guide.follow(cluster)
    assert set(cluster_trial.broken(cluster)) == {"n2", "coderd", "timescale"}

    told = trial.gapcheck(cluster, "check")
    assert told.code == 1, told.text
    assert told.roots == GUIDE, told.text

    fixed = trial.gapcheck(cluster, "fix")
    assert fixed.changes, fixed.text
    cluster_trial.by_hand(cluster, fixed)
    assert cluster_trial.broken(cluster) == {}
    after = trial.gapcheck(cluster, "check")
    assert after.code == 0, after.text
