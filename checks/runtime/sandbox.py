"""Guide step 4, beyond it: every pod starts from the pause image."""

from __future__ import annotations

from gapcheck.fixtures.containerd import ContainerdConfig, load_config
from gapcheck.fixtures.images import parse_reference
from gapcheck.fixtures.runtimes import require_runtime
from gapcheck.model import Evidence, Finding, Scope, Severity
from gapcheck.registry import Judgement, Source, check
from gapcheck.view import NodeView

NO_SANDBOX = "where the image is not on the node already, pods stay in ContainerCreating: "


@check(
    "RUN-SANDBOX-001",
    scope=Scope.NODE,
    severity=Severity.MAJOR,
    after=("RUN-CONF-001",),
    source=Source(step=4, fault=("K18",)),
)
def sandbox_image_is_private(view: NodeView) -> Judgement:
    """The sandbox (pause) image comes from the site's registry."""
    require_runtime(view, "containerd")
    config = load_config(view)
    image, keys = config.sandbox_image
    where = ".".join(keys)
    netloc = view.site.registry.netloc
    if not image:
        yield Finding(
            problem="the pause image is containerd's built-in one, from registry.k8s.io",
            evidence=(Evidence(where, "not set", config.path),),
            consequence=f"{NO_SANDBOX}failed to get sandbox image",
            remedy_hint=f"set it to an image of {netloc}, or load it on every node",
            locus=config.path,
            severity=Severity.MINOR,
        )
        return
    try:
        domain = parse_reference(image).domain
    except ValueError as bad:
        yield _finding(config, f"the pause image {image!r} is no image reference: {bad}", image)
        return
    if domain != netloc:
        problem = f"the pause image comes from {domain}; the site's registry is {netloc}"
        yield _finding(config, problem, image)
        return
    yield Evidence("sandbox image", image, config.path)


def _finding(config: ContainerdConfig, problem: str, image: str) -> Finding:
    where = ".".join(config.sandbox_image[1])
    return Finding(
        problem=problem,
        evidence=(Evidence(where, image, config.path),),
        consequence=f'{NO_SANDBOX}failed to get sandbox image "{image}"',
        remedy_hint="set it to the pause image of the site's registry",
        locus=config.path,
    )
