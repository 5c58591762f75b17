"""Lets the registry load the certificate that lies in its file."""

from __future__ import annotations

from collections.abc import Iterator

from gapcheck.errors import CannotPlan
from gapcheck.model import Finding, Risk
from gapcheck.registry import remedy
from gapcheck.remediations.certificate.reissue import reload
from gapcheck.remediations.plan import Change
from gapcheck.view import RegistryView


@remedy("CERT-SERVED-001", risk=Risk.RESTART)
def plan_restart_of_the_registry(finding: Finding, view: RegistryView) -> Iterator[Change]:
    """Restart the registry as registry.reload says."""
    if view.site.registry.reload == "none":
        raise CannotPlan(
            f"registry.reload is none: restart the registry, which then serves {finding.locus}; or "
            "set registry.reload to container or unit:NAME"
        )
    yield from reload(view)
