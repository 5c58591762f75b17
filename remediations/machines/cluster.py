"""Live objects of a cluster, patched where they still are the ones that were measured."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from pathlib import Path

from gapcheck.errors import RepairFailed, RepairRefused
from gapcheck.fixtures.kube_rights import Right
from gapcheck.model import CLUSTER
from gapcheck.remediations.machines.base import Holder
from gapcheck.remediations.machines.cluster_api import (
    LABELS,
    MERGE,
    PLURALS,
    RUN_LABEL,
    ClusterApi,
    Conflict,
    Json,
    path_of,
    path_to,
    version_of,
    with_version,
)
from gapcheck.remediations.machines.cluster_backups import back_up, backup_of, comparable, is_same
from gapcheck.remediations.machines.cluster_lease import Lease
from gapcheck.remediations.machines.cluster_nodes import ClusterNodes, rights_of_nodes
from gapcheck.remediations.machines.cluster_release import ReleaseChanger
from gapcheck.remediations.machines.cluster_rights import denied, rights_for, upgrade_rights
from gapcheck.remediations.machines.cluster_rollout import is_ready, rolled_out
from gapcheck.remediations.machines.helm import Helm
from gapcheck.remediations.machines.without_files import WithoutFiles
from gapcheck.remediations.plan import Change, DrainNode, PatchObject, UpgradeRelease
from gapcheck.site import Cluster

_WAIT_S = 120.0
_TRIES = 5
_READY, _NOT_READY = "yes", "no"


class ClusterMachine(WithoutFiles):
    """The cluster that the site file names; the Lease lies in `namespace`.

    `wait_s` bounds the wait for the new pods of one workload.
    """

    target = CLUSTER
    read_only = ""
    running = True

    def __init__(
        self, cluster: Cluster, *, base: Path, namespace: str, wait_s: float = _WAIT_S
    ) -> None:
        self._api = ClusterApi(cluster, base=base)
        self._lease = Lease(self._api, namespace)
        self._releases = ReleaseChanger(self._api, Helm(cluster, base=base), wait_s=wait_s)
        self._wait_s = wait_s
        self._ours: dict[str, str] = {}
        self._nodes = ClusterNodes(self._api.kube, self._lease.renew, one=threading.Lock())

    def lock(self, holder: Holder) -> str:
        """Hold the cluster by a Lease."""
        return self._lease.take(holder)

    def renew(self) -> None:
        """Renew the Lease, where it is ours still."""
        self._lease.renew_ours()

    def missing_rights(self, changes: Sequence[Change]) -> tuple[str, ...]:
        """What the account may not do of `changes`, as `kubectl auth can-i` names it."""
        rights: list[Right] = []
        for each in changes:
            if isinstance(each, PatchObject):
                rights += rights_for(each, PLURALS)
            if isinstance(each, UpgradeRelease):
                rights += upgrade_rights(self._api, each)
        return tuple(denied(self._api.kube(), (*rights, *rights_of_nodes(changes))))

    def drain_node(self, change: DrainNode, run: str) -> dict[str, str]:
        """Cordon a node and evict its pods; see `ClusterNodes.drain`."""
        return self._nodes.drain(change, run)

    def uncordon_node(self, name: str, run: str) -> str:
        """Uncordon a node where `run` cordoned it."""
        return self._nodes.uncordon(name, run)

    def unlock(self) -> None:
        """Give the cluster free."""
        self._lease.give()

    def patch_object(self, change: PatchObject, run: str) -> dict[str, str]:
        """Patch an object that is still the measured one, or make one that is not there."""
        self._lease.renew()
        path = path_to(change.api_version, change.kind, change.namespace, change.name)
        found = self._api.get(path)
        name = f"{change.kind}/{change.namespace}/{change.name}"
        if change.creates:
            if found is not None:
                raise RepairRefused(CLUSTER, f"{name} has come to be since it was measured")
            body = _labelled(change, run)
            done = self._api.write("POST", path.rpartition("/")[0], body)
            return {"was": "absent", "left": version_of(done), "word": f"{name} made"}
        if found is None:
            raise RepairRefused(CLUSTER, f"{name} is not there any more")
        self._refuse_changed(name, found, change)
        if not change.final:
            back_up(self._api, name, run, found)
        done = self._patched(name, found, change)
        self._ours[change.uid] = _told(change, done)
        left = {"was": "present", "left": version_of(done)}
        if not change.rolls_out:
            return {**left, "word": f"{name} patched"}
        return {**left, **_readiness(found), "word": self._waited(name, path, "patched")}

    def _waited(self, name: str, path: str, done: str) -> str:
        (word,) = rolled_out(self._api, ((name, path),), wait_s=self._wait_s, done=done)
        return word

    def _patched(self, name: str, found: Json, change: PatchObject) -> Json:
        """Patch the object as `found`; a status written meanwhile is no change of it."""
        path = path_to(change.api_version, change.kind, change.namespace, change.name)
        for _ in range(_TRIES if change.generation else 1):
            body = with_version(change.patch, found)
            try:
                return self._api.write("PATCH", path, body, content_type=MERGE)
            except Conflict as conflict:
                refused = conflict
            found = self._api.get(path) or {"metadata": {"uid": ""}}
            self._refuse_changed(name, found, change)
        raise refused

    def _refuse_changed(self, name: str, found: Json, change: PatchObject) -> None:
        metadata = found["metadata"]
        if metadata["uid"] != change.uid:
            raise RepairRefused(CLUSTER, f"{name} was made anew since it was measured")
        if _told(change, found) != self._ours.get(change.uid, _measured(change)):
            raise RepairRefused(CLUSTER, f"{name} has changed since it was measured")

    def upgrade_release(self, change: UpgradeRelease, run: str) -> dict[str, str]:
        """Have Helm upgrade a release that is at the measured revision."""
        self._lease.renew()
        return self._releases.upgrade(change, run)

    def foreign_object(self, effect: Mapping[str, str]) -> str:
        """A word where the object was changed after `effect`."""
        if "revision" in effect:
            return self._releases.foreign(effect)
        found = self._api.get(path_of(effect))
        left, now = effect.get("left", ""), version_of(found) if found else "absent"
        if left in ("", now) or self._is_back(effect, found):
            return ""
        return f"{effect['object']} (left at {left}, is now {now})"

    def _is_back(self, effect: Mapping[str, str], found: Json | None) -> bool:
        """Whether an undo that was cut off has put the object back already."""
        if effect.get("was") == "absent" or found is None:
            return effect.get("was") == "absent" and found is None
        kept = backup_of(self._api, effect["object"], effect["run"])
        return kept is not None and is_same(found, kept)

    def restore_object(self, effect: Mapping[str, str]) -> dict[str, str]:
        """Put an object back, remove it or make it again, as it was before `effect`."""
        self._lease.renew()
        if "revision" in effect:
            return self._releases.roll_back(effect)
        if effect["was"] == "absent":
            return self._unmade(effect)
        path, run, name = path_of(effect), effect["run"], effect["object"]
        inverse = f"{run}-u"
        found, kept = self._api.get(path), backup_of(self._api, name, run)
        if kept is None:
            if "left" not in effect:  # it was under way, and had not begun
                return {"run": inverse, "word": ""}
            raise RepairFailed(CLUSTER, f"the backup of {name} is not there any more")
        if found is None:
            made = self._api.write("POST", path.rpartition("/")[0], comparable(kept))
            word = self._restored(effect, path, "made")
            return {"run": inverse, "was": "absent", "left": version_of(made), "word": word}
        back_up(self._api, name, inverse, found)
        left = {"run": inverse, "was": "present"}
        if is_same(found, kept):
            return {**left, "left": version_of(found), "word": ""}
        back = self._api.write("PUT", path, with_version(comparable(kept), found))
        back = self._given_back(path, kept, back)
        left |= _readiness(found) if "rolls_out" in effect else {}
        return {**left, "left": version_of(back), "word": self._restored(effect, path, "put back")}

    def _given_back(self, path: str, kept: Json, back: Json) -> Json:
        """The object `back` with its fields owned by those who owned them before the run.

        A write that changes nothing but that is taken as it stands: measured with 1.36. Else
        the fields would stay ours, and their owner's next server-side apply would conflict.
        """
        for _ in range(_TRIES):
            owners = _owners(kept, back)
            if not owners:
                return back
            body = with_version({"metadata": {"managedFields": owners}}, back)
            try:
                return self._api.write("PATCH", path, body, content_type=MERGE)
            except Conflict:
                now = self._api.get(path)
            if now is None or version_of(now) != version_of(back):
                return back  # someone has edited it meanwhile, and owns that now
            back = now
        return back

    def _restored(self, effect: Mapping[str, str], path: str, done: str) -> str:
        """The word about an object that stands as before; new pods of it are waited for.

        Where they were not ready before the run either, an undo waits for what cannot come.
        """
        name = effect["object"]
        if "rolls_out" not in effect:
            return f"{name} {done}"
        if effect.get("ready") == _NOT_READY:
            return f"{name} {done}; its pods were not ready before either and are not waited for"
        return self._waited(name, path, done)

    def _unmade(self, effect: Mapping[str, str]) -> dict[str, str]:
        """Remove the object that `effect` made, unless someone else made it."""
        path, run, name = path_of(effect), effect["run"], effect["object"]
        inverse = {"run": f"{run}-u", "was": "present"}
        found = self._api.get(path)
        if found is None:
            return {**inverse, "left": "absent", "word": ""}
        if not _made_by(found, run):
            return {**inverse, "word": f"{name} was made by someone else and stays"}
        back_up(self._api, name, inverse["run"], found)
        self._api.write("DELETE", path, {"preconditions": {"uid": found["metadata"]["uid"]}})
        return {**inverse, "left": "absent", "word": f"{name} removed"}


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


def _readiness(found: Json) -> dict[str, str]:
    """What an undo goes by: whether the workload's pods were ready before they were replaced."""
    return {"ready": _READY if is_ready(found) else _NOT_READY}


def _owners(kept: Json, now: Json) -> list[Json]:
    """Who owned the fields of `kept`; those of a status are as they are now. [] = not known."""
    before, live = (each["metadata"].get("managedFields") or [] for each in (kept, now))
    own = [each for each in before if not each.get("subresource")]
    return own and [*own, *(each for each in live if each.get("subresource"))]


def _made_by(found: Json, run: str) -> bool:
    """Whether the object was made by `run`, or by the run that `run` takes back."""
    label = found["metadata"].get("labels", {}).get(RUN_LABEL, "")
    return bool(label) and run.startswith(label)


def _measured(change: PatchObject) -> str:
    """The version that the change is for, in the words of `_told`."""
    return f"generation {change.generation}" if change.generation else change.resource_version


def _told(change: PatchObject, found: Json) -> str:
    """The version of `found`, by what the change goes by."""
    metadata = found["metadata"]
    key = "generation" if change.generation else "resourceVersion"
    return f"generation {metadata[key]}" if change.generation else str(metadata[key])
