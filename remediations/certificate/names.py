"""Repairs a certificate that lacks a name."""

from __future__ import annotations

from collections.abc import Iterator

from gapcheck.model import Finding, Risk
from gapcheck.registry import remedy
from gapcheck.remediations.certificate.reissue import reissue
from gapcheck.remediations.plan import Change
from gapcheck.view import RegistryView


@remedy("CERT-SAN-001", risk=Risk.RESTART)
def plan_certificate_with_names(finding: Finding, view: RegistryView) -> Iterator[Change]:  # noqa: ARG001 - every planner takes both
    """Issue a certificate whose alternative names hold every name in use, and serve it."""
    yield from reissue(view)
