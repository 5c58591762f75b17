"""The registry's container, where it may be made anew."""

from __future__ import annotations

from gapcheck.errors import CannotPlan
from gapcheck.fixtures.facts import ContainerFact, Present, RegistryHostFacts
from gapcheck.view import RegistryView


def container_to_make(view: RegistryView) -> tuple[ContainerFact, RegistryHostFacts]:
    """The registry's container and its machine; CannotPlan where neither is known or ours."""
    match view.facts.machine:
        case Present(value=RegistryHostFacts(container=Present(value=container)) as machine):
            pass
        case _:
            raise CannotPlan(
                "registry.target and registry.container of the site file name no container that "
                "could be asked: set REGISTRY_HTTP_TLS_CERTIFICATE and _KEY where it is started"
            )
    if container.compose:
        raise CannotPlan(
            f"compose project {container.compose} makes container {container.name}: change its "
            "compose file, then docker compose up -d"
        )
    return container, machine
