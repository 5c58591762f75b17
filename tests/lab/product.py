"""What runs in the cluster: CoreDNS, and the guide's product as its chart installs it."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

from lab.control import Control
from lab.images import VERSION
from lab.kubelet import CLUSTER_DNS
from lab.machines import until
from lab.network import ADDRESSES
from lab.programs import go_programs
from lab.registries import HOST

CHART = Path(__file__).parent / "chart"
NAMESPACE = "coder"
SECRET, KEY = "local-registry-cert", "registry.crt"
_READY_S = 180.0
COREFILE = f""".:53 {{
    errors
    health
    ready
    kubernetes cluster.local in-addr.arpa ip6.arpa {{
        pods insecure
        fallthrough in-addr.arpa ip6.arpa
    }}
    hosts {{
        {ADDRESSES["registry"]} {HOST}
        fallthrough
    }}
    cache 30
    reload
}}
"""
_DNS_IMAGE = f"{HOST}/coredns:1.14.7"
# The guide's two files: the values it sets by name, and registry-cert-values.yml.
_VALUES = {
    "coderd": {"image": f"{HOST}/coderenvs/coder-service:{VERSION}"},
    "envbox": {"image": f"{HOST}/coderenvs/envbox:{VERSION}"},
    "postgres": {"default": {"image": f"{HOST}/coderenvs/timescale:{VERSION}"}},
}
_CERT_VALUES = {"certs": {"secret": {"name": SECRET, "key": KEY}}}


def install_dns(control: Control) -> None:
    """Run CoreDNS as a Deployment from the site's own registry, behind the kube-dns Service."""
    control.apply(*_dns_objects())


def write_corefile(control: Control, text: str) -> None:
    """Replace the Corefile and have CoreDNS start with it: its own reload takes a minute."""
    control.kubectl("replace", "-f", "-", given=json.dumps(_corefile(text)))
    control.kubectl("delete", "pods", "-n", "kube-system", "-l", "k8s-app=kube-dns", "--now")


def install_product(control: Control, folder: Path, ca: bytes) -> None:
    """Install the product by helm, with its namespace and secret; values files go to `folder`."""
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}}
    secret = {
        "apiVersion": "v1", "kind": "Secret", "type": "Opaque",
        "metadata": {"name": SECRET, "namespace": NAMESPACE}, "stringData": {KEY: ca.decode()},
    }  # fmt: skip
    control.apply(namespace, secret)
    for name, values in (("values.yaml", _VALUES), ("registry-cert-values.yml", _CERT_VALUES)):
        (folder / name).write_text(json.dumps(values, indent=2))
    helm(control, folder, "upgrade", "--install", "coder", str(CHART),
         "-f", "values.yaml", "-f", "registry-cert-values.yml")  # fmt: skip


def remove_product(control: Control) -> None:
    """Take away all that the product's namespace holds, the release's own record too."""
    kinds = "deployments,statefulsets,services,secrets"
    control.kubectl("delete", kinds, "--all", "-n", NAMESPACE)
    control.kubectl("delete", "secret", SECRET, "-n", "default", "--ignore-not-found")


def heal_dns(control: Control) -> None:
    """Have CoreDNS be as it was installed."""
    said = control.kubectl("get", "configmap/coredns", "-n", "kube-system", "-o", "json")
    if json.loads(said)["data"] != {"Corefile": COREFILE}:
        write_corefile(control, COREFILE)
    said = control.kubectl("get", "deployment/coredns", "-n", "kube-system", "-o", "json")
    template = json.loads(said)["spec"]["template"]
    image = template["spec"]["containers"][0]["image"]
    if template["metadata"].get("annotations") or image != _DNS_IMAGE:
        control.kubectl("delete", "deployment/coredns", "-n", "kube-system")
        install_dns(control)


