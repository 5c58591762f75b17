"""Live objects of a cluster, patched where they still are the ones that were measured.

Backups are Secrets in the object's own namespace, with an owner label. One run at a time
holds the Lease `gapcheck`, which its changes renew.
"""

from __future__ import annotations

import base64
import hashlib
import json
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec

from gapcheck.errors import LockHeld, RepairFailed, RepairRefused, TargetError
from gapcheck.fixtures.probes.kube import Kube, KubeError, open_cluster
from gapcheck.model import CLUSTER
from gapcheck.remediations.journal import FileState
from gapcheck.remediations.machines.base import Holder, Looked, WithoutEngine
from gapcheck.remediations.machines.cluster_rights import denied, rights_for
from gapcheck.remediations.plan import Change, PatchObject
from gapcheck.site import Cluster

Json = dict[str, Any]
LABELS = {"app.kubernetes.io/managed-by": "gapcheck"}
RUN_LABEL = "gapcheck.io/run"
LEASE = "gapcheck"
STALE_S = 900
_TIMEOUT_S = 30.0
_WAIT_S = 120.0
_TRIES = 5
_NOT_FOUND, _CONFLICT, _FORBIDDEN = 404, 409, 403
_MERGE = "application/merge-patch+json"
_MANAGER = {"fieldManager": "gapcheck"}
_PLURALS = {
    "ConfigMap": "configmaps",
    "CronJob": "cronjobs",
    "DaemonSet": "daemonsets",
    "Deployment": "deployments",
    "Job": "jobs",
    "Namespace": "namespaces",
    "Pod": "pods",
    "Secret": "secrets",
    "ServiceAccount": "serviceaccounts",
    "StatefulSet": "statefulsets",
}
# What the API server writes by itself: not part of what an undo puts back.
_SERVERS = (
    "managedFields",
    "resourceVersion",
    "uid",
    "generation",
    "creationTimestamp",
    "selfLink",
)


