"""Containers of a machine behind a shell: made anew, put back, by the docker program there.

The settings of a container, secrets among them, pass through the memory of this machine, as the
contents of files do; they are in no plan, no journal and on no disk.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import quote

import msgspec

from gapcheck.errors import RepairRefused
from gapcheck.model import SubjectId
from gapcheck.remediations.machines.engine import (
    Seen,
    Wanted,
    differences,
    is_done,
    obstacle,
    read_seen,
    wanted,
)
from gapcheck.remediations.plan import NewVolume, RecreateContainer

_COPY_S = 4 * 3600.0
_GRACE_S = 60.0
_FAILED = 300


class Containers:
    """What is done with containers on the machine that `run` runs operations on."""

    def __init__(self, target: SubjectId, run: Callable[..., str]) -> None:
        self._target = target
        self._run = run

    def look(self, change: RecreateContainer) -> dict[str, str]:
        """What is needed to put the container back; see `Machine.look_container`."""
        seen = self._seen(change.name)
        if is_done(seen, change):
            return {}
        if seen.id != change.before_id:
            why = f"container {change.name} is not the one that was measured any more"
            raise RepairRefused(str(self._target), why)
        against = obstacle(seen, change)
        if against:
            raise RepairRefused(str(self._target), f"container {change.name}: {against}")
        self._run("container_sweep", _new(change.name), *_names(change))
        self._run("volumes_absent", *_names(change))
        return {
            "recreated": change.name,
            "old": seen.id,
            "policy": seen.policy,
            "ran": "true" if seen.inspect["State"].get("Running") else "false",
            "volumes": msgspec.json.encode(change.volumes).decode(),
        }

    def recreate(
        self, change: RecreateContainer, effect: Mapping[str, str], *, timeout_s: float
    ) -> dict[str, str]:
        """Make it beside the old one, compare, copy its data, switch; see `Machine`."""
        old, name = effect["old"], change.name
        seen = self._seen(name)
        if seen.id != old:
            raise RepairRefused(str(self._target), f"container {name} was made anew meanwhile")
        asked = wanted(seen, change)
        try:
            new = self._make(asked, name, seen.api)
        except RepairRefused:
            self._run("container_sweep", _new(name), *_names(change))
            raise
        wait_s = str(int(timeout_s))
        self._run("container_stop", old, wait_s, timeout_s=timeout_s + _GRACE_S)
        for volume in change.volumes:
            self._run("container_copy", old, new, volume.destination, timeout_s=_COPY_S)
        words = (name, old, new, _former(name, old), wait_s)
        word = self._run("container_switch", *words, timeout_s=timeout_s + _GRACE_S)
        return {"new": new, "word": word.strip()}

    def restore(self, effect: Mapping[str, str], *, timeout_s: float) -> str:
        """Put the former container back, from wherever a run left it."""
        name, old = effect["recreated"], effect["old"]
        volumes = msgspec.json.decode(effect["volumes"], type=tuple[NewVolume, ...])
        return self._run(
            "container_restore",
            *(name, old, effect.get("new") or _new(name), _former(name, old)),
            *(effect["policy"], effect["ran"], str(int(timeout_s))),
            *(word for each in volumes for word in (each.name, each.destination)),
            timeout_s=_COPY_S if volumes else timeout_s * 2 + _GRACE_S,
        ).strip()

    def foreign(self, effect: Mapping[str, str]) -> str:
        """A word where the container is not the one that the run left."""
        return self._run("container_foreign", effect["recreated"], effect["old"], effect["new"])

    def _seen(self, name: str) -> Seen:
        return read_seen(self._run("container_look", name))

    def _make(self, asked: Wanted, name: str, api: str) -> str:
        """The id of the new container, which is not started; RepairRefused where it differs."""
        made = _new(name)
        path = f"/v{api}/containers/create?name={quote(made)}"
        new = str(self._call(path, asked.body)["Id"])
        for network, settings in asked.joins.items():
            joining = {"Container": new, "EndpointConfig": settings}
            self._call(f"/v{api}/networks/{quote(network)}/connect", joining)
        found = differences(asked, self._seen(made))
        if found:
            why = f"docker does not make container {name} the same again: {', '.join(found)}"
            raise RepairRefused(str(self._target), why)
        return new

    def _call(self, path: str, body: Mapping[str, Any]) -> Mapping[str, Any]:
        """The engine's answer to a POST; RepairRefused where it is an error."""
        content = json.dumps(body).encode()
        answer = base64.b64decode(self._run("engine_call", "POST", path, content=content))
        head, _, rest = answer.partition(b"\r\n\r\n")
        status = head.split(b" ", 2)[1:2]
        if not status:
            raise RepairRefused(str(self._target), "docker system dial-stdio gave no answer")
        told: Mapping[str, Any] = msgspec.json.decode(rest) if rest.strip()[:1] == b"{" else {}
        if int(status[0]) >= _FAILED:
            raise RepairRefused(str(self._target), f"docker refuses it: {told.get('message')}")
        return told


def _names(change: RecreateContainer) -> tuple[str, ...]:
    return tuple(each.name for each in change.volumes)


def _new(name: str) -> str:
    """The name under which the new container is made."""
    return f"{name}.gapcheck-new"


def _former(name: str, old: str) -> str:
    """The name under which the former container is kept."""
    return f"{name}.gapcheck-{old[:12]}"
