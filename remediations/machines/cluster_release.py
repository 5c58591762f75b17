"""A release of a cluster, upgraded and rolled back by helm, with its roll-outs waited for.

An effect of an upgrade names the release (`object`), the `revision` before it and, once it is
done, the one that it `left`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from gapcheck.errors import RepairFailed, RepairRefused
from gapcheck.model import CLUSTER
from gapcheck.remediations.machines.cluster_api import ClusterApi, path_to
from gapcheck.remediations.machines.cluster_rollout import is_ready, rolled_out
from gapcheck.remediations.machines.helm import Helm
from gapcheck.remediations.machines.helm_records import ROLLED, Stored, has_revision, newest
from gapcheck.remediations.plan import UpgradeRelease

_DEPLOYED = "deployed"


class ReleaseChanger:
    """Upgrades releases and rolls them back; `wait_s` bounds the wait for all their new pods."""

    def __init__(self, api: ClusterApi, helm: Helm, *, wait_s: float) -> None:
        self._api = api
        self._helm = helm
        self._wait_s = wait_s

    def upgrade(self, change: UpgradeRelease, run: str) -> dict[str, str]:
        """Upgrade a release that is at the measured revision; see `Machine.upgrade_release`."""
        name, namespace = change.name, change.namespace
        before = self._at(name, namespace)
        if before.revision != change.revision:
            raise RepairRefused(
                CLUSTER,
                f"the release {name} is at revision {before.revision}, and was measured at "
                f"{change.revision}",
            )
        if before.status != _DEPLOYED:
            raise RepairRefused(CLUSTER, f"revision {before.revision} is {before.status}")
        self._helm.unchanged((change.chart, *change.values))
        ready = self._is_ready(before, namespace)
        words = self._helm.upgrade_words(change, _mark(run))
        why = self._helm.run(words, before.driver)
        after = self._after(name, namespace)
        if why and after.revision == before.revision:
            raise RepairRefused(CLUSTER, f"helm upgrade: {why}")
        if why or after.revision != before.revision + 1:
            said = why or f"the release is at revision {after.revision}: another helm ran as well"
            raise RepairFailed(CLUSTER, f"helm upgrade: {said}")
        word = f"revision {before.revision} became {after.revision}"
        return {
            "left": after.told,
            "ready": "yes" if ready else "no",
            "word": "; ".join((word, *self._rolled_out(after, namespace, "upgraded"))),
        }

    def roll_back(self, effect: Mapping[str, str]) -> dict[str, str]:
        """Have Helm put the revision before `effect` back.

        An upgrade that was under way when its run ended was made, or not: the release's
        revision tells. Raises RepairRefused where someone else has upgraded it since.
        """
        _, namespace, name = effect["object"].split("/", 2)
        wanted = effect["revision"]
        now = self._at(name, namespace)
        if str(now.revision) == wanted or _is_back(now, effect):
            return {"revision": _number(effect.get("left", "")) or wanted, "left": now.told}
        if "left" not in effect and not _is_ours(now, effect):
            raise RepairRefused(
                CLUSTER,
                f"the release {name} is at revision {now.revision} ({now.description}), which "
                f"run {effect['run']} did not make",
            )
        if not has_revision(self._api, now, name, namespace, wanted):
            raise RepairRefused(CLUSTER, f"Helm keeps no revision {wanted} of {name} any more")
        ready = self._is_ready(now, namespace)
        why = self._helm.run(self._helm.rollback_words(name, namespace, wanted), now.driver)
        if why:
            raise RepairFailed(CLUSTER, f"helm rollback: {why}")
        after = self._after(name, namespace)
        words = [f"{name} rolled back to revision {wanted}, as revision {after.revision}"]
        if effect.get("ready") == "no":
            words.append("its pods were not ready before either and are not waited for")
        else:
            words += self._rolled_out(after, namespace, "put back")
        return {
            "revision": str(now.revision),
            "left": after.told,
            "ready": "yes" if ready else "no",
            "word": "; ".join(words),
        }

    def foreign(self, effect: Mapping[str, str]) -> str:
        """A word where the release is at another revision than `effect` left."""
        _, namespace, name = effect["object"].split("/", 2)
        found = newest(self._api, namespace, name)
        left, now = effect.get("left", ""), found.told if found else "gone"
        if found is not None and _is_back(found, effect):
            return ""
        return "" if left in ("", now) else f"{effect['object']} (left at {left}, is now {now})"

    def _at(self, name: str, namespace: str) -> Stored:
        found = newest(self._api, namespace, name)
        if found is None:
            raise RepairRefused(CLUSTER, f"Helm has no record of the release {name} any more")
        return found

    def _after(self, name: str, namespace: str) -> Stored:
        """The release once helm has run; what it did is unknown where that cannot be read."""
        try:
            return self._at(name, namespace)
        except RepairRefused as unknown:
            raise RepairFailed(CLUSTER, f"helm was run, and {unknown.why}") from unknown

    def _rolled_out(self, release: Stored, namespace: str, done: str) -> Iterator[str]:
        workloads = _workloads(release, namespace)
        return rolled_out(self._api, workloads, wait_s=self._wait_s, done=done)

    def _is_ready(self, release: Stored, namespace: str) -> bool:
        found = (self._api.get(path) for _, path in _workloads(release, namespace))
        return all(each is not None and is_ready(each) for each in found)


def _workloads(release: Stored, namespace: str) -> Iterator[tuple[str, str]]:
    for each in release.objects():
        if each.kind in ROLLED:
            space = each.namespace or namespace
            path = path_to(each.api_version, each.kind, space, each.name)
            yield f"{each.kind}/{space}/{each.name}", path


def _mark(run: str) -> str:
    """The description by which Helm's record names the run that made it."""
    return f"gapcheck run {run}"


def _is_back(now: Stored, effect: Mapping[str, str]) -> bool:
    """Whether an undo that was cut off, or a person, has rolled the release back already."""
    return now.status == _DEPLOYED and now.description == f"Rollback to {effect['revision']}"


def _number(told: str) -> str:
    """The revision that `Stored.told` names, ''."""
    found = re.match(r"revision (\d+) ", told)
    return found[1] if found else ""


def _is_ours(now: Stored, effect: Mapping[str, str]) -> bool:
    """Whether the revision right after the one before was made by the run.

    Helm writes its own words over the description of an upgrade that failed or is pending.
    """
    is_next = now.revision == int(effect["revision"]) + 1
    return is_next and (now.status != _DEPLOYED or now.description == _mark(effect["run"]))
