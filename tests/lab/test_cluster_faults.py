"""Every fault of the cluster's layers on a real cluster: found, repaired, undone.

In the end the guide itself, on fresh nodes: one file, because two clusters have one bridge.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from support.needs import absent

from lab import cluster as clusters
from lab import cluster_trial, guide, programs, trial
from lab.cluster import Cluster
from lab.cluster_faults import FAULTS, IN_DOCKER, ClusterFault, on_different_layers

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
