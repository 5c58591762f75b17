"""The rights that changes of live objects need, and which of them the account lacks."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from gapcheck.fixtures.kube_rights import Right
from gapcheck.fixtures.probes.kube import Kube, KubeError
from gapcheck.remediations.plan import PatchObject

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
