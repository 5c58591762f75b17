"""Waiting for the new pods of a workload, as `kubectl rollout status` does."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator

from gapcheck.remediations.machines.cluster_api import ClusterApi, Json

_TICK_S = 1.0


def rolled_out(
    api: ClusterApi, workloads: Iterable[tuple[str, str]], *, wait_s: float, done: str
) -> Iterator[str]:
    """Wait until the new pods of all `workloads` (name and path) are there, `wait_s` at most.

    A word for each that says so, or how many are: that it takes longer is no failure, as the
    facts taken afterwards judge the pods. `done` says what was done to the workloads.
    """
    ends = time.monotonic() + wait_s
    for name, path in workloads:
        yield _one(api, name, path, ends=ends, wait_s=wait_s, done=done)


def _one(api: ClusterApi, name: str, path: str, *, ends: float, wait_s: float, done: str) -> str:
    while True:
        word, is_over = _progress(api.get(path) or {})
        if is_over:
            return f"{name} {done} and rolled out ({word})"
        if time.monotonic() > ends:
            return f"{name} {done}; after {wait_s:g} s {word}"
        time.sleep(min(_TICK_S, wait_s))


def is_ready(found: Json) -> bool:
    """Whether all pods of the workload are new and ready."""
    return _progress(found)[1]


def _progress(found: Json) -> tuple[str, bool]:
    """How far a rollout is, and whether it is done."""
    status, spec = found.get("status", {}), found.get("spec", {})
    if found.get("kind") == "DaemonSet":
        wanted = int(status.get("desiredNumberScheduled", 0))
        updated = int(status.get("updatedNumberScheduled", 0))
        ready = int(status.get("numberAvailable", 0))
    else:
        wanted = int(spec.get("replicas", 1))
        updated = int(status.get("updatedReplicas", 0))
        ready = int(status.get("availableReplicas", status.get("readyReplicas", 0)))
    seen = int(status.get("observedGeneration", 0)) >= int(
        found.get("metadata", {}).get("generation", 0)
    )
    word = f"{min(updated, ready)} of {wanted} new pods are ready"
    return word, seen and updated >= wanted and ready >= wanted
