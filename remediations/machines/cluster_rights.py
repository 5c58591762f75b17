"""The rights that changes of live objects need, and which of them the account lacks."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from gapcheck.errors import RepairRefused
from gapcheck.fixtures.kube_objects import maps_of, text_of
from gapcheck.fixtures.kube_rights import Right
from gapcheck.fixtures.probes.kube import Kube, KubeError
from gapcheck.remediations.machines.cluster_api import ClusterApi
from gapcheck.remediations.machines.helm_records import InManifest, newest
from gapcheck.remediations.plan import PatchObject, UpgradeRelease

_REVIEWS = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"


def rights_for(change: PatchObject, plurals: Mapping[str, str]) -> Iterator[Right]:
    """What patching the object asks for, its backup and its undo included."""
    group = change.api_version.rpartition("/")[0]
    resource, space = plurals.get(change.kind, ""), change.namespace
    if not resource:
        return
    if change.creates:
        yield Right(verb="create", resource=resource, group=group, namespace=space)
        return
    if not change.final:
        yield Right(verb="create", resource="secrets", namespace=space)  # the backup
    for verb in ("get", "patch", "update"):
        yield Right(verb=verb, resource=resource, group=group, namespace=space, name=change.name)


def upgrade_rights(api: ClusterApi, change: UpgradeRelease) -> Iterator[Right]:
    """What `helm upgrade` and `helm rollback` ask for, by the objects that Helm has now.

    An object that new values add is not known beforehand; the API refuses it by itself.
    """
    space = change.namespace
    release = newest(api, space, change.name)
    if release is None:
        return
    for verb in ("list", "get", "create", "update", "delete"):
        yield Right(verb=verb, resource=f"{release.driver}s", namespace=space)
    known: dict[tuple[str, str], tuple[str, bool] | None] = {}
    for each in release.objects():
        kind = (each.api_version, each.kind)
        resource = known[kind] if kind in known else _resource(api, each)
        known[kind] = resource
        if resource is not None:
            group = each.api_version.rpartition("/")[0]
            place = each.namespace or space if resource[1] else ""
            for verb in ("get", "patch"):
                yield Right(
                    verb=verb, resource=resource[0], group=group, namespace=place, name=each.name
                )


def _resource(api: ClusterApi, of: InManifest) -> tuple[str, bool] | None:
    """What the API calls the kind, and whether it lies in namespaces; None: it does not say."""
    root = "/api" if "/" not in of.api_version else "/apis"
    try:
        listed = api.get(f"{root}/{of.api_version}") or {}
    except RepairRefused:
        return None
    for each in maps_of(listed.get("resources")):
        if each.get("kind") == of.kind and "/" not in text_of(each, "name"):
            return text_of(each, "name"), bool(each.get("namespaced"))
    return None


def denied(kube: Kube, rights: Iterable[Right]) -> Iterator[str]:
    """Those of `rights` that the account lacks; what the API does not answer about is left out."""
    for right in dict.fromkeys(rights):
        review = {
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SelfSubjectAccessReview",
            "spec": {"resourceAttributes": right.attributes},
        }
        try:
            status = kube.post(_REVIEWS, review).get("status")
        except KubeError:
            return  # the requests themselves will say 403 where a right is missing
        if isinstance(status, dict) and status.get("allowed") is False:
            yield str(right)
