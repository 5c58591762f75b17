"""PolicyReport objects into the site's cluster: `--report policyreport:cluster`.

Each object is applied by the server under the field manager `gapcheck`; those that an earlier
run of the same site left and this one no longer has are deleted.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from gapcheck.errors import UsageError
from gapcheck.fixtures.probes.kube import Kube, KubeError, cannot, open_cluster
from gapcheck.record import Record
from gapcheck.reports.policyreport import GROUP, SITE_LABEL, VERSION, objects, site_slug

if TYPE_CHECKING:
    from gapcheck.site_file import LoadedSite
    from gapcheck.suite import Request

CLUSTER = "cluster"
PLURALS = {"PolicyReport": "policyreports", "ClusterPolicyReport": "clusterpolicyreports"}
_OPTION = f"--report policyreport:{CLUSTER}"
_API = f"/apis/{GROUP}/{VERSION}"
_TIMEOUT_S = 60.0
_NOT_FOUND = 404
_APPLY = "application/apply-patch+yaml"
_MANAGER = {"fieldManager": "gapcheck", "force": "true"}


def check_delivery(request: Request) -> None:
    """Raise UsageError before anything is measured where no report could be delivered.

    A cluster that gives no answer now is none of these cases: the run will say so.
    """
    loaded = request.loaded
    if loaded is None or request.bundle or not _has_cluster(loaded):
        raise UsageError(
            f"{_OPTION}: there is no live cluster", f"write a file with policyreport:./{CLUSTER}"
        )
    if request.select or request.targets or request.now or request.front_end == "pytest":
        raise UsageError(
            f"{_OPTION} holds the state of a whole site",
            "not with --select, --target, --now or pytest",
        )
    try:
        _kube(loaded).get(_API)
    except KubeError as failed:
        if failed.status == _NOT_FOUND:
            why = f"{_OPTION}: the cluster serves no {GROUP}/{VERSION}"
            hint = f"have its PolicyReport definitions installed, or write policyreport:./{CLUSTER}"
            raise UsageError(why, hint) from failed


def deliver(record: Record, loaded: LoadedSite) -> None:
    """Apply every object and delete those left over; raises UsageError where one is refused."""
    kube = _kube(loaded)
    namespace = record.run.namespace
    if namespace and not _is_there(kube, namespace):
        namespace = ""  # its verdicts stand in the cluster's reports, for there is no other place
    kept = set()
    for each in objects(record, namespace=namespace):
        path = f"{_folder(each['kind'], namespace)}/{each['metadata']['name']}"
        kept.add(path)
        _asked(
            lambda path=path, each=each: kube.change(  # type: ignore[misc]  # bound in this turn
                "PATCH", path, each, query=_MANAGER, content_type=_APPLY
            ),
            f"patch {PLURALS[each['kind']]}",
        )
    for path in _left_over(kube, record, namespace) - kept:
        _asked(lambda path=path: kube.change("DELETE", path, {}), "delete policyreports")  # type: ignore[misc]  # as above


def _left_over(kube: Kube, record: Record, namespace: str) -> set[str]:
    """Paths of the objects that the cluster holds of this site."""
    query = {"labelSelector": f"{SITE_LABEL}={site_slug(record.run.site)}"}
    kinds = ["ClusterPolicyReport", *(["PolicyReport"] if namespace else [])]
    found = set()
    for kind in kinds:
        folder = _folder(kind, namespace)
        items = _asked(
            lambda folder=folder: [*kube.items(folder, query, metadata_only=True)],  # type: ignore[misc]  # bound in this turn
            f"list {PLURALS[kind]}",
        )
        found |= {f"{folder}/{item['metadata']['name']}" for item in items}
    return found


def _is_there(kube: Kube, namespace: str) -> bool:
    try:
        kube.get(f"/api/v1/namespaces/{quote(namespace)}")
    except KubeError as failed:
        return failed.status != _NOT_FOUND
    return True


def _folder(kind: str, namespace: str) -> str:
    inside = f"/namespaces/{quote(namespace)}" if kind == "PolicyReport" else ""
    return f"{_API}{inside}/{PLURALS[kind]}"


def _asked(ask: Callable[[], Any], right: str) -> Any:  # noqa: ANN401 - whatever `ask` gives
    try:
        return ask()
    except KubeError as failed:
        raise UsageError(f"{_OPTION}: not delivered: {cannot(failed, right)}") from failed


def _has_cluster(loaded: LoadedSite) -> bool:
    return loaded.site.cluster is not None and bool(loaded.site.cluster.kubeconfig)


def _kube(loaded: LoadedSite) -> Kube:
    assert loaded.site.cluster is not None
    return open_cluster(loaded.site.cluster, base=loaded.base, timeout_s=_TIMEOUT_S)
