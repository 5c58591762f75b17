"""From a subject to the place that is repaired for it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from gapcheck.errors import RepairRefused
from gapcheck.fixtures.targets.base import Target
from gapcheck.fixtures.targets.opening import open_target
from gapcheck.fixtures.targets.root import RootTarget
from gapcheck.model import CLUSTER, REGISTRY, SITE, SubjectId, node_subject
from gapcheck.remediations.lock import FolderLocks
from gapcheck.remediations.machines.base import Machine
from gapcheck.remediations.machines.root import RootMachine, SiteMachine
from gapcheck.site import Site
from gapcheck.state import State


def open_machines(site: Site, *, base: Path, state: State) -> Callable[[SubjectId], Machine]:
    """What opens the machine of a subject of `site`; paths are relative to `base`.

    The opener raises RepairRefused where the subject is no place that can be written.
    """
    locks = FolderLocks(state)
    nodes = {node_subject(node.name): node for node in site.node_list}

    def opened(subject: SubjectId) -> Machine:
        if subject == SITE:
            return SiteMachine(SITE, base, state, locks)
        if subject == CLUSTER and site.cluster is not None and site.cluster.kubeconfig:
            from gapcheck.remediations.machines.cluster import ClusterMachine

            namespace = site.release.namespace if site.release else "default"
            return ClusterMachine(site.cluster, base=base, namespace=namespace)
        hostspec, sudo = "", False
        if subject == REGISTRY:
            hostspec = site.registry.target or ""
        elif subject in nodes:
            hostspec, sudo = nodes[subject].target, nodes[subject].sudo
        if hostspec:
            target = open_target(hostspec, base=base, sudo=sudo)
            return _on_target(subject, target, state, locks)
        raise RepairRefused(str(subject), "the site file names no place where it is repaired")

    return opened


def _on_target(subject: SubjectId, target: Target, state: State, locks: FolderLocks) -> Machine:
    if target.read_only:
        raise RepairRefused(str(subject), target.read_only)
    if isinstance(target, RootTarget):
        return RootMachine(subject, target, state, locks)
    from gapcheck.remediations.machines.shell import ShellMachine

    return ShellMachine(subject, target)
