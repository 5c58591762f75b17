"""Put a workload's hostAliases right."""

from __future__ import annotations

from collections.abc import Iterator

from gapcheck.errors import CannotPlan
from gapcheck.fixtures.kube_facts import Workload
from gapcheck.fixtures.pod_names import registry_name
from gapcheck.fixtures.workload_images import release_workloads
from gapcheck.model import Finding, Risk
from gapcheck.registry import remedy
from gapcheck.remediations.dns.corefile_change import expected_address
from gapcheck.remediations.dns.host_aliases import alias_edits, with_alias
from gapcheck.remediations.objects import drop, edit_object, set_in_pod
from gapcheck.remediations.plan import EditYaml, KeyEdit, PatchObject
from gapcheck.view import ReleaseView

_FIELDS = {"init": "initContainers", "container": "containers", "ephemeral": "ephemeralContainers"}


@remedy("DNS-ALIAS-001", risk=Risk.RESTART)
def plan_right_aliases(finding: Finding, view: ReleaseView) -> Iterator[EditYaml | PatchObject]:
    """Give the registry's name its expected address in the pod's own hostAliases.

    Names of other hosts stay. The pods of a live workload start anew.
    """
    workload = next(
        each
        for each in release_workloads(view)
        if f"{each.kind}/{each.namespace}/{each.name}" == finding.locus
    )
    name, address = registry_name(view), expected_address(view)
    entries = with_alias(workload, name, address)
    if not workload.file:
        if finding.data["what"] == "misplaced":
            reason = "a live object holds no misplaced field: see the manifest it came from"
            raise CannotPlan(reason)
        yield set_in_pod(view, workload, ("hostAliases",), entries)
        return
    edits = [*_emptied(workload), *alias_edits(workload, entries)]
    yield edit_object(view, workload, edits)


def _emptied(workload: Workload) -> Iterator[KeyEdit]:
    """Edits that take the field out of every container."""
    for kind, field in _FIELDS.items():
        alike = [each for each in workload.containers if each.kind == kind]
        for at, container in enumerate(alike):
            if "hostAliases" in container.unknown_fields:
                yield drop(workload, (*workload.pod_path, field, at, "hostAliases"))
