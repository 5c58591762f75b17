"""The exported CronJob: what the pod judges, what it may do, and that no secret is in it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML
from support.certs import authority, issue
from support.command import Ended, gapcheck

from gapcheck.site import Site
from gapcheck.site_file import load_site

SITE = """\
version: 1
name: plant 7
registry:
  host: registry.local:5000
  address: 10.0.0.2
  ca_file: pki/ca.crt
  target: ssh://root@10.0.0.2
  certificate: /certs/registry.crt
  key: /certs/registry.key
  storage: /srv/registry
  issuer: {certificate: issuer/ca.crt, key: issuer/ca.key}
  auth: {username: bob, password_file: registry.password}
  images: [registry.local:5000/a:1]
nodes:
  - ssh://root@n1
  - local
  - target: ssh://n2?ssh_identity_file=~/.ssh/n2
  - {target: "docker://kind", name: kind}
cluster: {kubeconfig: ~/.kube/config, context: prod}
release: {name: shop, namespace: shop, values: [values.yaml], secret: {name: corp-ca}}
services: [git.local]
policy: {probe_timeout_s: 4s, min_days_left: 14}
waivers:
  - {check: NODE-CLOCK-001, subject: "node/*", reason: "ntp: later", until: 2027-01-01}
"""
SEEDED = "s3cret-of-the-registry"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "pki").mkdir()
    ca = authority()
    # A key that somebody left in the CA file must not travel with it.
    (tmp_path / "pki/ca.crt").write_bytes(ca.pem + ca.key_pem)
    (tmp_path / "registry.password").write_text(f"{SEEDED}\n")
    (tmp_path / "values.yaml").write_text("oidc: {clientSecret: s3cret-values}\n")
    (tmp_path / "site.yaml").write_text(SITE)
    return tmp_path


def export(folder: Path, *words: str) -> Ended:
    return gapcheck(folder, "export", "cronjob", "--image", "registry.local:5000/g:1", *words)


def objects(text: str) -> dict[str, Any]:
    return {each["kind"]: each for each in YAML(typ="safe").load_all(text)}


def pod(text: str) -> Any:
    return objects(text)["CronJob"]["spec"]["jobTemplate"]["spec"]["template"]["spec"]


def judged(text: str, folder: Path) -> Site:
    """The site as the pod loads it, out of the config map's own files."""
    inside = folder / "inside"
    inside.mkdir(exist_ok=True)
    for name, content in objects(text)["ConfigMap"]["data"].items():
        (inside / name).write_text(content)
    return load_site(inside / "site.yaml").site


def test_what_a_pod_can_judge_is_judged_as_it_is_here(folder: Path) -> None:
    here = load_site(folder / "site.yaml").site
    found = judged(export(folder).out, folder)
    for key in ("name", "policy", "waivers", "services", "dns", "phase", "version"):
        assert getattr(found, key) == getattr(here, key)
    for key in ("host", "port", "address", "images", "proxy"):
        assert getattr(found.registry, key) == getattr(here.registry, key)
    assert found.release == here.release.model_copy(update={"values": ()})  # type: ignore[union-attr]  # the site has one


def test_what_a_pod_cannot_judge_is_left_out_and_said(folder: Path) -> None:
    found = export(folder)
    site = judged(found.out, folder)
    assert site.nodes == ()
    assert (site.registry.target, site.registry.key, site.registry.issuer) == (None, None, None)
    for line in (
        "left: node/n1: a pod has no ssh key; give it one with --ssh-secret",
        "left: node/local: a pod has no way to local://",
        "left: node/kind: a pod has no way to docker://",
        "left: files and container of the registry are not judged: a pod has no ssh key",
        "left: release.values are files of this machine",
    ):
        assert line in found.err
    assert found.code == 1


def test_nodes_are_judged_over_ssh_with_the_keys_of_a_secret(folder: Path) -> None:
    found = export(folder, "--ssh-secret", "keys")
    site = judged(found.out, folder)
    config = "ssh_config=/etc/gapcheck/ssh/config"
    assert [node.target for node in site.node_list] == [f"ssh://root@n1?{config}"]
    assert site.registry.target == f"ssh://root@10.0.0.2?{config}"
    assert site.registry.storage == "/srv/registry"
    assert "left: node/n2: its hostspec names files of this machine" in found.err
    (volume,) = [each for each in pod(found.out)["volumes"] if each["name"] == "ssh"]
    assert volume["secret"] == {"secretName": "keys", "defaultMode": 0o440}
    (mount,) = [e for e in pod(found.out)["containers"][0]["volumeMounts"] if e["name"] == "ssh"]
    assert mount == {"name": "ssh", "mountPath": "/etc/gapcheck/ssh", "readOnly": True}


