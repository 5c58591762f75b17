"""The installation guide, followed to the letter on fresh nodes, with one spelling of its variable.

Its three spellings of the registry's variable leave every place empty, so the first is used
throughout. What it prompts for is given, and what it leaves to the reader is what a reader does:
the certificate is copied to the node, and helm neither waits nor takes everything back, which
would leave nothing to look at.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from lab import product
from lab.images import VERSION
from lab.kubelet import CONTAINERD
from lab.network import ADDRESSES
from lab.registries import HOST

if TYPE_CHECKING:
    from lab.cluster import Cluster
    from lab.machines import Machine

_REGISTRY = f"""set -e
docker rm -f registry > /dev/null
rm -f /certs/*
export REGISTRY_DOMAINNAME={HOST}
openssl req -newkey rsa:4096 -nodes -sha256 -keyout /certs/registry.key \\
    -x509 -days 365 -out /certs/registry.crt -subj /CN={HOST} 2>/dev/null
docker run -d -p 443:5000 \\
    -e REGISTRY_HTTP_TLS_CERTIFICATE=/certs/registry.crt \\
    -e REGISTRY_HTTP_TLS_KEY=/certs/registry.key \\
    -v /certs:/certs \\
    -v /var/lib/docker/registry:/var/lib/registry \\
    registry:2 > /dev/null
docker ps --format '{{{{.Names}}}}'
"""
_NODE = f"""export REGISTRY_DOMAIN_NAME={HOST}
update-ca-certificates
cat <<EOT >> /etc/containerd/config.toml
[plugins."io.containerd.grpc.v1.cri".registry.configs."$REGISTRY_DOMAIN_NAME".tls]
  insecure_skip_verify = true
EOT
systemctl restart containerd
echo "{ADDRESSES["registry"]} $REGISTRY_DOMAIN_NAME" >> /etc/hosts
"""
_CERT_VALUES = 'certs:\n  secret:\n    name: "local-registry-cert"\n    key: "registry.crt"\n'


def fresh(cluster: Cluster) -> None:
    """Take away what the healthy lab has and a new site has not: trust, names, the product."""
    product.remove_product(cluster.control)
    hosts = product.COREFILE.index("    hosts"), product.COREFILE.index("    cache")
    product.write_corefile(
        cluster.control, product.COREFILE[: hosts[0]] + product.COREFILE[hosts[1] :]
    )
    for node in cluster.nodes.values():
        unprepared(node)


def unprepared(node: Machine) -> None:
    """Make the node one that nobody has prepared for the registry."""
    plain = CONTAINERD[node.name].rsplit("[plugins.", 1)[0]
    node.run(
        f"cat > /etc/containerd/config.toml <<'EOT'\n{plain}EOT\n"
        "rm -rf /etc/containerd/certs.d\n"
        f"sed -i '/{HOST}/d' /etc/hosts\n"
        "systemctl restart containerd\n"
    )


def follow(cluster: Cluster) -> None:
    """Each step of the guide, and the site file of someone who did all of it."""
    container = cluster.registry.machine.run(_REGISTRY).stdout.strip()
    folder = cluster.site_file.parent
    certs = folder / "certs"
    certs.mkdir()
    for name in ("registry.crt", "registry.key"):
        (certs / name).write_text(cluster.registry.machine.run(f"cat /certs/{name}").stdout)
    for node in cluster.nodes.values():
        _prepare(node, (certs / "registry.crt").read_text())
    kubectl = cluster.control.kubectl
    kubectl("create", "secret", "generic", product.SECRET, "-n", product.NAMESPACE,
            f"--from-file={certs}")  # fmt: skip
    (folder / "registry-cert-values.yml").write_text(_CERT_VALUES)
    images = {
        "coderd": "coder-service", "envbox": "envbox", "timescale": "timescale",
    }  # fmt: skip
    sets = [
        word
        for key, name in images.items()
        for word in ("--set", f"{key}.image={HOST}/coderenvs/{name}:{VERSION}")
    ]
    product.helm(cluster.control, folder, "install", "coder", str(product.CHART), *sets,
                 "-f", "registry-cert-values.yml")  # fmt: skip
    _write_site(cluster, container)


def _prepare(node: Machine, certificate: str) -> None:
    anchor = "/usr/local/share/ca-certificates/registry.crt"
    node.run(f"cat > {anchor} <<'EOT'\n{certificate}EOT\n{_NODE}", check=False)


def _write_site(cluster: Cluster, container: str) -> None:
    site = json.loads(cluster.site_file.read_text())
    site["registry"] |= {
        "ca_file": "certs/registry.crt", "container": container, "reload": "container",
        "issuer": {"certificate": "new-ca/ca.crt", "key": "new-ca/ca.key"},
    }  # fmt: skip
    # What was given with --set is in no file; the next upgrade would lose it.
    site["release"]["values"] = ["registry-cert-values.yml"]
    cluster.site_file.write_text(json.dumps(site, indent=2) + "\n")
