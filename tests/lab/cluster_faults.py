"""Faults of the cluster's layers: DNS, secret, release, and the registry's container.

Adding a fault is adding a row. `inject` gets the running lab. `breaks` names the consumers that
then fail, with what they say: `n1` and `n2` are a canary pod there, `coderd` and `timescale` the
product's own pods after their next start. `roots` are the verdicts that no other explains.
`kind` is the registry that the lab was started with, `on` names the machines that are made anew
afterwards. `explained` faults change nothing. `by_helm`: gapcheck leaves the last step,
`helm upgrade`, to a person, and says with which files. `final` is the object and the key that a
repair removes for good: undo does not put a leak back. `options` are what the repair is given.
"""

from __future__ import annotations

import base64
import json
import random
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

from support.certs import authority

from lab import product
from lab.cluster import Cluster
from lab.images import VERSION
from lab.network import ADDRESSES
from lab.pki import yesterday
from lab.product import COREFILE, NAMESPACE, SECRET
from lab.registries import HOST, RUN

_UNKNOWN = "x509: certificate signed by unknown authority"
_HOSTS = COREFILE[COREFILE.index("    hosts") : COREFILE.index("    cache")]


@dataclass(frozen=True, kw_only=True)
class ClusterFault:
    """One row."""

    id: str
    what: str = ""
    kind: str = "v2"
    inject: Callable[[Cluster], None]
    breaks: Mapping[str, str] = field(default_factory=dict)
    roots: frozenset[tuple[str, str]]
    explained: bool = False
    by_helm: bool = False
    on: tuple[str, ...] = ()
    final: tuple[str, str] | None = None
    options: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        return "-".join(filter(None, (self.id, self.what.replace(" ", "_"))))


def _root(check: str, subject: str) -> frozenset[tuple[str, str]]:
    return frozenset({(check, subject)})


def _secret(cluster: Cluster, **data: bytes) -> None:
    """Replace the secret's whole content."""
    encoded = {
        name.replace("_", "."): base64.b64encode(each).decode() for name, each in data.items()
    }
    secret = {
        "apiVersion": "v1", "kind": "Secret", "type": "Opaque", "data": encoded,
        "metadata": {"name": SECRET, "namespace": NAMESPACE},
    }  # fmt: skip
    cluster.control.kubectl("replace", "-f", "-", given=json.dumps(secret))


def _no_secret(cluster: Cluster) -> None:
    cluster.control.kubectl("delete", "secret", SECRET, "-n", NAMESPACE)


def _leaked_key(cluster: Cluster) -> None:
    _secret(cluster, registry_crt=cluster.ca.pem, registry_key=cluster.leaf().key_pem)


def _other_name(cluster: Cluster) -> None:
    _secret(cluster, ca_crt=cluster.ca.pem)


def _old_ca(cluster: Cluster) -> None:
    _secret(cluster, registry_crt=authority("Lab Registry CA", not_before=yesterday()).pem)


def _encoded_twice(cluster: Cluster) -> None:
    _secret(cluster, registry_crt=base64.b64encode(cluster.ca.pem))


def _secrets() -> Iterator[ClusterFault]:
    yield ClusterFault(
        id="S01", inject=_no_secret, roots=_root("SECRET-CA-001", "release"),
        breaks={"coderd": f'secret "{SECRET}" not found'},
    )  # fmt: skip
    yield ClusterFault(
        id="S02", inject=_leaked_key, roots=_root("SECRET-KEY-001", "release"),
        final=(f"Secret/{NAMESPACE}/{SECRET}", "registry.key"),
    )  # fmt: skip
    yield ClusterFault(
        id="S03", inject=_other_name, breaks={"coderd": _UNKNOWN},
        roots=_root("SECRET-CA-002", "release"),
    )  # fmt: skip
    yield ClusterFault(
        id="S04", inject=_old_ca, breaks={"coderd": "x509: "},
        roots=_root("SECRET-CA-003", "release"),
    )  # fmt: skip
    yield ClusterFault(
        id="S06", inject=_elsewhere, roots=_root("SECRET-CA-001", "release"),
        breaks={"coderd": f'secret "{SECRET}" not found'},
    )  # fmt: skip
    yield ClusterFault(
        id="S07", inject=_encoded_twice, breaks={"coderd": _UNKNOWN},
        roots=_root("SECRET-CA-002", "release"),
    )  # fmt: skip


def _elsewhere(cluster: Cluster) -> None:
    _no_secret(cluster)
    words = ("create", "secret", "generic", SECRET, "-n", "default")
    cluster.control.kubectl(*words, f"--from-file=registry.crt={cluster.site_file.parent}/ca.crt")


