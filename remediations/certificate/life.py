"""Renews a certificate that is out of its time, or soon will be."""

from __future__ import annotations

from collections.abc import Iterator

from gapcheck.errors import CannotPlan
from gapcheck.fixtures.facts import Present
from gapcheck.model import Finding, Risk
from gapcheck.registry import remedy
from gapcheck.remediations.certificate.reissue import reissue
from gapcheck.remediations.plan import Change
from gapcheck.view import RegistryView


@remedy("CERT-LIFE-001", risk=Risk.RESTART)
def plan_valid_certificate(finding: Finding, view: RegistryView) -> Iterator[Change]:
    """Issue the certificate again, beginning an hour ago, and serve it.

    Refused while the registry's clock and this machine's disagree: a certificate that seems
    to come from the future may be right.
    """
    limit = view.site.policy.max_clock_skew_s
    date = view.registry.date
    if finding.data["kind"] == "early" and isinstance(date, Present):
        skew = date.value.skew_s
        if abs(skew) > limit:
            raise CannotPlan(
                f"the registry's clock and this machine's differ by {skew:+.0f} s: set both by "
                "NTP, then judge again; the certificate may be right"
            )
    yield from reissue(view)


@remedy("CERT-LIFE-002", risk=Risk.RESTART)
def plan_renewal(finding: Finding, view: RegistryView) -> Iterator[Change]:
    """Issue the certificate again by its own CA, and serve it."""
    if finding.data["kind"] == "ca":
        raise CannotPlan(
            "the CA itself ends: name a new pair under registry.issuer, give its certificate to "
            "every client beside the present one, then issue by it"
        )
    yield from reissue(view)
