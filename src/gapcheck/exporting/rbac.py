"""`gapcheck export rbac`: a service account with the rights that a check or a fix uses. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import groupby
from typing import Any

from gapcheck.errors import UsageError
from gapcheck.exporting.grants import Grant, check_grants, drain_grants, fix_grants
from gapcheck.exporting.text import Noted, comment, document
from gapcheck.site import Site

ACCOUNT = "gapcheck"
_API = "rbac.authorization.k8s.io"


def rbac(
    site: Site,
    *,
    purpose: str,
    namespace: str = "",
    secrets: Sequence[str] = (),
    drains: bool = False,
) -> str:
    """Account, roles and bindings for `purpose` (check or fix), as YAML documents.

    `namespace` is the account's own, by default the release's; `secrets` are names beside the
    CA secret that a fix may patch; with `drains` it may drain nodes as well. Raises UsageError
    where the site has no live cluster.
    """
    if site.cluster is None or not site.cluster.kubeconfig:
        what = "reads its cluster from a folder of manifests" if site.cluster else "has no cluster"
        raise UsageError(f"the site {what}: no rights are needed", "see cluster in the site file")
    home = namespace or (site.release.namespace if site.release else "default")
    grants = [*check_grants(site)]
    if purpose == "fix":
        grants += fix_grants(site, tuple(dict.fromkeys((site.ca_secret.name, *secrets))))
        grants += drain_grants() if drains else ()
    account = {"name": ACCOUNT, "namespace": home}
    documents = [
        document(
            _head(home, purpose),
            {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": account},
        )
    ]
    return "".join((*documents, *roles(grants, purpose=purpose, account=account)))


def roles(grants: Sequence[Grant], *, purpose: str, account: dict[str, str]) -> Iterator[str]:
    """A role and its binding to `account` for each namespace of `grants`, as documents."""
    for place in dict.fromkeys((each.namespace, each.role) for each in grants):
        mine = [each for each in grants if (each.namespace, each.role) == place]
        yield from _role(mine, "-".join(filter(None, (ACCOUNT, place[1] or purpose))), account)


def _head(home: str, purpose: str) -> Iterator[str]:
    yield from comment(
        f"What gapcheck {purpose} needs of the API server, and nothing else. Apply it, then take a "
        "short-lived token for a kubeconfig:"
    )
    yield f"#   kubectl -n {home} create token {ACCOUNT} --duration=1h"


def _role(grants: Sequence[Grant], name: str, account: dict[str, str]) -> Iterator[str]:
    namespace = grants[0].namespace
    kind = "Role" if namespace else "ClusterRole"
    metadata = {"name": name, **({"namespace": namespace} if namespace else {})}
    rules = [_rule([*alike]) for _, alike in groupby(grants, _alike)]
    body = {"apiVersion": f"{_API}/v1", "kind": kind, "metadata": metadata, "rules": rules}
    yield document((), body)
    yield document(
        (),
        {
            "apiVersion": f"{_API}/v1",
            "kind": f"{kind}Binding",
            "metadata": metadata,
            "roleRef": {"apiGroup": _API, "kind": kind, "name": name},
            "subjects": [{"kind": "ServiceAccount", **account}],
        },
    )


def _alike(grant: Grant) -> Grant:
    """What grants of one rule share: all but the resource."""
    return replace(grant, resource="")


def _rule(alike: Sequence[Grant]) -> dict[str, Any]:
    grant = alike[0]
    if grant.path:
        return {"nonResourceURLs": Noted([grant.path], (grant.why,)), "verbs": list(grant.verbs)}
    names = {"resourceNames": list(grant.names)} if grant.names else {}
    return {
        "apiGroups": Noted([grant.group], (grant.why,)),
        "resources": [each.resource for each in alike],
        **names,
        "verbs": list(grant.verbs),
    }