def _corefile(old: str, new: str) -> Callable[[Cluster], None]:
    def inject(cluster: Cluster) -> None:
        text = COREFILE.replace(old, new)
        assert text != COREFILE
        product.write_corefile(cluster.control, text)

    return inject


def _old_alias(cluster: Cluster) -> None:
    alias = {"ip": "10.97.0.99", "hostnames": [HOST]}
    patch = json.dumps({"spec": {"template": {"spec": {"hostAliases": [alias]}}}})
    cluster.control.kubectl("patch", "deployment/coderd", "-n", NAMESPACE, "-p", patch)


def _names() -> Iterator[ClusterFault]:
    yield ClusterFault(
        id="D04", inject=_corefile(_HOSTS, ""), roots=_root("DNS-POD-001", "dns"),
        breaks={"coderd": f"lookup {HOST}"},
    )  # fmt: skip
    yield ClusterFault(
        id="D05", inject=_corefile(f"{HOST}\n        fallthrough", HOST),
        roots=_root("DNS-CORE-001", "dns"),
    )  # fmt: skip
    yield ClusterFault(
        id="D06", inject=_corefile(_HOSTS, _HOSTS + _HOSTS), roots=_root("DNS-CORE-001", "dns"),
        breaks={"coderd": f"lookup {HOST}"},
    )  # fmt: skip
    yield ClusterFault(
        id="D11", inject=_old_alias, roots=_root("DNS-ALIAS-001", "release"),
        breaks={"coderd": "10.97.0.99"},
    )  # fmt: skip
    yield ClusterFault(
        id="D16", inject=_alias_in_container, roots=_root("DNS-POD-001", "dns"),
        breaks={"coderd": f"lookup {HOST}"},
    )  # fmt: skip
    yield ClusterFault(
        id="D17", inject=_stale_image, roots=_root("DNS-CORE-003", "dns"), explained=True,
        breaks={"coderd": f"lookup {HOST}"},
    )  # fmt: skip
    yield ClusterFault(
        id="D15", inject=_corefile(_HOSTS, _HOSTS.replace("fallthrough", "falthrough")),
        roots=_root("DNS-CORE-001", "dns"),
    )  # fmt: skip


def _alias_in_container(cluster: Cluster) -> None:
    """The guide's alias, put among the container's fields: the API server drops it, and says so."""
    _corefile(_HOSTS, "")(cluster)
    alias = {"ip": ADDRESSES["registry"], "hostnames": [HOST]}
    container = {"name": "coderd", "hostAliases": [alias]}
    patch = json.dumps({"spec": {"template": {"spec": {"containers": [container]}}}})
    cluster.control.kubectl("patch", "deployment/coderd", "-n", NAMESPACE, "-p", patch)


def _created_again(cluster: Cluster) -> None:
    """The CA has changed, and the guide's command is run again: the secret stays as it was."""
    _old_ca(cluster)
    words = ("create", "secret", "generic", SECRET, "-n", NAMESPACE)
    given = f"--from-file=registry.crt={cluster.site_file.parent}/ca.crt"
    cluster.control.kubectl(*words, given, check=False)


def _upgrade(*words: str) -> Callable[[Cluster], None]:
    def inject(cluster: Cluster) -> None:
        folder = cluster.site_file.parent
        product.helm(cluster.control, folder, "upgrade", "coder", str(product.CHART), *words)

    return inject


def _stale_image(cluster: Cluster) -> None:
    """CoreDNS is to start from an image that the registry lacks, and its pod is gone."""
    patch = {"spec": {"template": {"spec": {"containers": [
        {"name": "coredns", "image": f"{HOST}/coredns:9"},
    ]}}, "strategy": {"type": "Recreate", "rollingUpdate": None}}}  # fmt: skip
    kubectl = cluster.control.kubectl
    kubectl("patch", "deployment/coredns", "-n", "kube-system", "-p", json.dumps(patch))


