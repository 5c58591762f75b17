"""The exported objects in a real API server, and the run that its account does.

The pod itself needs a node; here its command runs in a process of this machine, with the config
map's own files, the account's own token and the rights that the objects grant.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML
from support import policy_crds
from support.certs import authority
from support.command import Ended, gapcheck

from lab.control_plane import ControlPlane, control_plane

pytestmark = pytest.mark.lab

COREFILE = ".:53 {\n    errors\n    forward . 10.9.9.9\n}\n"
DEPLOYMENT = {
    "apiVersion": "apps/v1",
    "kind": "Deployment",
    "metadata": {"name": "coderd", "namespace": "shop", "labels": {"app": "coderd"}},
    "spec": {
        "selector": {"matchLabels": {"app": "coderd"}},
        "template": {
            "metadata": {"labels": {"app": "coderd"}},
            "spec": {"containers": [{"name": "c", "image": "127.0.0.1:1/coder:1"}]},
        },
    },
}


@pytest.fixture(scope="module")
def control(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    """A cluster with the PolicyReport definitions, CoreDNS's config map and the release's space."""
    with control_plane(tmp_path_factory.mktemp("control")) as made:
        for path in policy_crds.files():
            made.kubectl("apply", "--server-side", "-f", str(path))
        made.kubectl("wait", "--for=condition=Established", "crd", "--all", "--timeout=30s")
        made.kubectl("create", "namespace", "shop")
        made.kubectl("apply", "-f", "-", given=json.dumps(DEPLOYMENT))
        write_corefile(made, COREFILE)
        yield made


def write_corefile(control: ControlPlane, text: str) -> None:
    place = {"name": "coredns", "namespace": "kube-system"}
    body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": place, "data": {"Corefile": text}}
    control.kubectl("apply", "-f", "-", given=json.dumps(body))


@pytest.fixture(scope="module")
def exported(control: ControlPlane) -> str:
    folder = control.folder
    (folder / "site-ca.crt").write_bytes(authority().pem)
    (folder / "site.yaml").write_text(
        "version: 1\nname: plant-7\n"
        "registry: {host: 127.0.0.1, port: 1, ca_file: site-ca.crt}\n"
        "cluster: {kubeconfig: admin}\nrelease: {name: coder, namespace: shop}\n"
    )
    found = gapcheck(folder, "export", "cronjob", "--image", "registry.local/gapcheck:1")
    assert found.code == 0, found.err
    return found.out


@pytest.fixture(scope="module")
def installed(control: ControlPlane, exported: str) -> str:
    control.kubectl("apply", "-f", "-", given=exported)
    return exported


class Pod:
    """The pod's files, its token and its volume, in a folder of this machine."""

    def __init__(self, control: ControlPlane, text: str, folder: Path) -> None:
        self.folder = folder
        by_kind = {each["kind"]: each for each in YAML(typ="safe").load_all(text)}
        job = by_kind["CronJob"]["spec"]["jobTemplate"]["spec"]
        self.command = job["template"]["spec"]["containers"][0]["command"]
        token = control.kubectl("create", "token", "gapcheck", "-n", "gapcheck").strip()
        (folder / "token").write_text(token)
        for name, content in by_kind["ConfigMap"]["data"].items():
            (folder / name).write_text(self._outside(content, control))

    def _outside(self, content: str, control: ControlPlane) -> str:
        mount = "/var/run/secrets/kubernetes.io/serviceaccount"
        return (
            content.replace("https://kubernetes.default.svc", control.url)
            .replace(f"{mount}/ca.crt", str(control.folder / "ca.crt"))
            .replace(f"{mount}/token", str(self.folder / "token"))
        )

    def run(self) -> Ended:
        words = [
            each.replace("/etc/gapcheck/site", str(self.folder)).replace(
                "/var/lib/gapcheck", str(self.folder)
            )
            for each in self.command[1:]
        ]
        return gapcheck(self.folder, *words, GAPCHECK_STATE=str(self.folder / "state"))


def test_the_server_takes_every_object_and_drops_nothing(
    control: ControlPlane, exported: str
) -> None:
    control.kubectl("create", "namespace", "gapcheck")  # dry runs keep none
    said = control.kubectl("apply", "--dry-run=server", "--validate=strict", "-f", "-",
                           given=exported)  # fmt: skip
    assert said.count("(server dry run)") == len([*YAML(typ="safe").load_all(exported)])


def test_a_pod_of_the_job_is_admitted_as_restricted(control: ControlPlane, installed: str) -> None:
    by_kind = {each["kind"]: each for each in YAML(typ="safe").load_all(installed)}
    spec = by_kind["CronJob"]["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    body = {"apiVersion": "v1", "kind": "Pod",
            "metadata": {"name": "p", "namespace": "gapcheck"}, "spec": spec}  # fmt: skip
    said = control.kubectl("create", "--dry-run=server", "-f", "-", given=json.dumps(body))
    assert "created" in said
    spec["containers"][0]["securityContext"].pop("capabilities")
    refused = control.kubectl("create", "--dry-run=server", "-f", "-", given=json.dumps(body),
                              check=False)  # fmt: skip
    assert "violates PodSecurity" in refused  # the namespace does refuse


def test_the_first_run_begins_and_the_second_names_the_drift_and_its_cause(
    control: ControlPlane, installed: str, tmp_path: Path
) -> None:
    pod = Pod(control, installed, tmp_path)
    first = pod.run()
    assert first.code in (1, 6), first.err
    assert "nothing to compare with" in first.out
    assert "forbidden" not in first.out + first.err
    write_corefile(
        control, COREFILE.replace("forward . 10.9.9.9", "hosts {\n    10.9.9.9 x\n    }")
    )
    second = pod.run()
    assert second.code in (1, 6), second.err
    facts = json.loads((tmp_path / "report.json").read_text())["drift"]["facts"]
    assert any("coredns" in each["fact"].lower() for each in facts), facts
    write_corefile(control, COREFILE)


def test_the_run_leaves_its_verdicts_in_the_cluster(
    control: ControlPlane, installed: str, tmp_path: Path
) -> None:
    Pod(control, installed, tmp_path).run()
    words = ("get", "clusterpolicyreports,policyreports", "-A", "-o", "json")
    items: list[Any] = json.loads(control.kubectl(*words))["items"]
    assert {each["kind"] for each in items} == {"ClusterPolicyReport", "PolicyReport"}
    written = json.loads((tmp_path / "report.json").read_text())["verdicts"]
    assert sum(len(each["results"]) for each in items) == len(written)


def test_the_account_may_do_no_more(control: ControlPlane, installed: str) -> None:
    assert installed
    account = "--as=system:serviceaccount:gapcheck:gapcheck"
    for words in (
        ("delete", "deployments.apps", "-n", "shop"),
        ("get", "secrets", "-n", "kube-system"),
        ("get", "secrets", "-n", "gapcheck"),
        ("patch", "configmaps", "-n", "kube-system"),
        ("create", "pods", "-n", "gapcheck"),
        ("patch", "policyreports.wgpolicyk8s.io", "-n", "default"),
    ):
        said = control.kubectl("auth", "can-i", *words, account, check=False)
        assert said.splitlines()[-1] == "no", words
    allowed = ("patch", "policyreports.wgpolicyk8s.io", "-n", "shop")
    assert control.kubectl("auth", "can-i", *allowed, account).strip() == "yes"
