"""Keeps the registry's container running, and its images where they outlive it."""

from __future__ import annotations

from collections.abc import Iterator

from gapcheck.errors import CannotPlan
from gapcheck.model import REGISTRY, Finding, Risk
from gapcheck.registry import remedy
from gapcheck.remediations.plan import (
    Change,
    NewVolume,
    RecreateContainer,
    RestartContainer,
    SetContainer,
)
from gapcheck.remediations.registry.recreate import container_to_make
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


@remedy("REG-VOLUME-001", risk=Risk.OUTAGE)
def plan_volume(finding: Finding, view: RegistryView) -> Iterator[Change]:
    """Make the container anew with a named volume, and copy its images into it beforehand."""
    container, _ = container_to_make(view)
    kind, place = finding.data["kind"], finding.data["place"]
    if kind == "memory":
        raise CannotPlan(
            f"the images in {place} are in memory and gone once the container stops: make it anew "
            f"by hand (docker run -v DIRECTORY:{place}) and push them again"
        )
    if kind == "read-only":
        raise CannotPlan(
            f"whether {place} is to be written to is a person's decision: docker run the same "
            "image without :ro"
        )
    yield RecreateContainer(
        target=REGISTRY,
        name=container.name,
        before_id=container.id,
        volumes=(
            NewVolume(name=f"{container.name}-storage-{container.id[:12]}", destination=place),
        ),
    )