def test_nodes_of_the_cluster_keep_their_pattern(folder: Path) -> None:
    nodes = "nodes: {from: cluster, target: 'ssh://root@{address}'}\n"
    head, _, tail = SITE.partition("nodes:\n")
    (folder / "site.yaml").write_text(f"{head}{nodes}{tail[tail.index('cluster:') :]}")
    site = judged(export(folder, "--ssh-secret", "keys").out, folder)
    assert site.nodes.target == "ssh://root@{address}?ssh_config=/etc/gapcheck/ssh/config"  # type: ignore[union-attr]  # it is a table
    without = export(folder)
    assert judged(without.out, folder).nodes == ()
    assert "left: nodes are not judged: a pod has no ssh key" in without.err


def test_nodes_of_an_inventory_are_named_in_the_site(folder: Path) -> None:
    (folder / "hosts.ini").write_text(
        "[workers]\nw1 ansible_host=10.0.0.8 ansible_password=s3cret-a\n"
    )
    nodes = "nodes: {from: inventory, inventory: hosts.ini, selector: workers}\n"
    head, _, tail = SITE.partition("nodes:\n")
    (folder / "site.yaml").write_text(f"{head}{nodes}{tail[tail.index('cluster:') :]}")
    found = export(folder, "--ssh-secret", "keys")
    (node,) = judged(found.out, folder).node_list
    assert node.name == "w1"
    assert "10.0.0.8" in node.target
    assert "s3cret" not in found.out + found.err


def test_nothing_secret_is_printed_and_what_is_needed_is_named(folder: Path) -> None:
    found = export(folder, "--ssh-secret", "keys")
    said = found.out + found.err
    assert "PRIVATE KEY" not in said
    assert "s3cret" not in said
    key = (folder / "pki/ca.crt").read_text().split("PRIVATE KEY-----\n")[1].splitlines()[0]
    assert key not in said
    assert "create secret generic gapcheck-registry --from-file=username=FILE" in found.err
    environment = {each["name"]: each for each in pod(found.out)["containers"][0]["env"]}
    reference = environment["GAPCHECK_REGISTRY_PASSWORD"]["valueFrom"]["secretKeyRef"]
    assert reference == {"name": "gapcheck-registry", "key": "password"}
    auth = judged(found.out, folder).registry.auth
    assert auth is not None
    assert str(auth.password_env) in environment


def test_certificates_of_the_ca_file_travel_whole(folder: Path) -> None:
    ca, other = authority(), authority("Other")
    leaf = issue(common_name="x", by=ca)
    (folder / "pki/ca.crt").write_bytes(b"text\n" + ca.pem + leaf.pem + other.pem)
    text = objects(export(folder).out)["ConfigMap"]["data"]["ca.crt"]
    assert text.encode() == ca.pem + leaf.pem + other.pem


def test_the_job_runs_one_at_a_time_and_names_its_exit_code(folder: Path) -> None:
    spec = objects(export(folder, "--schedule", "5 4 * * 1").out)["CronJob"]["spec"]
    assert (spec["schedule"], spec["concurrencyPolicy"]) == ("5 4 * * 1", "Forbid")
    job = spec["jobTemplate"]["spec"]
    assert job["backoffLimit"] == 0
    (rule,) = job["podFailurePolicy"]["rules"]
    assert rule["onExitCodes"] == {"containerName": "gapcheck", "operator": "NotIn", "values": [0]}


def test_the_pod_may_do_nothing_but_write_its_volume(folder: Path) -> None:
    spec = pod(export(folder).out)
    assert spec["securityContext"]["runAsNonRoot"] is True
    (container,) = spec["containers"]
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    environment = {each["name"]: each.get("value") for each in container["env"]}
    writable = {m["mountPath"] for m in container["volumeMounts"] if not m.get("readOnly")}
    assert writable == {"/var/lib/gapcheck", environment["HOME"]}
    assert environment["GAPCHECK_STATE"] == "/var/lib/gapcheck/state"
    assert container["command"][:2] == ["gapcheck", "drift"]
    assert "--begin" in container["command"]
    assert container["command"][-1] == "policyreport:cluster"


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (("kubeconfig: ~/.kube/config, context: prod", "manifests: ."), "no live cluster"),
        (("pki/ca.crt", "absent.crt"), "cannot be opened"),
        (("pki/ca.crt", "values.yaml"), "no certificate that Go loads"),
    ],
)
def test_a_site_that_cannot_run_there_is_refused(
    change: tuple[str, str], why: str, folder: Path
) -> None:
    (folder / "site.yaml").write_text(SITE.replace(*change))
    found = export(folder)
    assert (found.code, found.out) == (4, "")
    assert why in found.err


def test_a_site_too_large_for_a_config_map_is_refused(folder: Path) -> None:
    many = ", ".join(f"registry.local:5000/image-{number:050}:1" for number in range(16_000))
    (folder / "site.yaml").write_text(SITE.replace("[registry.local:5000/a:1]", f"[{many}]"))
    found = export(folder)
    assert found.code == 4
    assert "a config map holds" in found.err
