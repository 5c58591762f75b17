"""A container made anew through its engine's API: all settings of the old one, and the new. Pure.

What the engine is asked to make is the very answer that it gives about the old container, so a
setting that nobody here has heard of is carried over as well; what it then made is compared.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec

from gapcheck.remediations.plan import RecreateContainer

_SHORT = 12
_NAMED = 5
_INIT = "/sbin/docker-init"  # where the engine mounts its own, for --init
_ENDPOINT = ("IPAMConfig", "Links", "Aliases", "DriverOpts", "GwPriority")
_MOUNT = ("Type", "Name", "Source", "Destination", "Driver", "RW", "Propagation")
# Programs that make their containers anew by themselves, as their own files say.
_OWNERS = {
    "com.docker.compose.project": "set it in its compose file, then docker compose up -d",
    "com.docker.swarm.service.id": "docker service update",
    "io.kubernetes.pod.name": "change the pod's manifest",
    "PODMAN_SYSTEMD_UNIT": "change its unit",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """A container as the engine tells of it, the image that its image's name means now ('' none).

    `api` is the version that program and engine speak, `diff` what the container has changed
    in itself: one letter and one path a line.
    """

    inspect: Mapping[str, Any] = field(repr=False)
    named_image: str = ""
    api: str = ""
    diff: tuple[str, ...] = ()

    @property
    def id(self) -> str:
        """Its full id."""
        return str(self.inspect["Id"])

    @property
    def policy(self) -> str:
        """Its restart policy, as `docker update --restart` takes it."""
        policy = self.inspect["HostConfig"].get("RestartPolicy") or {}
        name = policy.get("Name") or "no"
        most = policy.get("MaximumRetryCount") or 0
        return f"{name}:{most}" if name == "on-failure" and most else name


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What is asked of the engine: the body of a creation, and networks joined afterwards."""

    body: Mapping[str, Any] = field(repr=False)
    networks: Mapping[str, Mapping[str, Any]]
    joins: Mapping[str, Mapping[str, Any]]
    image: str
    mounts: tuple[Mapping[str, Any], ...]


def read_seen(text: str) -> Seen:
    """What `container_look` printed."""
    encoded, image, api, *diff = text.split("\n")
    (inspect,) = msgspec.json.decode(base64.b64decode(encoded))
    return Seen(
        inspect=inspect, named_image=image, api=api, diff=tuple(line for line in diff if line)
    )


def obstacle(seen: Seen, change: RecreateContainer) -> str:
    """Why the container could not be made the same again, '' where nothing stands against it."""
    reasons = (*_owned(seen), *_not_carried(seen), *_lost(seen, change))
    return reasons[0] if reasons else ""


def _owned(seen: Seen) -> Iterator[str]:
    labels = seen.inspect["Config"].get("Labels") or {}
    for label, instead in _OWNERS.items():
        if label in labels:
            yield f"another program makes it ({label} {labels[label]}): {instead}"


def _not_carried(seen: Seen) -> Iterator[str]:
    host = seen.inspect["HostConfig"]
    if host.get("AutoRemove"):
        yield "it runs with --rm: once stopped it is gone, and its anonymous volumes with it"
    for key, word in (("VolumesFrom", "--volumes-from"), ("Links", "--link")):
        if host.get(key):
            yield f"it was made with {word}, which is not carried over"
    if str(host.get("NetworkMode", "")).startswith("container:"):
        yield "it shares the network of another container, which is not carried over"
    if seen.inspect["State"].get("Paused"):
        yield "it is paused: docker unpause"


def _lost(seen: Seen, change: RecreateContainer) -> Iterator[str]:
    """A word about what lies in the container's own layer alone."""
    paths = [line.split(" ", 1)[1] for line in seen.diff]
    inside = [str(each["Destination"]) for each in seen.inspect.get("Mounts") or ()]
    inside += [volume.destination for volume in change.volumes]
    inside += [*(seen.inspect["HostConfig"].get("Tmpfs") or {}), _INIT]
    lost = [path for path in paths if not _is_kept(path, paths, inside)]
    if lost:
        more = f" and {len(lost) - _NAMED} more" if len(lost) > _NAMED else ""
        named = ", ".join(lost[:_NAMED])
        yield f"it has changed files in itself, which a new one would not have: {named}{more}"


def _is_kept(path: str, paths: Iterable[str], inside: Iterable[str]) -> bool:
    """Whether `path` is in a mount, or a folder above one or above another changed path."""
    under = f"{path}/"
    above = any(each.startswith(under) for each in (*paths, *inside))
    return above or any(under.startswith(f"{each}/") for each in inside)


def is_done(seen: Seen, change: RecreateContainer) -> bool:
    """Whether the container is as `change` asks already."""
    environment = seen.inspect["Config"].get("Env") or []
    names = {each.partition("=")[0] for each in environment}
    mounts = {(m.get("Name"), m.get("Destination")) for m in seen.inspect.get("Mounts") or ()}
    return (
        all(f"{name}={value}" in environment for name, value in change.set_env)
        and not names & set(change.unset_env)
        and all((each.name, each.destination) in mounts for each in change.volumes)
        and change.restart_policy in ("", seen.policy)
    )