class ClusterMachine(WithoutEngine):
    """The cluster that the site file names; the Lease lies in `namespace`."""

    target = CLUSTER
    read_only = ""
    running = True

    def __init__(
        self, cluster: Cluster, *, base: Path, namespace: str, wait_s: float = _WAIT_S
    ) -> None:
        self._cluster = cluster
        self._base = base
        self._namespace = namespace
        self._wait_s = wait_s
        self._holder = ""
        self._ours: dict[str, str] = {}

    def lock(self, holder: Holder) -> str:
        """Hold the cluster by a Lease; see `Machine.lock`. One not renewed for 15 min is dead."""
        mine = msgspec.json.encode(holder).decode()
        found = self._get(self._lease_path())
        if found is None:
            self._write("POST", self._lease_path("").rstrip("/"), self._lease(mine))
            self._holder = mine
            return ""
        spec = found.get("spec") or {}
        seen = str(spec.get("holderIdentity") or "")
        word = ""
        if seen and not _same_run(seen, holder):
            idle_s = _seconds_since(str(spec.get("renewTime") or ""))
            if idle_s < STALE_S:
                raise LockHeld(CLUSTER, f"{_who(seen)} is repairing it")
            word = f"lock taken over from {_who(seen)}, which has not renewed it for {idle_s:.0f} s"
        lease = self._lease(mine)
        lease["metadata"]["resourceVersion"] = found["metadata"]["resourceVersion"]
        self._write("PUT", self._lease_path(), lease)
        self._holder = mine
        return word

    def missing_rights(self, changes: Sequence[Change]) -> tuple[str, ...]:
        """What the account may not do of `changes`, as `kubectl auth can-i` names it."""
        patches = [each for each in changes if isinstance(each, PatchObject)]
        rights = (right for each in patches for right in rights_for(each, _PLURALS))
        return tuple(denied(self._kube(), rights))

    def unlock(self) -> None:
        """Give the cluster free."""
        if self._holder:
            self._holder = ""
            self._write("DELETE", self._lease_path(), {})

    def _renew(self) -> None:
        if self._holder:
            now = {"spec": {"renewTime": _now()}}
            self._write("PATCH", self._lease_path(), now, content_type=_MERGE)

    def _lease_path(self, name: str = LEASE) -> str:
        return f"/apis/coordination.k8s.io/v1/namespaces/{self._namespace}/leases/{name}"

    def _lease(self, holder: str) -> Json:
        now = _now()
        return {
            "apiVersion": "coordination.k8s.io/v1",
            "kind": "Lease",
            "metadata": {"name": LEASE, "namespace": self._namespace, "labels": LABELS},
            "spec": {
                "holderIdentity": holder,
                "leaseDurationSeconds": STALE_S,
                "acquireTime": now,
                "renewTime": now,
            },
        }

    def patch_object(self, change: PatchObject, run: str) -> dict[str, str]:
        """Patch an object that is still the measured one, or make one that is not there."""
        self._renew()
        path = _path(change.api_version, change.kind, change.namespace, change.name)
        found = self._get(path)
        name = f"{change.kind}/{change.namespace}/{change.name}"
        if change.creates:
            if found is not None:
                raise RepairRefused(CLUSTER, f"{name} has come to be since it was measured")
            body = _labelled(change, run)
            done = self._write("POST", path.rpartition("/")[0], body)
            return {"was": "absent", "left": _version(done), "word": f"{name} made"}
        if found is None:
            raise RepairRefused(CLUSTER, f"{name} is not there any more")
        self._refuse_changed(name, found, change)
        if not change.final:
            self._back_up(name, change.namespace, run, found)
        done = self._patched(name, found, change)
        self._ours[change.uid] = _told(change, done)
        word = f"{name} patched"
        if change.rolls_out:
            word = self._rolled_out(name, path)
        return {"was": "present", "left": _version(done), "word": word}

    def _patched(self, name: str, found: Json, change: PatchObject) -> Json:
        """Patch the object as `found`; a status written meanwhile is no change of it."""
        path = _path(change.api_version, change.kind, change.namespace, change.name)
        for _ in range(_TRIES if change.generation else 1):
            body = _with_version(change.patch, found)
            try:
                return self._write("PATCH", path, body, content_type=_MERGE)
            except _Conflict as conflict:
                refused = conflict
            found = self._get(path) or {"metadata": {"uid": ""}}
            self._refuse_changed(name, found, change)
        raise refused

    def _refuse_changed(self, name: str, found: Json, change: PatchObject) -> None:
        metadata = found["metadata"]
        if metadata["uid"] != change.uid:
            raise RepairRefused(CLUSTER, f"{name} was made anew since it was measured")
        if _told(change, found) != self._ours.get(change.uid, _measured(change)):
            raise RepairRefused(CLUSTER, f"{name} has changed since it was measured")

    def foreign_object(self, effect: Mapping[str, str]) -> str:
        """A word where the object was changed after `effect`."""
        found = self._get(_path_of(effect))
        left, now = effect.get("left", ""), _version(found) if found else "absent"
        return "" if left in ("", now) else f"{effect['object']} (left at {left}, is now {now})"

    def restore_object(self, effect: Mapping[str, str]) -> dict[str, str]:
        """Put an object back, remove it or make it again, as it was before `effect`."""
        self._renew()
        if effect["was"] == "absent":
            return self._unmade(effect)
        path, run, name = _path_of(effect), effect["run"], effect["object"]
        namespace = name.split("/")[1]
        inverse = f"{run}-u"
        found, kept = self._get(path), self._backup(name, namespace, run)
        if kept is None:
            if "left" not in effect:  # it was under way, and had not begun
                return {"run": inverse, "word": ""}
            raise RepairFailed(CLUSTER, f"the backup of {name} is not there any more")
        if found is None:
            done = self._write("POST", path.rpartition("/")[0], _comparable(kept))
            return {"run": inverse, "was": "absent", "left": _version(done), "word": f"{name} made"}
        self._back_up(name, namespace, inverse, found)
        word = ""
        if _comparable(found) != _comparable(kept):
            found = self._write("PUT", path, _with_version(_comparable(kept), found))
            word = f"{name} put back"
        return {"run": inverse, "was": "present", "left": _version(found), "word": word}

    def _unmade(self, effect: Mapping[str, str]) -> dict[str, str]:
        """Remove the object that `effect` made, unless someone else made it."""
        path, run, name = _path_of(effect), effect["run"], effect["object"]
        inverse = {"run": f"{run}-u", "was": "present"}
        found = self._get(path)
        if found is None:
            return {**inverse, "left": "absent", "word": ""}
        if not _made_by(found, run):
            return {**inverse, "word": f"{name} was made by someone else and stays"}
        self._back_up(name, name.split("/")[1], inverse["run"], found)
        self._write("DELETE", path, {"preconditions": {"uid": found["metadata"]["uid"]}})
        return {**inverse, "left": "absent", "word": f"{name} removed"}

    def _back_up(self, name: str, namespace: str, run: str, found: Json) -> None:
        secret = {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {
                "name": _backup_name(name, run),
                "namespace": namespace,
                "labels": {**LABELS, RUN_LABEL: run},
                "annotations": {"gapcheck.io/object": name},
            },
            "data": {"object": base64.b64encode(json.dumps(_comparable(found)).encode()).decode()},
        }
        try:
            self._write("POST", _path("v1", "Secret", namespace, ""), secret)
        except _Conflict:
            return  # the run's first backup of it is the one that counts

    def _backup(self, name: str, namespace: str, run: str) -> Json | None:
        secret = self._get(_path("v1", "Secret", namespace, _backup_name(name, run)))
        if secret is None:
            return None
        kept: Json = json.loads(base64.b64decode(secret["data"]["object"]))
        return kept

    def _rolled_out(self, name: str, path: str) -> str:
        """Wait until the new pods are there; a word that says so, or how many are."""
        ends = time.monotonic() + self._wait_s
        while True:
            found = self._get(path) or {}
            word, done = _progress(found)
            if done:
                return f"{name} rolled out ({word})"
            if time.monotonic() > ends:
                return f"{name} patched; after {self._wait_s:g} s {word}"
            time.sleep(min(1.0, self._wait_s))

    def _get(self, path: str) -> Json | None:
        try:
            return self._kube().get(path)
        except KubeError as failed:
            if failed.status == _NOT_FOUND:
                return None
            raise self._refusal(failed, "read", path) from failed

    def _write(
        self,
        verb: str,
        path: str,
        body: Mapping[str, Any],
        *,
        content_type: str = "application/json",
    ) -> Json:
        try:
            return self._kube().change(
                verb,
                path,
                body,
                query=_MANAGER if verb != "DELETE" else {},
                content_type=content_type,
            )
        except KubeError as failed:
            if failed.status == 0:
                why = f"{verb} {path}: {failed.why}; it may have been done"
                raise RepairFailed(CLUSTER, why) from failed
            if failed.status == _CONFLICT:
                raise _Conflict(CLUSTER, f"{path} has changed meanwhile ({failed.why})") from failed
            raise self._refusal(failed, verb.lower(), path) from failed

    def _kube(self) -> Kube:
        try:
            return open_cluster(self._cluster, base=self._base, timeout_s=_TIMEOUT_S)
        except KubeError as failed:
            raise TargetError(str(CLUSTER), failed.why) from failed

    @staticmethod
    def _refusal(failed: KubeError, verb: str, path: str) -> RepairRefused | TargetError:
        if failed.status == 0:
            return TargetError(str(CLUSTER), failed.why)
        if failed.status == _FORBIDDEN:
            return RepairRefused(CLUSTER, f"the account may not {verb} {path}")
        return RepairRefused(CLUSTER, f"{verb} {path}: {failed.why}")

    def look(self, path: str, *, follow: bool = True, read: bool = True) -> Looked:
        """Refuse: a cluster has no files."""
        del follow, read
        raise self._no_files(path)

    def states(self, paths: Sequence[str]) -> tuple[FileState, ...]:
        """Nothing: a cluster has no files."""
        return tuple(FileState(path=path) for path in paths)

    def tree(self, folders: Sequence[str]) -> tuple[FileState, ...]:
        """Nothing: a cluster has no files."""
        del folders
        return ()

    def save(self, run: str, states: Sequence[FileState]) -> None:
        """Nothing: a cluster has no files."""

    def put(
        self, wanted: FileState, content: bytes | None, *, expect: FileState | None, in_place: bool
    ) -> FileState:
        """Refuse: a cluster has no files."""
        del content, expect, in_place
        raise self._no_files(wanted.path)

    def restore(
        self, run: str, wanted: FileState, *, expect: FileState | None, in_place: bool
    ) -> FileState:
        """Refuse: a cluster has no files."""
        del run, expect, in_place
        raise self._no_files(wanted.path)

    def kept(self, run: str, sha256: str) -> bytes | None:
        """Nothing: a cluster has no files."""
        del run, sha256
        return None

    def sweep(self, paths: Sequence[str]) -> None:
        """Nothing: a cluster has no files."""

    def remove_folder(self, path: str) -> bool:
        """Nothing: a cluster has no files."""
        del path
        return True

    def validate(self, path: str, content: bytes) -> None:
        """Nothing: a cluster has no files."""

    def refresh_trust_store(self, family: str, *, fresh: bool) -> str:
        """Refuse: a cluster has no trust store."""
        del family, fresh
        raise self._no_files("a trust store")

    def restart_unit(self, unit: str, *, timeout_s: float) -> str:
        """Refuse: a cluster has no units."""
        del timeout_s
        raise self._no_files(unit)

    def set_restart_policy(self, container: str, policy: str) -> str:
        """Refuse: a cluster's containers are set by its objects."""
        del policy
        raise self._no_files(container)

    def restart_container(self, container: str, *, timeout_s: float) -> str:
        """Refuse: a cluster's containers are restarted by its objects."""
        del timeout_s
        raise self._no_files(container)

    @staticmethod
    def _no_files(what: str) -> RepairRefused:
        return RepairRefused(CLUSTER, f"{what} is not an object of the cluster")


