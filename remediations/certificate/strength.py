"""Replaces a weak key or signature."""

from __future__ import annotations

from collections.abc import Iterator

from gapcheck.model import Finding, Risk
from gapcheck.registry import remedy
from gapcheck.remediations.certificate.reissue import reissue
from gapcheck.remediations.plan import Change
from gapcheck.view import RegistryView


@remedy("CERT-STRENGTH-001", risk=Risk.RESTART)
def plan_strong_certificate(finding: Finding, view: RegistryView) -> Iterator[Change]:  # noqa: ARG001 - every planner takes both
    """Issue a certificate with a strong key, signed by SHA-256, and serve it."""
    yield from reissue(view)