def wanted(seen: Seen, change: RecreateContainer) -> Wanted:
    """What to ask the engine for: the container as it is, but for `change`."""
    old = seen.inspect
    config, host = dict(old["Config"]), dict(old["HostConfig"])
    config["Env"] = _environment(config.get("Env") or [], change)
    if seen.named_image != old["Image"]:
        config["Image"] = old["Image"]  # its name means another image by now
    if config.get("Hostname") == seen.id[:_SHORT]:
        config["Hostname"] = ""  # the engine's own choice
    mounts = _mounts(old, host, change)
    if change.restart_policy:
        host["RestartPolicy"] = {"Name": change.restart_policy, "MaximumRetryCount": 0}
    endpoints, first = _endpoints(seen), _first_network(host)
    body: dict[str, Any] = {**config, "HostConfig": host}
    if first in endpoints:
        body["NetworkingConfig"] = {"EndpointsConfig": {first: endpoints[first]}}
    joins = {name: each for name, each in endpoints.items() if name != first}
    return Wanted(
        body=body, networks=endpoints, joins=joins, image=str(old["Image"]), mounts=mounts
    )


def _environment(old: list[str], change: RecreateContainer) -> list[str]:
    asked = dict(change.set_env)
    kept = []
    for each in old:
        name = each.partition("=")[0]
        if name in change.unset_env:
            continue
        kept.append(f"{name}={asked.pop(name)}" if name in asked else each)
    return kept + [f"{name}={value}" for name, value in asked.items()]


def _mounts(
    old: Mapping[str, Any], host: dict[str, Any], change: RecreateContainer
) -> tuple[Mapping[str, Any], ...]:
    """Put the mounts into `host`, anonymous volumes by their names; what inspect is to show."""
    new = {each.destination: each.name for each in change.volumes}
    binds = [each for each in host.get("Binds") or [] if _bound_at(each) not in new]
    asked = [dict(each) for each in host.get("Mounts") or [] if each.get("Target") not in new]
    named = {_bound_at(each) for each in binds} | set(host.get("Tmpfs") or {})
    by_target = {each.get("Target"): each for each in asked}
    shown = []
    for mount in old.get("Mounts") or ():
        destination = mount["Destination"]
        if destination in new:
            continue
        shown.append(mount)
        if destination in by_target:
            if mount.get("Type") == "volume":
                by_target[destination]["Source"] = mount["Name"]
        elif mount.get("Type") == "volume" and destination not in named:
            mode = "" if mount.get("RW", True) else ":ro"
            binds.append(f"{mount['Name']}:{destination}{mode}")
    binds += [f"{name}:{destination}" for destination, name in new.items()]
    host["Binds"], host["Mounts"] = binds, asked
    return (*shown, *({"Destination": d, "Name": n, "Type": "volume"} for d, n in new.items()))


def _bound_at(bind: str) -> str:
    """The place in the container of `SOURCE:PLACE[:OPTIONS]`."""
    parts = bind.split(":")
    return parts[1] if len(parts) > 1 else parts[0]


def _first_network(host: Mapping[str, Any]) -> str:
    """The network that the container is made on."""
    mode = str(host.get("NetworkMode") or "default")
    return "bridge" if mode == "default" else mode


def _endpoints(seen: Seen) -> dict[str, dict[str, Any]]:
    """Its networks by name, each with what was asked for there.

    One that it is made on and that takes no settings is told by its mode already.
    """
    networks = seen.inspect["NetworkSettings"].get("Networks") or {}
    plain = {_first_network(seen.inspect["HostConfig"])} & {"bridge"} | {"host", "none"}
    return {name: _endpoint(each, seen.id) for name, each in networks.items() if name not in plain}


def _endpoint(settings: Mapping[str, Any], container: str) -> dict[str, Any]:
    kept: dict[str, Any] = {key: settings.get(key) for key in _ENDPOINT}
    aliases = kept["Aliases"] or ()
    kept["Aliases"] = [each for each in aliases if each != container[:_SHORT]]
    return {key: value for key, value in kept.items() if value}


def differences(asked: Wanted, made: Seen) -> tuple[str, ...]:
    """Settings in which the container that was made is not what was asked for, by their paths."""
    new = made.inspect
    config = {**new["Config"]}
    if config.get("Hostname") == made.id[:_SHORT]:
        config["Hostname"] = ""
    body = {**asked.body}
    host = body.pop("HostConfig")
    body.pop("NetworkingConfig", None)
    networks = _endpoints(made)
    pairs = (
        ("Image", asked.image, new["Image"]),
        ("Config", body, config),
        ("HostConfig", host, new["HostConfig"]),
        ("Networks", dict.fromkeys(asked.networks, "joined"), dict.fromkeys(networks, "joined")),
        ("Networks", asked.networks, networks),
    )
    found = [path for name, want, have in pairs for path in _unlike(name, want, have)]
    return (*found, *_unlike_mounts(asked.mounts, new.get("Mounts") or ()))


def _unlike(path: str, want: Any, have: Any) -> Iterator[str]:  # noqa: ANN401 - JSON
    if isinstance(want, Mapping) and isinstance(have, Mapping):
        for key in sorted({*want, *have}):
            yield from _unlike(f"{path}.{key}", want.get(key), have.get(key))
    elif _said(want) != _said(have):
        yield path


def _said(value: Any) -> Any:  # noqa: ANN401 - JSON
    """None for each way to say nothing; a number is a number, 0 as well."""
    return None if value is None or value is False or value in ("", [], {}) else value


def _unlike_mounts(want: Any, have: Any) -> Iterator[str]:  # noqa: ANN401 - JSON
    made = {each["Destination"]: each for each in have}
    asked = {each["Destination"]: each for each in want}
    for place in sorted({*made, *asked}):
        one, other = asked.get(place), made.get(place)
        if one is None or other is None or _mounted_otherwise(one, other):
            yield f"Mounts {place}"


def _mounted_otherwise(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    return any(_said(one[key]) != _said(other.get(key)) for key in _MOUNT if key in one)
