"""Whether the registry holds every image of the site, for every kind of node."""

from __future__ import annotations

from collections.abc import Iterator

from gapcheck.counting import counted
from gapcheck.errors import NotApplicable, Unmeasured
from gapcheck.fixtures.facts import ImageFact, measured
from gapcheck.fixtures.images import names_registry, parse_reference
from gapcheck.model import (
    CLUSTER,
    CheckId,
    Evidence,
    Finding,
    Scope,
    Severity,
    node_subject,
)
from gapcheck.registry import Judgement, Source, check
from gapcheck.view import RegistryView

_OK, _NOT_FOUND, _UNAUTHORIZED, _FORBIDDEN = 200, 404, 401, 403
_SHOWN = 5
_GO_ARCH = {"x86_64": "amd64", "aarch64": "arm64", "armv7l": "arm", "i686": "386"}


@check(
    "REG-IMAGE-001",
    scope=Scope.REGISTRY,
    severity=Severity.CRITICAL,
    after=("REG-AUTH-001",),
    source=Source(step=2, fault=("R07", "R08", "R11", "R21")),
    manual="images come from outside the gap: on a machine that reaches both, or from an archive, "
    "run skopeo copy --all for each image named (--all keeps every platform and the digest).",
)
def images_of_the_site_are_present(view: RegistryView) -> Judgement:
    """Every image of the site is in the registry, with all the blobs that its manifest names.

    Each is asked for with all four manifest types: with fewer, registries answer 404 for
    images that they hold.
    """
    unread: Unmeasured | None = None
    references = _references(view)
    yield from _elsewhere(view)
    for reference in references:
        try:
            image = _image(view, reference)
        except Unmeasured as gap:
            unread = unread or gap
            continue
        yield Evidence(reference, f"{image.status} {image.digest}".strip(), "GET manifest")
        yield from _defects(image)
    if unread:
        raise unread


def _references(view: RegistryView) -> tuple[str, ...]:
    """The references that this registry was asked for; raises where none is known."""
    measured(view.facts.image_list, "the list of the site's images", view.subject)
    if not view.facts.images and not tuple(_elsewhere(view)):
        reason = f"no image of {view.site.registry.netloc} is named (registry.images)"
        raise NotApplicable(reason)
    return tuple(view.facts.images)


def _image(view: RegistryView, reference: str) -> ImageFact:
    found = measured(view.facts.images[reference], reference, view.subject)
    if found is None:
        raise Unmeasured(reference, "it was not asked for", view.subject)
    return found


def _elsewhere(view: RegistryView) -> Iterator[Finding]:
    """Images that the site file lists, and that clients would pull from somewhere else."""
    registry = view.site.registry
    for text in registry.images:
        try:
            parsed = parse_reference(text)
        except ValueError as bad:
            yield _listed_wrong(text, f"{text} is no image reference: {bad}")
            continue
        if not names_registry(parsed, registry.host, registry.port, registry.address):
            problem = f"{text} is an image of {parsed.domain}, not of {registry.netloc}"
            yield _listed_wrong(text, problem)


def _listed_wrong(text: str, problem: str) -> Finding:
    return Finding(
        problem=problem,
        evidence=(Evidence("registry.images", text, "site file"),),
        consequence="clients look for it outside the gap, or refuse the reference",
        remedy_hint="write it as REGISTRY/PATH:TAG in the site file",
        locus=text,
        severity=Severity.MAJOR,
    )


def _defects(image: ImageFact) -> Iterator[Finding]:
    if image.status != _OK:
        yield _unanswered(image)
    elif image.missing_blobs:
        shown = ", ".join(image.missing_blobs[:_SHOWN])
        yield Finding(
            problem=f"{image.reference}: the registry lacks "
            f"{counted(len(image.missing_blobs), 'blob')} that its manifest names",
            evidence=(Evidence("missing", shown, "HEAD blob: 404"),),
            consequence="pulls fail: could not fetch content descriptor ...: not found",
            remedy_hint=_push(image.reference),
            locus=image.reference,
        )
    elif image.trouble:
        yield Finding(
            problem=f"{image.reference} cannot be pulled: {image.trouble}",
            evidence=(Evidence("manifest", f"{image.status} {image.digest}", "GET manifest"),),
            consequence="pulls fail after the manifest was read",
            remedy_hint="push it again, or let the registry serve blobs itself "
            "(storage.redirect.disable: true)",
            locus=image.reference,
        )


