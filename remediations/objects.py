"""Changes of Kubernetes objects: an edit of their manifest, or a patch of the live object. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from gapcheck.errors import CannotPlan
from gapcheck.fixtures.facts import Absent, FileFact, Observed, Present
from gapcheck.fixtures.kube_facts import ConfigMapFact, SecretFact, Workload
from gapcheck.model import CLUSTER, RELEASE, SITE
from gapcheck.remediations.plan import EditYaml, KeyEdit, PatchObject
from gapcheck.view import View

KubeFact = ConfigMapFact | SecretFact | Workload
Json = Any  # what YAML or JSON can hold
Keys = tuple[str | int, ...]
_ROLLED = ("Deployment", "StatefulSet", "DaemonSet")
_VERSIONS: Mapping[str, str] = {
    "ConfigMap": "v1", "Secret": "v1", "Pod": "v1",
    "Deployment": "apps/v1", "StatefulSet": "apps/v1", "DaemonSet": "apps/v1",
    "ReplicaSet": "apps/v1", "Job": "batch/v1", "CronJob": "batch/v1",
}  # fmt: skip


def measured_sha256(view: View[Any], path: str) -> str | None:
    """SHA-256 of the site's file `path` as it was measured; None = it was absent.

    Raises CannotPlan where it was not read: nothing is written over what was not seen.
    """
    seen: list[Observed[FileFact]] = []
    if view.has(RELEASE):
        seen += [view.release.files[path]] if path in view.release.files else []
    if view.has(CLUSTER):
        seen += [view.cluster.files[path]] if path in view.cluster.files else []
    if view.has(SITE):
        seen += [view.site_facts.files[path]] if path in view.site_facts.files else []
    for observed in seen:
        if isinstance(observed, Present):
            return observed.value.sha256
        if isinstance(observed, Absent):
            return None
    reason = f"{path} was not read; correct it by hand"
    raise CannotPlan(reason)


def edit_file(
    view: View[Any],
    path: str,
    edits: Sequence[KeyEdit],
    *,
    document: int = 0,
    final: bool = False,
) -> EditYaml:
    """The edits of one document of a file that was measured."""
    return EditYaml(
        target=SITE,
        path=path,
        before_sha256=measured_sha256(view, path),
        edits=tuple(edits),
        document=document,
        final=final,
    )


def put(fact: KubeFact, keys: Keys, value: Json) -> KeyEdit:
    """An edit of the manifest of `fact`: `value` at `keys` of the object."""
    return KeyEdit(op="set", keys=(*fact.object_path, *keys), value=value)


def drop(fact: KubeFact, keys: Keys) -> KeyEdit:
    """An edit of the manifest of `fact`: nothing at `keys` of the object."""
    return KeyEdit(op="delete", keys=(*fact.object_path, *keys))


def edit_object(
    view: View[Any], fact: KubeFact, edits: Sequence[KeyEdit], *, final: bool = False
) -> EditYaml:
    """The edits of the manifest that `fact` was read from."""
    return edit_file(view, fact.file, edits, document=fact.document, final=final)


def patch_object(
    kind: str,
    fact: KubeFact,
    patch: Json,
    *,
    rolls_out: bool = False,
    final: bool = False,
) -> PatchObject:
    """A merge patch of the live object that `fact` was read from."""
    generation = fact.generation if isinstance(fact, Workload) else 0
    return PatchObject(
        target=CLUSTER,
        api_version=_VERSIONS[kind],
        kind=kind,
        namespace=fact.namespace,
        name=fact.name,
        uid=fact.uid,
        resource_version="" if generation else fact.resource_version,
        patch=patch,
        generation=generation,
        rolls_out=rolls_out,
        final=final,
    )


def nested(keys: Sequence[str], value: Json) -> Json:
    """`value` inside a table for each of `keys`."""
    for key in reversed(keys):
        value = {key: value}
    return value


def set_in_pod(
    view: View[Any], workload: Workload, keys: tuple[str, ...], value: Json
) -> EditYaml | PatchObject:
    """`value` at `keys` of the workload's pod, in its manifest or live.

    Raises CannotPlan for a live object whose pod cannot be changed once it exists.
    """
    path = (*workload.pod_path, *keys)
    if workload.file:
        return edit_object(view, workload, (put(workload, path, value),))
    if workload.kind not in (*_ROLLED, "CronJob"):
        reason = f"the pod of a live {workload.kind} cannot be changed; make {workload.name} anew"
        raise CannotPlan(reason)
    patch = nested(path, value)
    return patch_object(workload.kind, workload, patch, rolls_out=workload.kind in _ROLLED)


def roll_out(
    workloads: Sequence[Workload], fingerprint: str, *, loaded: str = "gapcheck/registry-ca"
) -> Iterator[PatchObject]:
    """New pods for each live workload: their annotation `loaded` names what they are to load.

    The workload's version is in it: what was repaired before, and broken since, is loaded anew.
    """
    for workload in workloads:
        if workload.kind in _ROLLED and not workload.file:
            metadata = (*workload.pod_path[:-1], "metadata", "annotations")
            version = workload.generation or workload.resource_version
            patch = nested((*metadata, loaded), f"{fingerprint}-{version}")
            yield patch_object(workload.kind, workload, patch, rolls_out=True)
