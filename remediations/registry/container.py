"""Keeps the registry's container running."""

from __future__ import annotations

from collections.abc import Iterator

from gapcheck.errors import CannotPlan
from gapcheck.model import REGISTRY, Finding, Risk
from gapcheck.registry import remedy
from gapcheck.remediations.plan import Change, RestartContainer, SetContainer
from gapcheck.view import RegistryView


@remedy("REG-RUN-001", risk=Risk.SAFE)
def plan_restart_policy(finding: Finding, view: RegistryView) -> Iterator[Change]:  # noqa: ARG001 - every planner takes both
    """Set the restart policy always; the container goes on as it is."""
    yield SetContainer(
        target=REGISTRY,
        name=finding.data["name"],
        restart_policy="always",
        before_restart_policy=finding.data["policy"],
    )


@remedy("REG-RUN-002", risk=Risk.RESTART)
def plan_start_of_the_container(finding: Finding, view: RegistryView) -> Iterator[Change]:  # noqa: ARG001 - every planner takes both
    """Start the container; one that ends again and again is left to a person and its log."""
    name = finding.data["name"]
    if finding.data["kind"] == "loop":
        raise CannotPlan(f"it ends at every start: docker logs {name} says why")
    yield RestartContainer(target=REGISTRY, name=name)
