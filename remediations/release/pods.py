"""Have pods that still wait be made anew, once nothing else is wrong."""

from __future__ import annotations

from collections.abc import Iterator

from gapcheck.errors import CannotPlan
from gapcheck.fixtures.facts import measured
from gapcheck.model import Finding, Risk
from gapcheck.registry import remedy
from gapcheck.remediations.objects import roll_out
from gapcheck.remediations.plan import PatchObject
from gapcheck.view import ReleaseView


@remedy("REL-POD-001", risk=Risk.RESTART, after_roots=True)
def plan_new_pods(finding: Finding, view: ReleaseView) -> Iterator[PatchObject]:
    """Start the pods of the workload anew, and wait for them; only where no root is left.

    Kubelet tries a pull that failed again after up to five minutes. A StatefulSet never
    replaces a pod that does not start: that one has to be deleted by a person.
    """
    if not finding.data["pod"]:
        reason = "a new start would be forbidden as well; see the namespace's events"
        raise CannotPlan(reason)
    workloads = measured(view.facts.workloads, "the workloads", view.subject) or ()
    chosen = [each for each in workloads if each.locus == finding.locus]
    if not chosen or chosen[0].kind not in ("Deployment", "DaemonSet"):
        pod, namespace = finding.data["pod"], view.facts.namespace
        reason = f"make it anew: kubectl -n {namespace} delete pod {pod}"
        raise CannotPlan(reason)
    yield from roll_out(chosen, f"{view.now:%Y%m%dT%H%M%SZ}", loaded="gapcheck/restarted")
