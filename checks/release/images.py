"""Where the release's images come from, and whether their names are whole."""

from __future__ import annotations

from gapcheck.counting import counted
from gapcheck.fixtures.helm_values import is_read, user_values
from gapcheck.fixtures.images import parse_reference
from gapcheck.fixtures.workload_images import (
    PodImage,
    from_registry,
    images_of,
    is_unexpanded,
    last_part,
    refuse_partial,
    release_workloads,
    unreached,
    wanted_image,
)
from gapcheck.model import CheckId, Evidence, Finding, Scope, Severity
from gapcheck.registry import Judgement, Source, check
from gapcheck.view import ReleaseView


@check(
    "REL-IMAGE-001",
    scope=Scope.RELEASE,
    severity=Severity.CRITICAL,
    after=("SITE-CLUSTER-001",),
    source=Source(step=7, fault=("H01", "H04", "H07")),
)
def every_image_comes_from_the_registry(view: ReleaseView) -> Judgement:
    """Every image of every container comes from the site's registry.

    Init containers and images that an environment variable names count as well.
    """
    workloads = release_workloads(view)
    values = user_values(view)
    vain = {
        last_part(each.path)
        for path, each in unreached(view, values, workloads).items()
        if not is_read(view, path)  # else the objects differ from the values, not these from those
    }
    count = 0
    for image in images_of(workloads):
        if is_unexpanded(image.text):
            continue
        count += 1
        why = _wrong(view, image)
        if why:
            part = last_part(image.text.partition("@")[0].partition(":")[0])
            in_vain = bool(vain) and (not image.text or part in vain)
            yield Finding(
                problem=f"{image.named}: {why}",
                evidence=(_seen(image),),
                consequence=_consequence(image),
                remedy_hint=f"name the image at {view.site.registry.netloc}",
                locus=image.locus,
                because=(CheckId("REL-VALUE-001"),) if in_vain else (),
                data={"want": wanted_image(view, image, values, workloads)},
            )
    yield Evidence("images", f"{count} in {counted(len(workloads), 'workload')}", view.facts.source)
    refuse_partial(view, "every image")


@check(
    "REL-NAME-001",
    scope=Scope.RELEASE,
    severity=Severity.CRITICAL,
    after=("SITE-CLUSTER-001",),
    source=Source(step=7, fault=("H09",)),
)
def image_names_are_whole(view: ReleaseView) -> Judgement:
    """No image name has an empty host, an unexpanded variable or a placeholder in it."""
    workloads = release_workloads(view)
    values = user_values(view)
    for image in images_of(workloads):
        if is_unexpanded(image.text):
            yield Finding(
                problem=f"{image.named}: the image is {image.text!r}, "
                + (
                    "without a host: the variable for it was empty"
                    if image.text[0] in "/:"
                    else "with a variable or placeholder that nobody filled in"
                ),
                evidence=(_seen(image),),
                consequence="Failed to apply default image tag: couldn't parse image name "
                f'"{image.text}": invalid reference format',
                remedy_hint=f"write the registry's name out: {view.site.registry.netloc}/...",
                locus=image.locus,
                data={"want": wanted_image(view, image, values, workloads)},
            )
    yield Evidence("workloads", str(len(workloads)), view.facts.source)
    refuse_partial(view, "every image")


def _seen(image: PodImage) -> Evidence:
    return Evidence(image.env or "image", image.text or "(empty)", image.workload.locus)


def _wrong(view: ReleaseView, image: PodImage) -> str:
    """What is wrong with where `image` comes from; '' where it is the site's registry."""
    if not image.text:
        return "the image is empty"
    try:
        reference = parse_reference(image.text)
    except ValueError as bad:
        return f"{image.text!r} is no image reference: {bad}"
    if from_registry(view, reference):
        return ""
    return f"{image.text} comes from {reference.domain}, not from {view.site.registry.netloc}"


def _consequence(image: PodImage) -> str:
    if not image.text:
        return "the API server refuses the pod, or it ends in InvalidImageName"
    late = ", when the first workspace starts" if image.env else ""
    return f"ImagePullBackOff{late}: nothing outside the site can be reached"
