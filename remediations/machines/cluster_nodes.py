"""Nodes of a cluster, cordoned, drained and uncordoned around a repair, as kubectl drain does it.

A cordon that is ours is known by an annotation, which is written by the same request: a node
that a person cordoned stays cordoned, whatever becomes of the run.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from gapcheck.errors import RepairFailed, RepairRefused, TargetError
from gapcheck.fixtures.kube_objects import CORDONED_BY, map_of, maps_of, text_of
from gapcheck.fixtures.kube_rights import Right
from gapcheck.fixtures.probes.kube import Kube, KubeError
from gapcheck.model import CLUSTER
from gapcheck.remediations.plan import Change, DrainNode, UncordonNode

Json = Mapping[str, Any]
_POLL_S = 2.0
_TRIES = 5
_MERGE = "application/merge-patch+json"
_MANAGER = {"fieldManager": "gapcheck"}
_NOT_FOUND, _CONFLICT, _TOO_MANY = 404, 409, 429
_MIRROR = "kubernetes.io/config.mirror"
# Taints by which Kubernetes itself keeps pods away; a site's own are for pods that tolerate them.
_KEPT_FREE = ("node-role.kubernetes.io/", "node.kubernetes.io/", "node.cloudprovider")
_SHOWN = 5

RIGHTS = (
    *(Right(verb=verb, resource="nodes") for verb in ("get", "list", "patch")),
    Right(verb="list", resource="pods"),
    Right(verb="create", resource="pods/eviction"),
)


def rights_of_nodes(changes: Iterable[Change]) -> tuple[Right, ...]:
    """The rights that draining needs, () where none of `changes` drains a node."""
    return RIGHTS if any(isinstance(each, DrainNode | UncordonNode) for each in changes) else ()


class ClusterNodes:
    """The nodes behind an API; `renew` keeps the run's lock, `one` lets one cordon at a time."""

    def __init__(
        self,
        kube: Callable[[], Kube],
        renew: Callable[[], None],
        *,
        one: threading.Lock,
        poll_s: float = _POLL_S,
    ) -> None:
        self._kube = kube
        self._renew = renew
        self._one = one
        self._poll_s = poll_s

    def drain(self, change: DrainNode, run: str) -> dict[str, str]:
        """Cordon the node and evict its pods; a `word` about it.

        Raises RepairRefused, with nothing done, where the node is not there, is the last one
        that takes pods, or has pods that an eviction would lose. Raises RepairFailed, with the
        node cordoned, where its pods are not gone in time.
        """
        self._renew()
        with self._one:
            self._refuse_last(change.name)
            self._refuse_lost(change)
            word = self._cordon(change.name, run)
        begun = time.monotonic()
        count = self._empty(change, begun + change.timeout_s)
        pods = "pod" if count == 1 else "pods"
        waited = f"{time.monotonic() - begun:.0f} s"
        return {"word": f"{change.name} {word}; {count} {pods} evicted, gone after {waited}"}

    def uncordon(self, name: str, run: str) -> str:
        """Let the node take pods again, where `run` cordoned it; a word about it."""
        self._renew()
        found = self._get(f"/api/v1/nodes/{name}", absent=True)
        if found is None:
            return f"the node {name} is not there any more"
        if _cordoned_by(found) != run:
            return f"{name} stays cordoned: this run did not do it" if _is_cordoned(found) else ""
        free = {"metadata": {"annotations": {CORDONED_BY: None}}, "spec": {"unschedulable": None}}
        self._patch(name, free)
        return f"{name} uncordoned"

    def _cordon(self, name: str, run: str) -> str:
        """Cordon it as ours, unless a person did before us; a word that says which."""
        for _ in range(_TRIES):
            found = self._node(name)
            before = _cordoned_by(found)
            if _is_cordoned(found) and not before:
                return "was cordoned before and stays so"
            version = map_of(found.get("metadata")).get("resourceVersion")
            mine = {
                "metadata": {"annotations": {CORDONED_BY: run}, "resourceVersion": version},
                "spec": {"unschedulable": True},
            }
            try:
                self._patch(name, mine)
            except _Conflict:
                continue
            return f"cordoned (run {before} had left it so)" if before else "cordoned"
        raise RepairRefused(CLUSTER, f"{name} changes faster than it can be cordoned")

    def _refuse_last(self, name: str) -> None:
        """Refuse where no other node takes pods."""
        self._node(name)
        nodes = list(self._items("/api/v1/nodes"))
        others = [each for each in nodes if _name(each) != name and _takes_pods(each)]
        if not others:
            raise RepairRefused(
                CLUSTER,
                f"{name} is not drained: no other node is ready and takes pods, so they would "
                "have nowhere to go",
            )

    def _refuse_lost(self, change: DrainNode) -> None:
        """Refuse where an eviction would lose a pod, or data."""
        lost = [
            f"{_named(each)} {why}"
            for each in self._leaving(change.name)
            if (why := _lost(each, change))
        ]
        if lost:
            more = f" and {len(lost) - _SHOWN} more" if len(lost) > _SHOWN else ""
            said = "; ".join(lost[:_SHOWN])
            raise RepairRefused(CLUSTER, f"{change.name} is not drained: {said}{more}")

    def _empty(self, change: DrainNode, ends_at: float) -> int:
        """Evict until no pod is left that has to go; how many went."""
        evicted: set[str] = set()
        held: dict[str, str] = {}
        while True:
            left = self._remaining(change)
            for pod in left:
                uid = text_of(map_of(pod.get("metadata")), "uid")
                if uid not in evicted:
                    held[uid] = self._evict(pod)
                    if not held[uid]:
                        evicted.add(uid)
            if not left:
                return len(evicted)
            if time.monotonic() >= ends_at:
                raise RepairFailed(CLUSTER, _late(change, left, held))
            self._renew()
            time.sleep(max(0.0, min(self._poll_s, ends_at - time.monotonic())))

    def _remaining(self, change: DrainNode) -> list[Json]:
        """The pods that have to go; RepairFailed where one came that would be lost."""
        left = list(self._leaving(change.name))
        for pod in left:
            why = _lost(pod, change)
            if why and not _is_ending(pod):
                message = f"{change.name} is not drained: {_named(pod)} came meanwhile and {why}"
                raise RepairFailed(CLUSTER, message)
        return left

    def _leaving(self, name: str) -> Iterator[Json]:
        """The pods of the node that a drain moves."""
        query = {"fieldSelector": f"spec.nodeName={name}"}
        for pod in self._items("/api/v1/pods", query):
            if not (_is_mirror(pod) or _is_finished(pod) or _owner(pod) == "DaemonSet"):
                yield pod

    def _evict(self, pod: Json) -> str:
        """Ask for the pod's eviction; '' where it goes, else why it does not yet."""
        if _is_ending(pod):
            return ""
        metadata = map_of(pod.get("metadata"))
        namespace, name = text_of(metadata, "namespace"), text_of(metadata, "name")
        body = {
            "apiVersion": "policy/v1",
            "kind": "Eviction",
            "metadata": {"name": name, "namespace": namespace},
            "deleteOptions": {"preconditions": {"uid": metadata.get("uid")}},
        }
        path = f"/api/v1/namespaces/{namespace}/pods/{name}/eviction"
        try:
            self._kube().change("POST", path, body)
        except KubeError as failed:
            if failed.status in (_NOT_FOUND, _CONFLICT):
                return ""  # it is gone; another one of its name is looked at in the next turn
            if failed.status == _TOO_MANY:
                return failed.why.removeprefix(f"HTTP {_TOO_MANY}: ")
            raise RepairFailed(CLUSTER, f"evicting {_named(pod)}: {failed.why}") from failed
        return ""

    def _node(self, name: str) -> Json:
        found = self._get(f"/api/v1/nodes/{name}", absent=True)
        if found is None:
            raise RepairRefused(CLUSTER, f"the cluster has no node {name}")
        return found

    def _get(self, path: str, *, absent: bool) -> Json | None:
        try:
            return self._kube().get(path)
        except KubeError as failed:
            if absent and failed.status == _NOT_FOUND:
                return None
            raise TargetError(str(CLUSTER), f"reading {path}: {failed.why}") from failed

    def _items(self, path: str, query: Mapping[str, str] | None = None) -> list[Json]:
        try:
            return list(self._kube().items(path, query))
        except KubeError as failed:
            raise TargetError(str(CLUSTER), f"reading {path}: {failed.why}") from failed

    def _patch(self, name: str, body: Json) -> None:
        path = f"/api/v1/nodes/{name}"
        try:
            self._kube().change("PATCH", path, body, query=_MANAGER, content_type=_MERGE)
        except KubeError as failed:
            if failed.status == _CONFLICT:
                raise _Conflict from failed
            raise RepairFailed(CLUSTER, f"patching the node {name}: {failed.why}") from failed


