"""The guide's site with a secret in every place where sites keep them, each unlike any other."""

from __future__ import annotations

import base64
import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from support import helm_record
from support.certs import authority, issue
from support.scanner import of_key


@dataclass(frozen=True, slots=True)
class Seeds:
    """The secrets by what they are called, and how a test asks for one of them."""

    parts: dict[str, tuple[bytes, ...]]

    def word(self, name: str) -> str:
        """A password or token of its own."""
        made = f"{secrets.token_hex(4)}-{secrets.token_urlsafe(18)}"
        self.parts[name] = (made.encode(),)
        return made

    def key(self, name: str, pem: bytes) -> str:
        """`pem`, remembered."""
        self.parts[name] = of_key(pem)
        return pem.decode()


def _add(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as file:
        file.write(text)


def _b64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def seed_nodes(folder: Path, netloc: str, seeds: Seeds) -> None:
    """Passwords and keys on both nodes of the guide's site."""
    debian, rhel = folder / "nodes/debian", folder / "nodes/rhel"
    auth = f'[plugins."io.containerd.grpc.v1.cri".registry.configs."{netloc}".auth]\n'
    _add(debian / "etc/containerd/config.toml",
         f'{auth}  username = "pull"\n  password = "{seeds.word("containerd password")}"\n'
         f'  identitytoken = "{seeds.word("containerd token")}"\n')  # fmt: skip
    _add(rhel / "etc/containerd/certs.d" / netloc / "hosts.toml",
         f'[host."https://{netloc}"]\n  client = [["client.pem", ""]]\n'
         f'  [host."https://{netloc}".header]\n'
         f'    Authorization = "Bearer {seeds.word("hosts.toml header")}"\n')  # fmt: skip
    client = issue(common_name="client", by=authority())
    _add(rhel / "etc/containerd/certs.d" / netloc / "client.pem",
         client.pem.decode() + seeds.key("client key of the runtime", client.key_pem))  # fmt: skip
    proxy = f"http://proxy:{seeds.word('proxy password')}@10.0.0.9:3128"
    _add(debian / "etc/systemd/system/containerd.service.d/proxy.conf",
         f'[Service]\nEnvironment="HTTPS_PROXY={proxy}"\n'
         f'Environment="REGISTRY_TOKEN={seeds.word("unit token")}"\n')  # fmt: skip
    _add(debian / "etc/default/docker", f"DOCKER_TOKEN={seeds.word('docker defaults')}\n")
    proxies = {"https-proxy": f"http://u:{seeds.word('proxy of docker')}@p:1"}
    _add(debian / "etc/docker/daemon.json", json.dumps({"proxies": proxies}))
    _add(rhel / "etc/containers/registries.conf",
         f'# password = "{seeds.word("registries.conf comment")}"\n')  # fmt: skip
    for root in (debian, rhel):
        login = _b64(f"pull:{seeds.word(f'docker login of {root.name}')}")
        _add(root / "root/.docker/config.json", json.dumps({"auths": {netloc: {"auth": login}}}))
    # Where a bundle of certificates is expected, a key was appended.
    stray = issue(common_name="stray", by=authority())
    _add(debian / "usr/local/share/ca-certificates/registry.crt",
         seeds.key("key in the trust folder", stray.key_pem))  # fmt: skip
    _add(rhel / "etc/pki/tls/own.pem",
         stray.pem.decode() + seeds.key("key beside the bundles", authority().key_pem))  # fmt: skip


def seed_release(folder: Path, seeds: Seeds) -> None:
    """Secrets in the manifests and the values file."""
    url = f"postgres://u:{seeds.word('values url')}@db/x"
    _add(folder / "values.yaml",
         f"oidc: {{clientSecret: {seeds.word('values client secret')}}}\n"
         f"extraEnv:\n  - {{name: DB, value: '{url}'}}\n")  # fmt: skip
    database = {
        "apiVersion": "v1", "kind": "Secret",
        "metadata": {"name": "database", "namespace": "coder"},
        "data": {"password": _b64(seeds.word("secret data"))},
        "stringData": {"token": seeds.word("secret text")},
    }  # fmt: skip
    login = json.dumps({"auths": {"r": {"password": seeds.word("pull secret")}}})
    pull = {
        "apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/dockerconfigjson",
        "metadata": {"name": "pull", "namespace": "coder"},
        "data": {".dockerconfigjson": _b64(login)},
    }  # fmt: skip
    _add(folder / "manifests/more.yaml", yaml.safe_dump_all([database, pull, _job(seeds)]))
    path = folder / "manifests/coderd.yaml"
    text = path.read_text().replace(
        "          env:\n",
        f"          args: [--token={seeds.word('argument')}]\n          env:\n"
        f"            - {{name: PASSWORD, value: {seeds.word('environment of a pod')}}}\n",
    )
    assert "--token=" in text
    path.write_text(text)


def _job(seeds: Seeds) -> dict[str, Any]:
    container = {"name": "c", "image": "registry.local/x:1",
                 "command": ["sh", "-c", f"login {seeds.word('command of a job')}"]}  # fmt: skip
    return {
        "apiVersion": "batch/v1", "kind": "Job",
        "metadata": {"name": "job", "namespace": "coder",
                     "annotations": {"note": seeds.word("annotation")}},
        "spec": {"template": {"spec": {"containers": [container]}}},
    }  # fmt: skip


def seed_credentials(folder: Path, seeds: Seeds) -> dict[str, str]:
    """Credentials of the registry and ssh, in files and in the environment that it gives."""
    (folder / "registry.password").write_text(seeds.word("password file") + "\n")
    site = folder / "site.yaml"
    auth = "  auth: {username_env: SEED_USER, password_file: registry.password}\n"
    site.write_text(site.read_text().replace("  images_from:", f"{auth}  images_from:"))
    assert "auth:" in site.read_text()
    return {"SEED_USER": seeds.word("user name of the registry"),
            "AWS_SECRET_ACCESS_KEY": seeds.word("stray environment")}  # fmt: skip


def live_answers(seeds: Seeds) -> Mapping[str, Any]:
    """What the API of a live cluster answers, secrets in every object that may hold one."""
    space = "/api/v1/namespaces/coder"
    key = authority()
    release = helm_record.release()
    release["config"]["oidc"]["clientSecret"] = seeds.word("Helm value")
    release["chart"]["values"]["admin"]["password"] = seeds.word("Helm default")
    release["manifest"] = f"---\nkind: Secret\nstringData: {{a: {seeds.word('Helm manifest')}}}\n"
    release["info"]["notes"] = f"log in with {seeds.word('Helm notes')}"
    record = helm_record.secret(release)
    login = json.dumps({"auths": {"r": {"auth": _b64(f"u:{seeds.word('live pull secret')}")}}})
    pod = {"containers": [{"name": "c", "image": "registry.local/x:1",
                           "env": [{"name": "P", "value": seeds.word("live environment")}],
                           "args": [seeds.word("live argument")]}],
           "imagePullSecrets": [{"name": "pull"}]}  # fmt: skip
    applied = {"kubectl.kubernetes.io/last-applied-configuration": seeds.word("last applied")}

    def meta(name: str, space: str = "coder") -> dict[str, Any]:
        return {"metadata": {"name": name, "namespace": space, "uid": f"u-{name}",
                             "resourceVersion": "5", "annotations": applied}}  # fmt: skip

    def listed(kind: str, *items: Any) -> dict[str, Any]:
        return {"kind": f"{kind}List", "apiVersion": "v1", "metadata": {}, "items": [*items]}

    secret = {**meta("local-registry-cert"), "type": "Opaque",
              "data": {"registry.crt": _b64(key.pem.decode()),
                       "registry.key": _b64(seeds.key("live key", key.key_pem))}}  # fmt: skip
    pull = {**meta("pull"), "type": "kubernetes.io/dockerconfigjson",
            "data": {".dockerconfigjson": _b64(login)}}  # fmt: skip
    workloads = {"apps/v1": ("deployments", "statefulsets", "daemonsets"),
                 "batch/v1": ("jobs", "cronjobs")}  # fmt: skip
    answers: dict[str, Any] = {
        "/version": {"gitVersion": "v1.36.3"},
        "/api/v1/nodes": listed("Node"),
        "/api/v1/namespaces": listed("Namespace", meta("coder", "")),
        space: {"kind": "Namespace", **meta("coder", "")},
        f"{space}/secrets": listed("Secret", record, secret, pull),
        f"{space}/secrets/{record['metadata']['name']}": record,
        f"{space}/secrets/local-registry-cert": secret,
        f"{space}/secrets/pull": pull,
        f"{space}/pods": listed("Pod", {**meta("p"), "spec": pod}),
        "/api/v1/namespaces/kube-system/configmaps/coredns": {
            **meta("coredns", "kube-system"), "data": {"Corefile": ".:53 {\n    errors\n}\n"},
        },
    }  # fmt: skip
    for version, plurals in workloads.items():
        for plural in plurals:
            items = [{**meta("coderd"), "spec": {"template": {"spec": pod}}}]
            answers[f"/apis/{version}/namespaces/coder/{plural}"] = listed(
                "X", *(items if plural == "deployments" else [])
            )
    return answers
