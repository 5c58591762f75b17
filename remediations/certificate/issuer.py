"""Exchanges the certificate for one of the CA that the site issues by."""

from __future__ import annotations

from collections.abc import Iterator

from gapcheck.errors import CannotPlan
from gapcheck.model import Finding, Risk
from gapcheck.registry import remedy
from gapcheck.remediations.certificate.reissue import reissue
from gapcheck.remediations.plan import Change
from gapcheck.view import RegistryView


@remedy("CERT-ISSUER-001", risk=Risk.RESTART)
def plan_certificate_of_the_issuer(finding: Finding, view: RegistryView) -> Iterator[Change]:
    """Issue the certificate by the CA of registry.issuer, once every client trusts that."""
    if finding.data["kind"] == "unread":
        raise CannotPlan(f"bring the CA's certificate {finding.locus} again")
    yield from reissue(view)
