"""The exported rights against what the real probes and the real repair ask of an API server."""

from __future__ import annotations

import subprocess
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML
from support import helm_record
from support.apiserver import api_server, listed
from support.healthy import site
from support.object_api import object_api
from support.places import Places, plan_of

from gapcheck.errors import UsageError
from gapcheck.exporting.rbac import rbac
from gapcheck.fixtures.kube_objects import DNS_MAPS
from gapcheck.fixtures.kube_rights import (
    NAME_SERVERS,
    RIGHTS_OF_CLUSTER,
    WORKLOADS,
    rights_of_release,
)
from gapcheck.fixtures.probes.cluster import probe_cluster
from gapcheck.fixtures.probes.dns import probe_dns
from gapcheck.fixtures.probes.release import probe_release
from gapcheck.model import CLUSTER, SubjectId
from gapcheck.remediations.lock import FolderLocks
from gapcheck.remediations.machines.base import Machine
from gapcheck.remediations.machines.cluster import ClusterMachine
from gapcheck.remediations.plan import PatchObject
from gapcheck.site import Cluster, Site

CERT = "local-registry-cert"
_VERBS = {"POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}


@dataclass(frozen=True)
class Asked:
    """One request as the API server's authorizer sees it."""

    verb: str
    group: str = ""
    resource: str = ""
    namespace: str = ""
    name: str = ""
    path: str = ""


def asked(method: str, path: str) -> Asked:
    parts = path.strip("/").split("/")
    if parts[0] not in ("api", "apis"):
        return Asked("get", path=path)
    group = "" if parts[0] == "api" else parts[1]
    rest = parts[2 if parts[0] == "api" else 3 :]
    namespace = ""
    if rest[0] == "namespaces" and len(rest) > 2:
        namespace, rest = rest[1], rest[2:]
    name = rest[1] if len(rest) > 1 else ""
    verb = _VERBS.get(method) or ("get" if name else "list")
    return Asked(verb, group, rest[0], namespace, name)


@dataclass(frozen=True)
class Rule:
    """One rule as bound to the account; `namespace` '' = everywhere."""

    namespace: str
    verbs: tuple[str, ...]
    groups: tuple[str, ...] = ()
    resources: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    paths: tuple[str, ...] = ()

    def allows(self, wanted: Asked) -> bool:
        if wanted.path:
            return wanted.path in self.paths and wanted.verb in self.verbs
        return (
            wanted.verb in self.verbs
            and wanted.group in self.groups
            and wanted.resource in self.resources
            and (not self.names or wanted.name in self.names)
            and self.namespace in ("", wanted.namespace)
        )


def documents(text: str) -> list[Any]:
    return list(YAML(typ="safe").load_all(text))


def rules(text: str) -> list[Rule]:
    """What the documents bind to the account, as RBAC reads them: rules only ever add up."""
    found = {(each["kind"], each["metadata"]["name"], each["metadata"].get("namespace", "")): each
             for each in documents(text)}  # fmt: skip
    (account,) = [key for key in found if key[0] == "ServiceAccount"]
    bound: list[Rule] = []
    for (kind, _, namespace), body in found.items():
        if not kind.endswith("Binding"):
            continue
        subject = {"kind": account[0], "name": account[1], "namespace": account[2]}
        assert body["subjects"] == [subject]
        reference = body["roleRef"]
        role = found[reference["kind"], reference["name"], namespace]
        bound += [
            Rule(
                namespace=namespace,
                verbs=tuple(each["verbs"]),
                groups=tuple(each.get("apiGroups", ())),
                resources=tuple(each.get("resources", ())),
                names=tuple(each.get("resourceNames", ())),
                paths=tuple(each.get("nonResourceURLs", ())),
            )
            for each in role["rules"]
        ]
    return bound


def each_right(of: Iterable[Rule]) -> set[tuple[str, str, str, str, str]]:
    """(namespace, verb, resource, name or path), one for each that the rules hold."""
    return {
        (rule.namespace, verb, group, resource, name)
        for rule in of
        for verb in rule.verbs
        for group in rule.groups or ("",)
        for resource in rule.resources or rule.paths
        for name in rule.names or ("",)
    }


def used(of: Iterable[Rule], requests: Iterable[Asked]) -> set[tuple[str, str, str, str, str]]:
    """The rights among `of` that one of the requests needs."""
    return {
        right
        for right in each_right(of)
        for each in requests
        if right == _needed(each, right)
    }  # fmt: skip


def _needed(each: Asked, right: tuple[str, str, str, str, str]) -> tuple[str, str, str, str, str]:
    named = each.name if right[4] else ""
    return (each.namespace, each.verb, each.group, each.resource or each.path, named)


def reading(folder: Path, of: Site) -> list[Asked]:
    """Every request of the probes of cluster, release and name service."""
    record = helm_record.secret(helm_record.release())
    name = record["metadata"]["name"]
    space = "/api/v1/namespaces/coder"
    answers: dict[str, Any] = {
        "/version": {"gitVersion": "v1.36.3"},
        "/api/v1/nodes": listed("Node"),
        "/api/v1/namespaces": listed("Namespace"),
        space: {"metadata": {"name": "coder"}},
        f"{space}/secrets": listed("Secret", record),
        f"{space}/secrets/{name}": record,
        **{
            f"{f'/apis/{group}/v1' if group else '/api/v1'}/namespaces/coder/{resource}": listed(
                kind
            )
            for group, resource, kind in WORKLOADS
        },
        "/apis/apps/v1/namespaces/kube-system/deployments": listed(
            "Deployment", {"metadata": {"name": "coredns"}}
        ),
        "/apis/apps/v1/namespaces/kube-system/daemonsets": listed("DaemonSet"),
        "/api/v1/namespaces/kube-system/pods": listed("Pod"),
        "/api/v1/namespaces/kube-system/services": listed("Service"),
    }
    with api_server(folder, answers) as api:
        live = of.model_copy(update={"cluster": Cluster(kubeconfig=str(api.kubeconfig))})
        assert not probe_cluster(live, base=folder, timeout_s=10).facts.denied
        probe_release(live, base=folder, timeout_s=10)
        probe_dns(live, base=folder, timeout_s=10)
        # The same release where Helm keeps its records in config maps.
        api.answers[f"{space}/secrets"] = listed("Secret")
        api.answers[f"{space}/configmaps"] = listed("ConfigMap", record)
        api.answers[f"{space}/configmaps/{name}"] = {"data": {"release": ""}}
        probe_release(live, base=folder, timeout_s=10)
        return [asked(method, path) for method, path, _ in api.requests]


class ClusterPlaces(Places):
    kubeconfig: Path

    def machine(self, subject: SubjectId, locks: FolderLocks | None = None) -> Machine:
        del locks
        assert subject == CLUSTER
        cluster = Cluster(kubeconfig=str(self.kubeconfig))
        return ClusterMachine(cluster, base=self.home, namespace="coder", wait_s=2)


MAPS = [name for name in DNS_MAPS if not name.startswith("rke2-")]
KINDS = {
    "Deployment": ("apps", "deployments"),
    "StatefulSet": ("apps", "statefulsets"),
    "DaemonSet": ("apps", "daemonsets"),
    "CronJob": ("batch", "cronjobs"),
}


def repairing(folder: Path) -> list[Asked]:
    """Every request of a repair of all kinds of objects, of its undo, and of a taken over lock."""
    with object_api(folder) as api:
        here = ClusterPlaces(folder)
        here.kubeconfig = api.kubeconfig
        changes = [_patch(api, "v1", "secrets", "Secret", "coder", CERT)]
        changes += [_patch(api, "v1", "configmaps", "ConfigMap", "kube-system", n) for n in MAPS]
        for kind, (group, plural) in KINDS.items():
            changes.append(_patch(api, f"{group}/v1", plural, kind, "coder", "coderd"))
        for group, plural, kind in NAME_SERVERS:
            changes.append(_patch(api, f"{group}/v1", plural, kind, "kube-system", "coredns"))
        api.put(
            "/apis/coordination.k8s.io/v1/namespaces/coder/leases/gapcheck",
            {"metadata": {"name": "gapcheck", "namespace": "coder"}, "spec": {}},
        )
        results = here.apply(plan_of(*changes))
        assert {each.state for each in results} == {"applied"}, results
        assert {each.state for each in here.undo()} == {"undone"}
        del api.objects[f"/api/v1/namespaces/coder/secrets/{CERT}"]
        here.apply(plan_of(_created()), run="run-2")
        assert {each.state for each in here.undo("run-2", by="run-8")} == {"undone"}
        return [asked(method, path) for method, path in api.requests]


def _patch(
    api: Any, version: str, plural: str, kind: str, namespace: str, name: str
) -> PatchObject:
    root = "/api/v1" if version == "v1" else f"/apis/{version}"
    spec = {"spec": {"replicas": 0}} if kind in KINDS else {"data": {"a": "eA=="}}
    metadata = {"name": name, "namespace": namespace}
    body = {"apiVersion": version, "kind": kind, "metadata": metadata, **spec}
    found = api.put(f"{root}/namespaces/{namespace}/{plural}/{name}", body)
    return PatchObject(
        target=CLUSTER,
        api_version=version,
        kind=kind,
        namespace=namespace,
        name=name,
        uid=found["metadata"]["uid"],
        resource_version=found["metadata"]["resourceVersion"],
        patch={"metadata": {"annotations": {"a": "b"}}}
        if kind in KINDS
        else {"data": {"b": "eA=="}},
        rolls_out=kind in KINDS and kind != "CronJob",
    )


def _created() -> PatchObject:
    return PatchObject(
        target=CLUSTER,
        api_version="v1",
        kind="Secret",
        namespace="coder",
        name=CERT,
        uid="",
        resource_version="",
        creates=True,
        patch={"metadata": {"name": CERT, "namespace": "coder"}, "data": {"ca": "eA=="}},
    )


def refused(of: Iterable[Rule], requests: Iterable[Asked]) -> list[Asked]:
    return [each for each in requests if not any(rule.allows(each) for rule in of)]


def test_check_may_do_all_that_the_probes_ask_and_nothing_else(tmp_path: Path) -> None:
    granted = rules(rbac(site(), purpose="check"))
    requests = reading(tmp_path, site())
    assert refused(granted, requests) == []
    assert each_right(granted) - used(granted, requests) == set()


def test_every_right_that_is_asked_for_beforehand_is_granted() -> None:
    granted = rules(rbac(site(), purpose="check"))
    rights = [
        Asked(each.verb, each.group, each.resource, each.namespace, each.name)
        for each in (*RIGHTS_OF_CLUSTER, *rights_of_release(site()))
    ]
    assert refused(granted, rights) == []


def test_fix_may_repair_and_undo_and_nothing_else(tmp_path: Path) -> None:
    granted = rules(rbac(site(), purpose="fix"))
    (tmp_path / "read").mkdir()
    requests = [*reading(tmp_path / "read", site()), *repairing(tmp_path)]
    assert refused(granted, requests) == []
    assert each_right(granted) - used(granted, requests) == set()


def test_check_may_change_nothing(tmp_path: Path) -> None:
    granted = rules(rbac(site(), purpose="check"))
    changing = [
        each
        for each in repairing(tmp_path)
        if each.verb not in ("get", "list") and each.resource != "selfsubjectaccessreviews"
    ]
    assert refused(granted, changing) == changing


def test_no_rule_holds_a_wildcard_or_lists_secrets_elsewhere_than_the_release_does() -> None:
    for purpose in ("check", "fix"):
        granted = rules(rbac(site(), purpose=purpose))
        assert "*" not in {part for right in each_right(granted) for part in right}
        listed_in = {rule.namespace for rule in granted
                     if "secrets" in rule.resources and "list" in rule.verbs}  # fmt: skip
        assert listed_in == {"coder"}


def test_right_to_read_backups_beside_coredns_is_a_role_of_its_own() -> None:
    text = rbac(site(), purpose="fix")
    undo = [each for each in documents(text) if each["metadata"]["name"] == "gapcheck-undo"]
    assert [(each["kind"], each["metadata"]["namespace"]) for each in undo] == [
        ("Role", "kube-system"),
        ("RoleBinding", "kube-system"),
    ]
    rest = [each for each in rules(_without_undo(text)) if each.namespace == "kube-system"]
    assert {verb for each in rest if "secrets" in each.resources for verb in each.verbs} == {
        "create"
    }


def _without_undo(text: str) -> str:
    """The documents without the role that may be left out."""
    return "---\n".join(part for part in text.split("---\n") if "gapcheck-undo" not in part)


def test_what_helm_writes_is_a_role_of_its_own_where_the_site_names_a_chart() -> None:
    known: dict[str, Any] = site().model_dump(by_alias=True)
    known["release"]["chart"] = "chart"
    text = rbac(site(release=known["release"]), purpose="fix")
    roles = [each for each in documents(text) if each["metadata"]["name"] == "gapcheck-upgrade"]
    assert [(each["kind"], each["metadata"]["namespace"]) for each in roles] == [
        ("Role", "coder"),
        ("RoleBinding", "coder"),
    ]
    without = "---\n".join(part for part in text.split("---\n") if "gapcheck-upgrade" not in part)
    assert each_right(rules(without)) == each_right(rules(rbac(site(), purpose="fix")))


def test_secrets_that_were_measured_may_be_patched_too() -> None:
    granted = rules(rbac(site(), purpose="fix", secrets=(CERT, "old-cert")))
    assert refused(granted, [Asked("patch", "", "secrets", "coder", "old-cert")]) == []
    assert refused(granted, [Asked("patch", "", "secrets", "coder", "db-password")]) != []


def test_account_lives_where_it_is_asked_for() -> None:
    (account,) = [
        each
        for each in documents(rbac(site(), purpose="check", namespace="ops"))
        if each["kind"] == "ServiceAccount"
    ]
    assert account["metadata"] == {"name": "gapcheck", "namespace": "ops"}


def test_site_without_release_gets_no_right_on_any_secret() -> None:
    granted = rules(rbac(site(release=None), purpose="check"))
    assert not any("secrets" in rule.resources for rule in granted)


@pytest.mark.parametrize("cluster", [None, {"manifests": "manifests"}])
def test_site_without_live_cluster_needs_no_rights(cluster: Any) -> None:
    with pytest.raises(UsageError, match="no rights are needed"):
        rbac(site(cluster=cluster), purpose="check")


def test_kubectl_reads_every_document(tmp_path: Path) -> None:
    from support.needs import program

    path = tmp_path / "rbac.yaml"
    path.write_text(rbac(site(), purpose="fix"))
    command = [program("kubectl"), "label", "--local", "-f", path, "a=b", "-o", "name"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.split()) == len(documents(path.read_text()))