class _Conflict(Exception):
    """The node has another version by now."""


def _late(change: DrainNode, left: list[Json], held: Mapping[str, str]) -> str:
    said = []
    for pod in left[:_SHOWN]:
        why = held.get(text_of(map_of(pod.get("metadata")), "uid"), "")
        said.append(f"{_named(pod)} ({why or 'is still ending'})")
    more = f" and {len(left) - _SHOWN} more" if len(left) > _SHOWN else ""
    return f"{change.name} is not drained after {change.timeout_s} s: {', '.join(said)}{more}"


def _lost(pod: Json, change: DrainNode) -> str:
    """What an eviction of the pod would lose, ''."""
    if not _owner(pod):
        return "has no controller, so nothing would make it again: move it by hand"
    volumes = maps_of(map_of(pod.get("spec")).get("volumes"))
    if not change.delete_emptydir and any("emptyDir" in each for each in volumes):
        return "has an emptyDir, whose data an eviction deletes (--delete-emptydir-data)"
    return ""


def _owner(pod: Json) -> str:
    """The kind of the pod's controller, ''."""
    owners = maps_of(map_of(pod.get("metadata")).get("ownerReferences"))
    return next((text_of(each, "kind") for each in owners if each.get("controller") is True), "")


def _is_mirror(pod: Json) -> bool:
    return _MIRROR in map_of(map_of(pod.get("metadata")).get("annotations"))


