"""Whether the registry's container outlives a reboot and keeps its images."""

from __future__ import annotations

import re

from gapcheck.counting import counted
from gapcheck.errors import NotApplicable
from gapcheck.fixtures.facts import ContainerFact, MountFact, require
from gapcheck.fixtures.served import machine
from gapcheck.model import CheckId, Evidence, Finding, Scope, Severity
from gapcheck.registry import Judgement, Source, check
from gapcheck.view import RegistryView

_STORAGE = "/var/lib/registry"
_ROOT_VARIABLE = "REGISTRY_STORAGE_FILESYSTEM_ROOTDIRECTORY"
_RESTARTS = frozenset({"always", "unless-stopped"})
_MANY_RESTARTS = 3
_ANONYMOUS = re.compile(r"[0-9a-f]{64}")


def _container(view: RegistryView) -> ContainerFact:
    if view.site.registry.target is not None and view.site.registry.container is None:
        reason = "the site file names no registry.container"
        raise NotApplicable(reason)
    return require(machine(view).container, "the registry's container", view.subject)


@check(
    "REG-RUN-001",
    scope=Scope.REGISTRY,
    severity=Severity.MAJOR,
    source=Source(step=2, fault=("R02",)),
)
def container_starts_after_a_reboot(view: RegistryView) -> Judgement:
    """The registry's container has the restart policy always or unless-stopped."""
    container = _container(view)
    policy = container.restart_policy or "no"
    seen = Evidence("restart policy", policy, f"docker inspect {container.name}")
    yield seen
    if policy in _RESTARTS:
        return
    yield Finding(
        problem=f"container {container.name} has the restart policy {policy}",
        evidence=(seen,),
        consequence="after a reboot of its machine the registry stays away: connection refused",
        remedy_hint=f"docker update --restart=always {container.name}",
        locus=container.name,
        data={"name": container.name, "policy": container.restart_policy},
    )


@check(
    "REG-RUN-002",
    scope=Scope.REGISTRY,
    severity=Severity.CRITICAL,
    source=Source(step=2, fault=("R01",)),
)
def container_runs(view: RegistryView) -> Judgement:
    """The registry's container runs, and is not started over and over again."""
    container = _container(view)
    seen = Evidence(
        "state",
        f"{container.status}, restarted {counted(container.restart_count, 'time')}",
        f"docker inspect {container.name}",
    )
    yield seen
    looping = container.status == "restarting"
    if container.running and not looping:
        return
    yield Finding(
        problem=f"container {container.name} is {container.status}, not running",
        evidence=(seen,),
        consequence="every pull fails: connect: connection refused",
        remedy_hint=f"docker logs {container.name} says why it ends"
        if looping or container.restart_count > _MANY_RESTARTS
        else f"docker start {container.name}",
        locus=container.name,
        data={"name": container.name, "kind": "loop" if looping else "stopped"},
        because=(CheckId("CERT-KEY-001"),),
    )


@check(
    "REG-VOLUME-001",
    scope=Scope.REGISTRY,
    severity=Severity.MAJOR,
    source=Source(step=2, fault=("R17",)),
)
def images_lie_in_a_volume(view: RegistryView) -> Judgement:
    """The registry keeps its images in a named volume or a directory of its machine, writable."""
    container = _container(view)
    root = container.environment.get(_ROOT_VARIABLE) or _STORAGE
    mount = _mount_of(root, container)
    seen = Evidence(
        "mount", f"{mount.type} {mount.name or mount.source}" if mount else "none", root
    )
    yield seen
    kind, problem = _volume_problem(mount, root)
    if problem:
        yield Finding(
            problem=f"container {container.name}: {problem}",
            evidence=(seen,),
            consequence="images are lost when the container is made anew"
            if mount is None or mount.writable
            else "pushes fail: read-only file system",
            remedy_hint=f"make the container anew with -v DIRECTORY:{root}",
            locus=container.name,
            data={"kind": kind, "place": mount.destination if mount else root},
        )


def _mount_of(root: str, container: ContainerFact) -> MountFact | None:
    """The mount that `root` lies in, the innermost of several."""
    inside = [
        mount
        for mount in container.mounts
        if f"{root}/".startswith(f"{mount.destination.rstrip('/')}/")
    ]
    return max(inside, key=lambda mount: len(mount.destination), default=None)


def _volume_problem(mount: MountFact | None, root: str) -> tuple[str, str]:
    """The kind of what is wrong, and its words; two '' where nothing is."""
    if mount is None:
        return "layer", f"{root} lies in the container itself"
    if mount.type == "tmpfs":
        return "memory", f"{root} lies in memory"
    if mount.type == "volume" and _ANONYMOUS.fullmatch(mount.name):
        words = f"{root} is an anonymous volume, which docker rm -v deletes with the container"
        return "anonymous", words
    return ("", "") if mount.writable else ("read-only", f"{root} is mounted read-only")