class _Conflict(RepairRefused):
    """The API server says that an object is there already, or is another version."""


def _path(api_version: str, kind: str, namespace: str, name: str) -> str:
    plural = _PLURALS.get(kind)
    if plural is None:
        raise RepairRefused(CLUSTER, f"objects of kind {kind} are not patched")
    root = "/api/v1" if api_version == "v1" else f"/apis/{api_version}"
    space = f"/namespaces/{namespace}" if namespace else ""
    return f"{root}{space}/{plural}" + (f"/{name}" if name else "")


def _path_of(effect: Mapping[str, str]) -> str:
    kind, namespace, name = effect["object"].split("/", 2)
    return _path(effect["api_version"], kind, namespace, name)


def _backup_name(name: str, run: str) -> str:
    digest = hashlib.sha256(name.encode()).hexdigest()[:10]
    return f"gapcheck-{run.lower()}-{digest}"


def _comparable(found: Json) -> Json:
    """The object without what the API server writes by itself."""
    metadata = {k: v for k, v in found.get("metadata", {}).items() if k not in _SERVERS}
    return {**{k: v for k, v in found.items() if k != "status"}, "metadata": metadata}


def _labelled(change: PatchObject, run: str) -> Json:
    """The object that `change` makes, with the labels by which an undo knows it."""
    metadata = change.patch.get("metadata", {})
    labels = {**metadata.get("labels", {}), **LABELS, RUN_LABEL: run}
    return {
        **change.patch,
        "apiVersion": change.api_version,
        "kind": change.kind,
        "metadata": {**metadata, "labels": labels},
    }