def _releases() -> Iterator[ClusterFault]:
    yield ClusterFault(
        id="H08", inject=_created_again, breaks={"coderd": "x509: "},
        roots=_root("SECRET-CA-003", "release"),
    )  # fmt: skip
    both = ("-f", "values.yaml", "-f", "registry-cert-values.yml")
    public = "docker.io/coderenvs"
    yield ClusterFault(
        id="H01", breaks={"timescale": f"{public}/timescale"}, by_helm=True,
        inject=_upgrade(*both, "--set", f"postgres.default.image={public}/timescale:{VERSION}"),
        roots=_root("REL-IMAGE-001", "release"),
    )  # fmt: skip
    yield ClusterFault(
        id="H02", inject=_upgrade(*both, "--set", "certs.secret.name=local-registry-crt"),
        breaks={"coderd": 'secret "local-registry-crt" not found'},
        roots=_root("REL-CERT-001", "release"), by_helm=True,
    )  # fmt: skip
    yield ClusterFault(
        id="H03", inject=_upgrade("-f", "values.yaml"), breaks={"coderd": _UNKNOWN},
        roots=_root("REL-CERT-001", "release"), by_helm=True,
    )  # fmt: skip
    yield ClusterFault(
        id="H04", inject=_upgrade(*both, "--set", "coderd.image=coderenvs/coder-service:1.27.0"),
        breaks={"coderd": "docker.io/coderenvs/coder-service:1.27.0"},
        roots=_root("REL-IMAGE-001", "release"), by_helm=True,
    )  # fmt: skip
    yield ClusterFault(
        id="H07", inject=_upgrade(*both, "--set", f"envbox.image={public}/envbox:1.27.0"),
        breaks={"coderd": "lookup docker.io"},
        roots=_root("REL-IMAGE-001", "release"), by_helm=True,
    )  # fmt: skip


def _on(name: str, program: str) -> Callable[[Cluster], None]:
    def inject(cluster: Cluster) -> None:
        cluster.machines[name].run(f"set -e\n{program}")

    return inject


_SMALL = """systemctl stop docker-registry
cp -a /var/lib/registry /root/kept
mount -t tmpfs -o size=1g tmpfs /var/lib/registry
cp -a /root/kept/. /var/lib/registry
systemctl start docker-registry
"""
_FULL = f"{_SMALL}head -c 2G /dev/zero > /var/lib/registry/full 2>/dev/null || :\n"


def _other_san(cluster: Cluster) -> None:
    cluster.registry.serve(cluster.leaf(san=("other.local",)))


def _machines() -> Iterator[ClusterFault]:
    other = "x509: certificate is valid for other.local"
    yield ClusterFault(
        id="C02", inject=_other_san, on=("registry",), roots=_root("CERT-SAN-001", "registry"),
        breaks={"n1": other, "n2": other, "coderd": other},
    )  # fmt: skip
    for name, program in (("R14", _FULL), ("R16", _SMALL)):
        yield ClusterFault(
            id=name, inject=_on("registry", program), on=("registry",), explained=True,
            roots=_root("REG-SPACE-001", "registry"),
        )  # fmt: skip
    yield ClusterFault(
        id="D01", inject=_on("n2", f"sed -i '/{HOST}/d' /etc/hosts"), on=("n2",),
        roots=_root("DNS-NODE-001", "node/n2"), breaks={"n2": f"lookup {HOST}"},
    )  # fmt: skip
    yield ClusterFault(
        id="K11", inject=_on("n1", f"rm /etc/containerd/certs.d/{HOST}/ca.crt"), on=("n1",),
        roots=_root("RUN-HOSTS-001", "node/n1"), breaks={"n1": "ca.crt: no such file"},
    )  # fmt: skip
    yield ClusterFault(
        id="N01", inject=_on("n1", f"rm -r /etc/containerd/certs.d/{HOST}"), on=("n1",),
        roots=_root("NODE-TRUST-001", "node/n1"), breaks={"n1": _UNKNOWN},
    )  # fmt: skip


_MISSPELT = "docker rm -f registry > /dev/null\n" + RUN.replace("CERTIFICATE=", "CERTIFICAT=")


def _containers() -> Iterator[ClusterFault]:
    yield ClusterFault(
        id="R02", kind="docker", roots=_root("REG-RUN-001", "registry"),
        inject=_on("registry", "docker update --restart=no registry"),
    )  # fmt: skip
    plain = "http: server gave HTTP response to HTTPS client"
    yield ClusterFault(
        id="R04", kind="docker", roots=_root("REG-HTTP-001", "registry"),
        inject=_on("registry", _MISSPELT), options=("--max-risk", "outage"), on=("registry",),
        breaks={"n1": plain, "n2": plain, "coderd": plain},
    )  # fmt: skip


IN_DOCKER = tuple(_containers())
FAULTS = (*_secrets(), *_names(), *_releases(), *_machines())


def on_different_layers(seed: int) -> tuple[ClusterFault, ...]:
    """Three repairable faults, each of another family; the same three for the same seed."""
    chance = random.Random(seed)
    families: dict[str, list[ClusterFault]] = {}
    for each in FAULTS:
        if not (each.explained or each.by_helm or each.final) and each.breaks:
            families.setdefault(each.id[0], []).append(each)
    return tuple(chance.choice(families[name]) for name in chance.sample(sorted(families), 3))
