"""One repair of a cluster at a time: the Lease `gapcheck`, which a run's changes renew."""

from __future__ import annotations

from datetime import UTC, datetime

import msgspec

from gapcheck.errors import LockHeld, RepairRefused
from gapcheck.model import CLUSTER
from gapcheck.remediations.machines.base import Holder
from gapcheck.remediations.machines.cluster_api import LABELS, MERGE, ClusterApi, Json

LEASE = "gapcheck"
STALE_S = 900


class Lease:
    """The Lease in `namespace`, held or not."""

    def __init__(self, api: ClusterApi, namespace: str) -> None:
        self._api = api
        self._namespace = namespace
        self._holder = ""

    def take(self, holder: Holder) -> str:
        """Hold it; see `Machine.lock`.

        A run is dead where its process on this machine is gone, or where it has not renewed
        the Lease for 15 minutes.
        """
        mine = msgspec.json.encode(holder).decode()
        found = self._api.get(self._path())
        if found is None:
            self._api.write("POST", self._path("").rstrip("/"), self._body(mine))
            self._holder = mine
            return ""
        spec = found.get("spec") or {}
        seen = str(spec.get("holderIdentity") or "")
        word = ""
        if seen and not _same_run(seen, holder):
            word = f"lock taken over from {_who(seen)}, {_why_over(seen, spec)}"
        lease = self._body(mine)
        lease["metadata"]["resourceVersion"] = found["metadata"]["resourceVersion"]
        self._api.write("PUT", self._path(), lease)
        self._holder = mine
        return word

    def give(self) -> None:
        """Give it free; twice does nothing."""
        if self._holder:
            self._holder = ""
            self._api.write("DELETE", self._path(), {})

    def renew(self) -> None:
        """Say that the run is alive, where it holds the Lease."""
        if self._holder:
            now = {"spec": {"renewTime": _now()}}
            self._api.write("PATCH", self._path(), now, content_type=MERGE)

    def renew_ours(self) -> None:
        """As `renew`; raises RepairRefused where another run has taken it over."""
        found = self._api.get(self._path()) if self._holder else None
        if found is not None and (found.get("spec") or {}).get("holderIdentity") != self._holder:
            raise RepairRefused(CLUSTER, "its lock was taken over by another run")
        self.renew()

    def _path(self, name: str = LEASE) -> str:
        return f"/apis/coordination.k8s.io/v1/namespaces/{self._namespace}/leases/{name}"

    def _body(self, holder: str) -> Json:
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


def _why_over(seen: str, spec: Json) -> str:
    """Why the holder is dead; raises LockHeld where it may be alive."""
    other = _decoded(seen)
    if other is not None and other.has_ended():
        return "which has ended"
    idle_s = _seconds_since(str(spec.get("renewTime") or ""))
    if idle_s < STALE_S:
        raise LockHeld(CLUSTER, f"{_who(seen)} is repairing it")
    return f"which has not renewed it for {idle_s:.0f} s"


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
