"""The guide's own steps, on fresh nodes of both containerd generations: judged, then repaired."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from support.needs import absent

from lab import cluster as clusters
from lab import cluster_trial, guide, programs, trial
from lab.cluster import Cluster

pytestmark = [pytest.mark.lab, pytest.mark.timeout(900), pytest.mark.xdist_group("cluster")]
# What the guide itself leaves wrong, whoever follows it.
ROOTS = {
    ("CERT-SAN-001", "registry"),
}


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    for why in programs.missing():
        absent(why)
    folder = clusters.folder_of_cluster()
    running = clusters.up(folder, "docker")
    yield running
    clusters.sweep(folder)


def test_guide_leaves_a_site_that_is_repaired_to_a_running_product(cluster: Cluster) -> None:
    guide.fresh(cluster)
    guide.follow(cluster)
    assert set(cluster_trial.broken(cluster)) == {"n1", "n2", "coderd", "timescale"}

    told = trial.gapcheck(cluster, "check")
    assert told.code == 1, told.text
    assert told.roots >= ROOTS, told.text

    fixed = trial.gapcheck(cluster, "fix", "--max-risk", "outage")
    assert fixed.changes, fixed.text
    cluster_trial.by_hand(cluster, fixed)
    assert cluster_trial.broken(cluster) == {}
    after = trial.gapcheck(cluster, "check")
    assert after.code == 0, after.text