def _is_finished(pod: Json) -> bool:
    return text_of(map_of(pod.get("status")), "phase") in ("Succeeded", "Failed")


def _is_ending(pod: Json) -> bool:
    return bool(map_of(pod.get("metadata")).get("deletionTimestamp"))


def _named(pod: Json) -> str:
    metadata = map_of(pod.get("metadata"))
    return f"pod {text_of(metadata, 'namespace')}/{text_of(metadata, 'name')}"


def _name(node: Json) -> str:
    return text_of(map_of(node.get("metadata")), "name")


def _is_cordoned(node: Json) -> bool:
    return map_of(node.get("spec")).get("unschedulable") is True


def _cordoned_by(node: Json) -> str:
    return text_of(map_of(map_of(node.get("metadata")).get("annotations")), CORDONED_BY)


def _takes_pods(node: Json) -> bool:
    """Whether ordinary pods are put there: ready, not cordoned, no taint of Kubernetes' own."""
    conditions = maps_of(map_of(node.get("status")).get("conditions"))
    ready = any(
        text_of(each, "type") == "Ready" and text_of(each, "status") == "True"
        for each in conditions
    )
    taints = maps_of(map_of(node.get("spec")).get("taints"))
    strict = (each for each in taints if text_of(each, "effect") != "PreferNoSchedule")
    kept_free = any(text_of(each, "key").startswith(_KEPT_FREE) for each in strict)
    return ready and not kept_free and not _is_cordoned(node)
