"""Whether the registry's storage has room for the site's images."""

from __future__ import annotations

from gapcheck.errors import NotApplicable
from gapcheck.fixtures.facts import Filesystem, Present, require
from gapcheck.fixtures.served import machine
from gapcheck.model import Evidence, Finding, Scope, Severity
from gapcheck.registry import Judgement, Source, check
from gapcheck.view import RegistryView

_MIN_INODES = 10_000
_GB = 10**9


@check(
    "REG-SPACE-001",
    scope=Scope.REGISTRY,
    severity=Severity.MAJOR,
    source=Source(step=2, fault=("R14", "R15", "R16")),
    manual="only the owner knows what may go: enlarge the file system, or delete images and "
    "run registry garbage-collect while the registry is read-only or stopped.",
)
def storage_has_room(view: RegistryView) -> Judgement:
    """Free room and the site's images already stored make policy.min_free_bytes together.

    1 GB is 10^9 bytes, and room is what an unprivileged writer can use. A full disk shows
    neither in /v2/ nor in the registry's health page.
    """
    if view.site.registry.storage is None and view.site.registry.target is not None:
        reason = "the site file names no registry.storage"
        raise NotApplicable(reason)
    storage = require(machine(view).storage, "the registry's storage", view.subject)
    wanted = view.site.policy.min_free_bytes
    stored, unread = _stored(view)
    yield Evidence("available", f"{storage.available_bytes / _GB:.1f} GB", storage.path)
    yield Evidence("the site's images there", f"{stored / _GB:.1f} GB", "manifests")
    if storage.available_bytes + stored < wanted:
        # What is unread can only add to it: too little is known only once all is read.
        for reference in unread:
            require(view.facts.images[reference], reference, view.subject)
        require(view.facts.image_list, "the list of the site's images", view.subject)
        yield _too_small(storage, stored, wanted)
    if 0 <= storage.available_inodes < _MIN_INODES:
        yield Finding(
            problem=f"{storage.path} has {storage.available_inodes} inodes left, "
            f"{_MIN_INODES} are wanted",
            evidence=(Evidence("inodes", str(storage.available_inodes), storage.path),),
            consequence="pushes fail: no space left on device, although bytes are free",
            remedy_hint="make the file system anew with more inodes, or delete small files",
            locus=f"{storage.path}#inodes",
        )


def _too_small(storage: Filesystem, stored: int, wanted: int) -> Finding:
    have = (storage.available_bytes + stored) / _GB
    return Finding(
        problem=f"{storage.path} has {have:.1f} GB for the site's images, {wanted / _GB:.1f} GB "
        "are needed",
        evidence=(
            Evidence("available", f"{storage.available_bytes} bytes", storage.path),
            Evidence("already stored", f"{stored} bytes", "distinct blobs of the site's images"),
            Evidence("size", f"{storage.total_bytes} bytes", storage.path),
        ),
        consequence="pushes fail with 500 Internal Server Error: no space left on device; pulls "
        "and the health page stay green",
        remedy_hint="enlarge the file system",
        locus=storage.path,
    )


def _stored(view: RegistryView) -> tuple[int, tuple[str, ...]]:
    """Bytes of the distinct blobs of the site's images, and the images that were not read."""
    blobs: dict[str, int] = {}
    plain = 0
    unread = []
    for reference, observed in view.facts.images.items():
        if not isinstance(observed, Present):
            unread.append(reference)
        elif observed.value.blobs:
            blobs.update(observed.value.blobs)
        else:
            plain += observed.value.size_bytes
    return sum(blobs.values()) + plain, tuple(unread)
