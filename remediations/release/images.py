"""Name the release's images at the site's registry: in the values, and in rendered manifests."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from gapcheck.errors import CannotPlan
from gapcheck.fixtures.facts import measured
from gapcheck.fixtures.helm_values import user_values, values_files
from gapcheck.fixtures.images import parse_reference
from gapcheck.fixtures.workload_images import PodImage, images_of, is_image, last_part, unreached
from gapcheck.model import Finding, Risk
from gapcheck.registry import remedy
from gapcheck.remediations.objects import edit_object, put
from gapcheck.remediations.plan import EditYaml, UpgradeRelease
from gapcheck.remediations.release.manifest_text import variable_position
from gapcheck.remediations.release.upgrade import plan_upgrade
from gapcheck.remediations.release.values_file import image_values, set_values
from gapcheck.view import ReleaseView

_FIELDS = {"init": "initContainers", "container": "containers", "ephemeral": "ephemeralContainers"}
_KEY_OF = {
    "coder-v1": {
        "coder-service": "coderd.image",
        "envbox": "envbox.image",
        "timescale": "postgres.default.image",
    },
    "coder-v2": {"coder": "coder.image"},
}


@remedy("REL-IMAGE-001", risk=Risk.OUTAGE)
def plan_image_from_registry(
    finding: Finding, view: ReleaseView
) -> Iterator[EditYaml | UpgradeRelease]:
    """Name the image at the site's registry, in the values file and in the rendered manifest.

    Once the values are right, the live release is upgraded by helm with `--max-risk outage`,
    where helm and `release.chart` are there; else the command is told.
    """
    yield from _plan(finding, view)


@remedy("REL-NAME-001", risk=Risk.OUTAGE)
def plan_whole_name(finding: Finding, view: ReleaseView) -> Iterator[EditYaml | UpgradeRelease]:
    """Write the registry's name into the image name, in values file and rendered manifest."""
    yield from _plan(finding, view)


def _plan(finding: Finding, view: ReleaseView) -> Iterator[EditYaml | UpgradeRelease]:
    want = finding.data["want"]
    if not want:
        reason = "nothing measured tells which image is meant; name it in the values"
        raise CannotPlan(reason)
    workloads = measured(view.facts.workloads, "the workloads", view.subject) or ()
    image = next(each for each in images_of(workloads) if each.locus == finding.locus)
    changes: list[EditYaml] = []
    wanted_in_vain = unreached(view, user_values(view), workloads).values()
    if want not in map(str, wanted_in_vain):
        changes += _values(view, image, want)
    if image.workload.file:
        edit = put(image.workload, _place(view, image), want)
        changes.append(edit_object(view, image.workload, (edit,)))
    if not changes:
        yield plan_upgrade(view)
    yield from changes


def _values(view: ReleaseView, image: PodImage, want: str) -> Iterator[EditYaml]:
    """Edits of the values files, where there are any and the key of this image is known."""
    release = view.site.release
    if release is None or not values_files(view):
        if not image.workload.file:
            reason = f"the image comes from the chart's values; helm upgrade with {want}"
            raise CannotPlan(reason)
        return
    same = [
        path
        for each in values_files(view)
        for path, value in each.values.items()
        if value == image.text and image.text
    ]
    if same:
        yield from set_values(view, dict.fromkeys(same, want))
        return
    part = last_part(parse_reference(want).path) if is_image(want) else ""
    key = _KEY_OF.get(release.profile, {}).get(part)
    if key:
        yield from set_values(view, image_values(key, want))


def _place(view: ReleaseView, image: PodImage) -> tuple[str | int, ...]:
    """Where the image's text stands in the manifest of its workload."""
    owner, container = image.workload, image.container
    alike = [each for each in owner.containers if each.kind == container.kind]
    at: tuple[Any, ...] = (*owner.pod_path, _FIELDS[container.kind], alike.index(container))
    if not image.env:
        return (*at, "image")
    position = variable_position(view, owner, at, image.env)
    return (*at, "env", position, "value")