def _made_by(found: Json, run: str) -> bool:
    """Whether the object was made by `run`, or by the run that `run` takes back."""
    label = found["metadata"].get("labels", {}).get(RUN_LABEL, "")
    return bool(label) and run.startswith(label)


def _with_version(body: Mapping[str, Any], found: Json) -> Json:
    """`body`, to be written only while the object is at the version of `found`."""
    version = found["metadata"]["resourceVersion"]
    return {**body, "metadata": {**body.get("metadata", {}), "resourceVersion": version}}


def _measured(change: PatchObject) -> str:
    """The version that the change is for, in the words of `_told`."""
    return f"generation {change.generation}" if change.generation else change.resource_version


def _told(change: PatchObject, found: Json) -> str:
    """The version of `found`, by what the change goes by."""
    metadata = found["metadata"]
    key = "generation" if change.generation else "resourceVersion"
    return f"generation {metadata[key]}" if change.generation else str(metadata[key])


def _version(found: Json) -> str:
    """What changes when someone edits the object, and not when its status changes."""
    metadata = found["metadata"]
    if "generation" in metadata:
        return f"generation {metadata['generation']}"
    return f"resourceVersion {metadata['resourceVersion']}"


def _progress(found: Json) -> tuple[str, bool]:
    """How far a rollout is, and whether it is done (as kubectl rollout status judges)."""
    status, spec = found.get("status", {}), found.get("spec", {})
    if found.get("kind") == "DaemonSet":
        wanted = int(status.get("desiredNumberScheduled", 0))
        updated = int(status.get("updatedNumberScheduled", 0))
        ready = int(status.get("numberAvailable", 0))
    else:
        wanted = int(spec.get("replicas", 1))
        updated = int(status.get("updatedReplicas", 0))
        ready = int(status.get("availableReplicas", status.get("readyReplicas", 0)))
    seen = int(status.get("observedGeneration", 0)) >= int(found["metadata"].get("generation", 0))
    word = f"{min(updated, ready)} of {wanted} new pods are ready"
    return word, seen and updated >= wanted and ready >= wanted


def _same_run(seen: str, holder: Holder) -> bool:
    other = _decoded(seen)
    return other is not None and other.run == holder.run


def _who(seen: str) -> str:
    return str(_decoded(seen) or seen)


def _decoded(seen: str) -> Holder | None:
    try:
        return msgspec.json.decode(seen, type=Holder)
    except msgspec.DecodeError:
        return None  # a Lease of someone else's making


def _now() -> str:
    """This moment as a Lease writes it (MicroTime)."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _seconds_since(text: str) -> float:
    try:
        then = datetime.fromisoformat(text)
    except ValueError:
        return float("inf")
    return (datetime.now(UTC) - then).total_seconds()
