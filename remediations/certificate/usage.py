"""Replaces a certificate that is not one for a server, or is more than that."""

from __future__ import annotations

from collections.abc import Iterator

from gapcheck.model import Finding, Risk
from gapcheck.registry import remedy
from gapcheck.remediations.certificate.reissue import reissue
from gapcheck.remediations.plan import Change
from gapcheck.view import RegistryView


@remedy("CERT-USAGE-001", risk=Risk.RESTART)
def plan_server_certificate(finding: Finding, view: RegistryView) -> Iterator[Change]:  # noqa: ARG001 - every planner takes both
    """Issue a certificate for server authentication, and serve it."""
    yield from reissue(view)


@remedy("CERT-CA-001", risk=Risk.RESTART)
def plan_leaf_beside_its_ca(finding: Finding, view: RegistryView) -> Iterator[Change]:  # noqa: ARG001 - every planner takes both
    """Keep a CA on this machine, and serve a certificate that it signed and that is none."""
    yield from reissue(view)