def helm(control: Control, folder: Path, *words: str) -> str:
    """Run helm in the product's namespace; what it printed."""
    argv = [str(go_programs("helm") / "helm"), *words, "--namespace", NAMESPACE]
    done = subprocess.run(
        [*argv, "--kubeconfig", str(control.kubeconfig)],
        cwd=folder, capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    if done.returncode:
        message = f"helm {' '.join(words)} ended with {done.returncode}: {done.stderr}"
        raise RuntimeError(message)
    return done.stdout


def wait_ready(control: Control) -> None:
    """Wait until every workload of the lab is as it should be."""
    for namespace, workload in (
        ("kube-system", "deployment/coredns"),
        (NAMESPACE, "deployment/coderd"),
        (NAMESPACE, "statefulset/timescale"),
    ):
        until(
            f"{workload} in {namespace}",
            lambda at=(namespace, workload): _is_ready(control, *at),
            _READY_S,
        )


def _is_ready(control: Control, namespace: str, workload: str) -> bool:
    said = control.asks("get", "-n", namespace, workload, "-o", "json")
    if not said:
        return False
    found = json.loads(said)
    status = found["status"]
    is_seen = status.get("observedGeneration") == found["metadata"]["generation"]
    wanted = found["spec"]["replicas"]
    counts = (status.get("readyReplicas", 0), status.get("updatedReplicas", 0))
    return is_seen and counts == (wanted, wanted) and status.get("replicas") == wanted


def _named(kind: str, api: str = "v1", name: str = "coredns", **rest: object) -> dict[str, object]:
    metadata = {"name": name, "namespace": "kube-system", "labels": {"k8s-app": "kube-dns"}}
    return {"apiVersion": api, "kind": kind, "metadata": metadata, **rest}


def _corefile(text: str) -> dict[str, object]:
    return _named("ConfigMap", data={"Corefile": text})


def _dns_objects() -> tuple[dict[str, object], ...]:
    rbac = "rbac.authorization.k8s.io"
    reads = ["list", "watch"]
    rules = [
        {"apiGroups": [""], "resources": ["services", "pods", "namespaces"], "verbs": reads},
        {"apiGroups": ["discovery.k8s.io"], "resources": ["endpointslices"], "verbs": reads},
    ]
    role = {"apiGroup": rbac, "kind": "ClusterRole", "name": "coredns"}
    account = {"kind": "ServiceAccount", "name": "coredns", "namespace": "kube-system"}
    return (
        _named("ServiceAccount"),
        _named("ClusterRole", f"{rbac}/v1", rules=rules),
        _named("ClusterRoleBinding", f"{rbac}/v1", roleRef=role, subjects=[account]),
        _corefile(COREFILE),
        _named("Deployment", "apps/v1", spec=_dns_deployment()),
        _named("Service", name="kube-dns", spec={
            "clusterIP": CLUSTER_DNS, "selector": {"k8s-app": "kube-dns"},
            "ports": [
                {"name": "dns", "port": 53, "protocol": "UDP"},
                {"name": "dns-tcp", "port": 53, "protocol": "TCP"},
            ],
        }),
    )  # fmt: skip


def _dns_deployment() -> dict[str, object]:
    container = {
        "name": "coredns", "image": _DNS_IMAGE,
        "args": ["-conf", "/etc/coredns/Corefile"],
        "imagePullPolicy": "IfNotPresent",
        "volumeMounts": [{"name": "config", "mountPath": "/etc/coredns", "readOnly": True}],
        "readinessProbe": {"httpGet": {"path": "/ready", "port": 8181}, "periodSeconds": 2},
    }  # fmt: skip
    pod = {
        "serviceAccountName": "coredns", "dnsPolicy": "Default", "containers": [container],
        "terminationGracePeriodSeconds": 5,
        "volumes": [{"name": "config", "configMap": {"name": "coredns"}}],
    }  # fmt: skip
    labels = {"k8s-app": "kube-dns"}
    template = {"metadata": {"labels": labels}, "spec": pod}
    return {"replicas": 1, "selector": {"matchLabels": labels}, "template": template}
