"""Every fault of the cluster's layers on a real cluster: found, repaired, undone."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from support.needs import absent

from lab import cluster as clusters
from lab import cluster_trial, programs, trial
from lab.cluster import Cluster
from lab.cluster_faults import FAULTS, ClusterFault, on_different_layers

pytestmark = [pytest.mark.lab, pytest.mark.timeout(600), pytest.mark.xdist_group("cluster")]


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    for why in programs.missing():
        absent(why)
    folder = clusters.folder_of_cluster()
    running = clusters.up(folder, "v2")
    yield running
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
def test_three_faults_at_once_are_repaired_together(
    cluster: Cluster, seed: int
) -> None:
    cluster_trial.together(cluster, on_different_layers(seed))