def _unanswered(image: ImageFact) -> Finding:
    login = image.status in (_UNAUTHORIZED, _FORBIDDEN)
    problem = {
        _NOT_FOUND: "is not in the registry",
        _UNAUTHORIZED: "is refused without a login, or with the one given (401)",
        _FORBIDDEN: "is forbidden to the login given (403): it lacks the right to pull",
    }.get(image.status, f"is answered with {image.status}")
    return Finding(
        problem=f"{image.reference} {problem}",
        evidence=(Evidence("answer", f"{image.status} {image.detail}".strip(), "GET manifest"),),
        consequence="its pods stay in ImagePullBackOff: not found"
        if image.status == _NOT_FOUND
        else "its pods stay in ImagePullBackOff",
        remedy_hint="give the login the right to pull" if login else _push(image.reference),
        locus=image.reference,
        because=(CheckId("REG-AUTH-001"),) if login else (),
    )


def _push(reference: str) -> str:
    return f"skopeo copy --all docker://SOURCE/IMAGE docker://{reference}"


@check(
    "REG-IMAGE-002",
    scope=Scope.REGISTRY,
    severity=Severity.CRITICAL,
    after=("REG-IMAGE-001",),
    source=Source(step=2, fault=("R09", "R10")),
    manual="the platform must come from outside the gap: skopeo copy --all takes every platform of "
    "an image along; without --all it takes only that of the machine it runs on.",
)
def images_fit_the_nodes(view: RegistryView) -> Judgement:
    """Every image of the site is there for the architecture of every node."""
    wanted, unread = _architectures(view)
    if not wanted and unread is None:
        reason = (
            "none of the site's nodes says its architecture"
            if view.peers or view.site.cluster
            else "the site file names no node and no cluster: no architecture is asked for"
        )
        raise NotApplicable(reason)
    yield Evidence("architectures of the nodes", ", ".join(sorted(wanted)) or "none known", "nodes")
    for reference in _references(view):
        image = _image(view, reference)
        held = {"/".join(platform.split("/")[:2]) for platform in image.platforms}
        lacking = sorted(f"linux/{each}" for each in wanted if f"linux/{each}" not in held)
        if image.status == _OK and lacking:
            yield _unfit(image, lacking)
    if unread is not None:
        raise unread


def _unfit(image: ImageFact, lacking: list[str]) -> Finding:
    single = len(image.platforms) == 1 and "manifest.v" in image.media_type
    text = (
        "it is pulled and ends with `exec format error`"
        if single
        else "pulls fail: no match for platform in manifest: not found"
    )
    return Finding(
        problem=f"{image.reference} is there for {', '.join(image.platforms) or 'no platform'}; "
        f"nodes need {', '.join(lacking)}",
        evidence=(Evidence("platforms", ", ".join(image.platforms) or "none", image.digest),)
        + ((Evidence("index", image.detail, image.digest),) if image.detail else ()),
        consequence=f"on these nodes {text}",
        remedy_hint=_push(image.reference),
        locus=image.reference,
    )


def _architectures(view: RegistryView) -> tuple[set[str], Unmeasured | None]:
    """Architectures in Go's words, and the first that could not be measured."""
    found: set[str] = set()
    gap: Unmeasured | None = None
    for subject, facts in view.peers.items():
        try:
            machine = measured(facts.arch, "the architecture", subject)
        except Unmeasured as unread:
            gap = gap or unread
            continue
        if machine:
            found.add(_GO_ARCH.get(machine, machine))
    if view.site.cluster is None:
        unseen = [
            node.name for node in view.site.node_list if not view.has(node_subject(node.name))
        ]
        if unseen:
            gap = gap or Unmeasured("the architecture", "it was not reached", f"node/{unseen[0]}")
        return found, gap
    try:
        nodes = measured(view.cluster.nodes, "the cluster's nodes", CLUSTER) or ()
    except Unmeasured as unread:
        return found, gap or unread
    return found | {node.arch for node in nodes if node.arch}, gap
