"""Move a value that reaches nothing to the key that the chart reads."""

from __future__ import annotations

from collections.abc import Iterator

from gapcheck.errors import CannotPlan
from gapcheck.fixtures.helm_values import values_files
from gapcheck.model import Finding, Risk
from gapcheck.registry import remedy
from gapcheck.remediations.plan import EditYaml, UpgradeRelease
from gapcheck.remediations.release.upgrade import plan_upgrade
from gapcheck.remediations.release.values_file import image_values, set_values
from gapcheck.view import ReleaseView


@remedy("REL-VALUE-001", risk=Risk.OUTAGE)
def plan_value_move(finding: Finding, view: ReleaseView) -> Iterator[EditYaml | UpgradeRelease]:
    """Correct the values file: the image under the key that this chart reads, the old key gone.

    Once the values are right, the live release is upgraded by helm with `--max-risk outage`,
    where helm and `release.chart` are there; else the command is told.
    """
    path, value, instead = (finding.data[key] for key in ("path", "value", "instead"))
    if not value or not instead:
        reason = f"no known key of this chart takes the place of {path}; see its values.yaml"
        raise CannotPlan(reason)
    wanted = image_values(instead, value)
    set_already = {
        key: each.values[key] for each in values_files(view) for key in wanted if key in each.values
    }
    changes = tuple(set_values(view, {**wanted, **set_already}, remove=(path,)))
    if not changes:
        yield plan_upgrade(view)
    yield from changes
