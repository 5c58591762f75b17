"""How a repair reads and writes objects of a cluster, and how it names them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gapcheck.errors import RepairFailed, RepairRefused, TargetError
from gapcheck.fixtures.probes.kube import Kube, KubeError, open_cluster
from gapcheck.model import CLUSTER
from gapcheck.site import Cluster

Json = dict[str, Any]
LABELS = {"app.kubernetes.io/managed-by": "gapcheck"}
RUN_LABEL = "gapcheck.io/run"
MERGE = "application/merge-patch+json"
PLURALS = {
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
_TIMEOUT_S = 30.0
_NOT_FOUND, _CONFLICT, _FORBIDDEN = 404, 409, 403
_MANAGER = {"fieldManager": "gapcheck"}


class Conflict(RepairRefused):
    """The API server says that an object is there already, or is another version."""


class ClusterApi:
    """The API of the cluster that the site file names, asked as the field manager `gapcheck`."""

    def __init__(self, cluster: Cluster, *, base: Path) -> None:
        self._cluster = cluster
        self._base = base

    def get(self, path: str) -> Json | None:
        """The object at `path`, None where there is none."""
        try:
            return self.kube().get(path)
        except KubeError as failed:
            if failed.status == _NOT_FOUND:
                return None
            raise _refusal(failed, "read", path) from failed

    def write(
        self,
        verb: str,
        path: str,
        body: Mapping[str, Any],
        *,
        content_type: str = "application/json",
    ) -> Json:
        """What the API answers to a change.

        Raises RepairRefused where it was not made, RepairFailed where it may have been.
        """
        try:
            return self.kube().change(
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
                raise Conflict(CLUSTER, f"{path} has changed meanwhile ({failed.why})") from failed
            raise _refusal(failed, verb.lower(), path) from failed

    def kube(self) -> Kube:
        """The API, within one deadline of its own."""
        try:
            return open_cluster(self._cluster, base=self._base, timeout_s=_TIMEOUT_S)
        except KubeError as failed:
            raise TargetError(str(CLUSTER), failed.why) from failed


def _refusal(failed: KubeError, verb: str, path: str) -> RepairRefused | TargetError:
    if failed.status == 0:
        return TargetError(str(CLUSTER), failed.why)
    if failed.status == _FORBIDDEN:
        return RepairRefused(CLUSTER, f"the account may not {verb} {path}")
    return RepairRefused(CLUSTER, f"{verb} {path}: {failed.why}")


def path_to(api_version: str, kind: str, namespace: str, name: str) -> str:
    """The URL path of an object, of its folder where `name` is ''."""
    plural = PLURALS.get(kind)
    if plural is None:
        raise RepairRefused(CLUSTER, f"objects of kind {kind} are not patched")
    root = "/api/v1" if api_version == "v1" else f"/apis/{api_version}"
    space = f"/namespaces/{namespace}" if namespace else ""
    return f"{root}{space}/{plural}" + (f"/{name}" if name else "")


def path_of(effect: Mapping[str, str]) -> str:
    """The URL path of the object that a journal's `effect` names."""
    kind, namespace, name = effect["object"].split("/", 2)
    return path_to(effect["api_version"], kind, namespace, name)


def with_version(body: Mapping[str, Any], found: Json) -> Json:
    """`body`, to be written only while the object is at the version of `found`."""
    version = found["metadata"]["resourceVersion"]
    return {**body, "metadata": {**body.get("metadata", {}), "resourceVersion": version}}


def version_of(found: Json) -> str:
    """What changes when someone edits the object, and not when its status changes."""
    metadata = found["metadata"]
    if "generation" in metadata:
        return f"generation {metadata['generation']}"
    return f"resourceVersion {metadata['resourceVersion']}"
