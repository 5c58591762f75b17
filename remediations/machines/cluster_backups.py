"""Backups of a cluster's objects: Secrets in the object's own namespace, with an owner label."""

from __future__ import annotations

import base64
import hashlib
import json

from gapcheck.remediations.machines.cluster_api import (
    LABELS,
    RUN_LABEL,
    ClusterApi,
    Conflict,
    Json,
    path_to,
)

# What the API server writes by itself: not part of what an undo puts back.
_SERVERS = (
    "managedFields",
    "resourceVersion",
    "uid",
    "generation",
    "creationTimestamp",
    "selfLink",
)
_REVISION = "deployment.kubernetes.io/revision"  # its controller's own count of roll-outs


def back_up(api: ClusterApi, name: str, run: str, found: Json) -> None:
    """Keep the object `name` (kind/namespace/name) as `found`, in the backup of `run`."""
    namespace = name.split("/")[1]
    secret = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {
            "name": _backup_name(name, run),
            "namespace": namespace,
            "labels": {**LABELS, RUN_LABEL: run},
            "annotations": {"gapcheck.io/object": name},
        },
        "data": {"object": base64.b64encode(json.dumps(_kept(found)).encode()).decode()},
    }
    try:
        api.write("POST", path_to("v1", "Secret", namespace, ""), secret)
    except Conflict:
        return  # the run's first backup of it is the one that counts


def backup_of(api: ClusterApi, name: str, run: str) -> Json | None:
    """The object `name` as `run` found it, None where it kept none."""
    namespace = name.split("/")[1]
    secret = api.get(path_to("v1", "Secret", namespace, _backup_name(name, run)))
    if secret is None:
        return None
    kept: Json = json.loads(base64.b64decode(secret["data"]["object"]))
    return kept


def _kept(found: Json) -> Json:
    """What a backup holds: the object, and whose its fields were."""
    kept = comparable(found)
    owned = {k: v for k, v in found.get("metadata", {}).items() if k == "managedFields"}
    return {**kept, "metadata": {**kept["metadata"], **owned}}


def comparable(found: Json) -> Json:
    """The object without what the API server writes by itself."""
    metadata = {k: v for k, v in found.get("metadata", {}).items() if k not in _SERVERS}
    return {**{k: v for k, v in found.items() if k != "status"}, "metadata": metadata}


def is_same(found: Json, kept: Json) -> bool:
    """Whether the object stands as it was kept, but for what servers and controllers write."""
    return _without_revision(comparable(found)) == _without_revision(comparable(kept))


def _without_revision(body: Json) -> Json:
    metadata = body["metadata"]
    notes = {k: v for k, v in (metadata.get("annotations") or {}).items() if k != _REVISION}
    return {**body, "metadata": {**metadata, "annotations": notes}}


def _backup_name(name: str, run: str) -> str:
    digest = hashlib.sha256(name.encode()).hexdigest()[:10]
    return f"gapcheck-{run.lower()}-{digest}"
