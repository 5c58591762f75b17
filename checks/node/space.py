"""Guide step 4 as a node sees it: pulled images need room."""

from __future__ import annotations

from gapcheck.errors import NotApplicable, Unmeasured
from gapcheck.fixtures.facts import Filesystem, measured
from gapcheck.fixtures.runtimes import require_runtime
from gapcheck.model import Evidence, Finding, Scope, Severity
from gapcheck.registry import Judgement, Source, check
from gapcheck.view import NodeView

# kubelet's default hard eviction thresholds: imagefs.available and nodefs.available.
IMAGES_PERCENT = 15
KUBELET_PERCENT = 10
_FOLDERS = {
    "containerd": "/var/lib/containerd",
    "docker": "/var/lib/docker",
    "cri-o": "/var/lib/containers",
    "k3s": "/var/lib/rancher",
    "rke2": "/var/lib/rancher",
}


@check(
    "NODE-SPACE-001",
    scope=Scope.NODE,
    severity=Severity.MAJOR,
    source=Source(step=4, fault=("K24",)),
    manual="What may be deleted is a person's decision: `crictl rmi --prune` removes unused "
    "images; a larger disk for the runtime's folder lasts longer.",
)
def images_have_room(view: NodeView) -> Judgement:
    """The node's disk for images stays above the share at which kubelet evicts pods."""
    if not view.facts.running:
        raise NotApplicable("the root of an image has no disk of its own")
    folder = _FOLDERS[require_runtime(view).kind]
    looked = {folder: IMAGES_PERCENT, "/var/lib/kubelet": KUBELET_PERCENT}
    found = 0
    for path, percent in looked.items():
        observed = view.facts.filesystems.get(path)
        room = None if observed is None else measured(observed, f"the room below {path}")
        if room is None:
            continue
        found += 1
        yield Evidence("free", _shown(room), path)
        if room.available_bytes * 100 < room.total_bytes * percent or not room.available_inodes:
            yield _full(path, room, percent)
    if not found:
        raise Unmeasured(f"the room below {folder}", "it was not looked at")


def _full(path: str, room: Filesystem, percent: int) -> Finding:
    needed = room.total_bytes * percent / 100
    problem = f"{path} has {_gb(room.available_bytes)} free; kubelet evicts below {_gb(needed)}"
    if not room.available_inodes:
        problem = f"{path} has no free inode"
    return Finding(
        problem=problem,
        evidence=(Evidence("free", _shown(room), path),),
        consequence="pulls fail with `no space left on device`, and kubelet evicts pods "
        "(DiskPressure)",
        remedy_hint="prune unused images, or enlarge the disk",
        locus=path,
    )


def _shown(room: Filesystem) -> str:
    inodes = "" if room.available_inodes < 0 else f", {room.available_inodes} inodes"
    return f"{_gb(room.available_bytes)} of {_gb(room.total_bytes)}{inodes}"


def _gb(size: float) -> str:
    return f"{size / 10**9:.1f} GB"
