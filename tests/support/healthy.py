"""A site in which nothing is wrong, as facts: tests take it and break ONE thing.

Usage: `site, facts = healthy()`, then `facts = with_node(facts, "debian", clock=...)`, then
`verdict_of("NODE-CLOCK-001", facts, site, "node/debian")`.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import hashlib
from functools import cache
from typing import Any

import msgspec
from support.certs import NOW, Pair, authority, issue

from gapcheck.engine import Evaluation
from gapcheck.errors import CatalogueError
from gapcheck.fixtures import pki
from gapcheck.fixtures.fact_set import FactSet
from gapcheck.fixtures.facts import (
    Absent,
    AuthFact,
    Clock,
    ContainerFact,
    DirEntry,
    FileFact,
    Filesystem,
    HttpFact,
    ImageFact,
    MountFact,
    NodeFacts,
    Observed,
    OsRelease,
    PluginFact,
    Present,
    RegistryFacts,
    RegistryHostFacts,
    ServiceFacts,
    SiteFacts,
    TlsFact,
    UnitFact,
)
from gapcheck.fixtures.kube_facts import (
    ClusterFacts,
    ConfigMapFact,
    Container,
    DnsFacts,
    KubeNode,
    NameServer,
    PodFact,
    ReleaseFacts,
    ReleaseRecord,
    SecretFact,
    SecretKey,
    Volume,
    VolumeMount,
    Workload,
)
from gapcheck.model import CheckId, SubjectId, Verdict
from gapcheck.registry import Catalogue, _pool, catalogue, make_catalogue
from gapcheck.site import Site

HOST = "registry.local"
ADDRESS = "10.0.0.2"
IMAGES = {
    "coderd": f"{HOST}/coderenvs/coder-service:1.44.3",
    "envbox": f"{HOST}/coderenvs/envbox:1.44.3",
    "timescale": f"{HOST}/coderenvs/timescale:1.44.3",
}
STARTED = NOW.timestamp() - 3600
CHANGED = NOW.timestamp() - 86_400


@cache
def ca() -> Pair:
    return authority("Example Registry CA 2026")


@cache
def other_ca() -> Pair:
    return authority("Some Public Root")


@cache
def leaf() -> Pair:
    return issue(by=ca())


class Blobs:
    def __init__(self) -> None:
        self.held: dict[str, bytes] = {}

    def add(self, content: bytes) -> str:
        digest = hashlib.sha256(content).hexdigest()
        self.held[digest] = content
        return digest

    def file(self, path: str, content: bytes, **stat: Any) -> Present[FileFact]:
        digest = self.add(content)
        stat = {"mtime": CHANGED, **stat}
        return Present(FileFact(path=path, sha256=digest, size=len(content), blob=digest, **stat))

    def files(self, contents: dict[str, bytes]) -> dict[str, Observed[FileFact]]:
        return {path: self.file(path, content) for path, content in contents.items()}


def file_fact(path: str, content: bytes, **stat: Any) -> tuple[Present[FileFact], dict[str, bytes]]:
    """A file as it would be measured, and the blob to put beside it."""
    blobs = Blobs()
    return blobs.file(path, content, **stat), blobs.held


HOSTS_TOML = f"""server = "https://{HOST}"

[host."https://{HOST}"]
  capabilities = ["pull", "resolve"]
  ca = "/etc/containerd/certs.d/{HOST}/ca.crt"
"""
CONFIG_1 = """version = 2
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "registry.local/pause:3.9"
  [plugins."io.containerd.grpc.v1.cri".registry]
    config_path = "/etc/containerd/certs.d"
"""
CONFIG_2 = """version = 3
[plugins.'io.containerd.cri.v1.images'.pinned_images]
  sandbox = "registry.local/pause:3.9"
[plugins.'io.containerd.cri.v1.images'.registry]
  config_path = "/etc/containerd/certs.d"
"""
COREFILE = f""".:53 {{
    errors
    health
    hosts {{
        {ADDRESS} {HOST}
        fallthrough
    }}
    kubernetes cluster.local in-addr.arpa ip6.arpa
    forward . /etc/resolv.conf
    reload
}}
"""


def site(**changes: Any) -> Site:
    """The site file of the healthy site; `changes` replace whole top-level keys."""
    data: dict[str, Any] = {
        "version": 1,
        "name": "example",
        "registry": {
            "host": HOST,
            "address": ADDRESS,
            "ca_file": "ca.crt",
            "target": "ssh://root@registry.local",
            "certificate": "/certs/registry.crt",
            "key": "/certs/registry.key",
            "issuer": {"certificate": "issuer.crt", "key": "issuer.key"},
            "storage": "/var/lib/registry",
            "container": "registry",
            "reload": "container",
            "images": list(IMAGES.values()),
        },
        "nodes": [
            {"name": "debian", "target": "ssh://root@10.0.0.11"},
            {"name": "rhel", "target": "ssh://root@10.0.0.12"},
        ],
        "cluster": {"kubeconfig": "kubeconfig"},
        "release": {"name": "coder", "namespace": "coder", "secret": {}, "values": ["values.yaml"]},
        "dns": {"resolvers": ["10.0.0.53"]},
        "services": ["git.local"],
    }
    return Site.model_validate({**data, **changes})


def healthy() -> tuple[Site, FactSet]:
    """The site and its facts, everything as it should be."""
    blobs = Blobs()
    by_subject: dict[str, Any] = {
        "site": _site(blobs),
        "registry": _registry(blobs),
        "cluster": _cluster(),
        "release": _release(blobs),
        "dns": _dns(blobs),
        "node/debian": _node(blobs, "debian"),
        "node/rhel": _node(blobs, "rhel"),
        "service/git.local": ServiceFacts(
            host="git.local",
            port=443,
            addresses=Present(("10.0.0.3",)),
            tls=_tls(
                blobs, "git.local", issue(common_name="git.local", san=("git.local",), by=ca())
            ),
        ),
    }
    facts = FactSet(
        taken_at=NOW,
        tool_version="test",
        by_subject={SubjectId(key): value for key, value in by_subject.items()},
        blobs=blobs.held,
    )
    return site(), facts


def with_facts(
    facts: FactSet, subject: str, blobs: dict[str, bytes] | None = None, **changes: Any
) -> FactSet:
    """`facts` with fields of one subject replaced, and `blobs` added."""
    key = SubjectId(subject)
    changed = msgspec.structs.replace(facts.by_subject[key], **changes)
    return msgspec.structs.replace(
        facts,
        by_subject={**facts.by_subject, key: changed},
        blobs={**facts.blobs, **(blobs or {})},
    )


def with_file(
    facts: FactSet, subject: str, path: str, content: bytes | Observed[Any], **stat: Any
) -> FactSet:
    """`facts` in which the file `path` of `subject` holds `content`, or is Absent or Unreadable."""
    blobs: dict[str, bytes] = {}
    if isinstance(content, bytes):
        observed, blobs = file_fact(path, content, **stat)
    else:
        observed = content
    subject_facts: Any = facts.by_subject[SubjectId(subject)]
    files = {**subject_facts.files, path: observed}
    return with_facts(facts, subject, blobs, files=files)


def known() -> Catalogue:
    """The catalogue while parts of it are still being written: links to absent checks are cut."""
    try:
        return catalogue()
    except CatalogueError:
        have = _pool.checks
        whole = [
            dataclasses.replace(
                c,
                after=tuple(a for a in c.after if a in have),
                manual="" if c.id in _pool.remedies else (c.manual or "to come"),
            )
            for c in have.values()
        ]
        remedies = [r for r in _pool.remedies.values() if r.repairs in have]
        return make_catalogue(whole, remedies)


def verdict_of(
    check: str, facts: FactSet, of: Site, subject: str, *, now: dt.datetime = NOW
) -> Verdict:
    """What `check` says of `subject`, prerequisites included."""
    return Evaluation(of, facts, known(), now=now).verdict(CheckId(check), SubjectId(subject))


def served(facts: FactSet, *chain: Pair) -> FactSet:
    """`facts` in which the registry serves `chain` and holds its leaf and key on its machine."""
    blobs = Blobs()
    tls = _tls(blobs, HOST, *chain)
    pem = b"".join(each.pem for each in chain)
    old: Any = facts.by_subject[SubjectId("registry")]
    machine = msgspec.structs.replace(
        old.machine.value,
        certificate=blobs.file("/certs/registry.crt", pem),
        key_public_sha256=Present(_public(chain[0])),
    )
    return with_facts(facts, "registry", blobs.held, tls=tls, machine=Present(machine))


def _public(pair: Pair) -> str:
    return pki.read_certificate(pair.der).public_key_sha256


def _tls(blobs: Blobs, host: str, *chain: Pair) -> TlsFact:
    digests = tuple(blobs.add(each.der) for each in chain)
    return TlsFact(
        host=host,
        port=443,
        stage="done",
        chain=digests,
        protocol="TLSv1.3",
        cipher="TLS_AES_128_GCM_SHA256",
        peer=f"{ADDRESS}:443",
    )


def _clock() -> Present[Clock]:
    at = NOW.timestamp()
    return Present(Clock(remote=at, sent=at - 0.01, received=at + 0.01))


def _site(blobs: Blobs) -> SiteFacts:
    return SiteFacts(
        files={
            "ca.crt": blobs.file("ca.crt", ca().pem),
            "issuer.crt": blobs.file("issuer.crt", ca().pem),
            "values.yaml": blobs.file(
                "values.yaml", b'certs:\n  secret:\n    name: "local-registry-cert"\n'
            ),
        }
    )


def _registry(blobs: Blobs) -> RegistryFacts:
    url = f"https://{HOST}"
    return RegistryFacts(
        host=HOST,
        port=443,
        addresses=Present((ADDRESS,)),
        tls=_tls(blobs, HOST, leaf()),
        plain_http=Present(
            HttpFact(url=f"http://{HOST}:443/v2/", status=400, body="Client sent an HTTP request")
        ),
        api=Present(
            HttpFact(
                url=f"{url}/v2/",
                status=200,
                headers={"docker-distribution-api-version": "registry/2.0"},
                body="{}",
            )
        ),
        auth=Present(AuthFact(scheme="none")),
        images={
            reference: Present(
                ImageFact(
                    reference=reference,
                    status=200,
                    digest="sha256:" + hashlib.sha256(reference.encode()).hexdigest(),
                    media_type="application/vnd.oci.image.index.v1+json",
                    platforms=("linux/amd64", "linux/arm64"),
                    size_bytes=200_000_000,
                )
            )
            for reference in IMAGES.values()
        },
        image_list=Present(tuple(IMAGES.values())),
        machine=Present(
            RegistryHostFacts(
                hostspec="ssh://root@registry.local",
                running=True,
                certificate=blobs.file("/certs/registry.crt", leaf().pem),
                key=Present(
                    FileFact(
                        path="/certs/registry.key",
                        sha256="0" * 64,
                        size=241,
                        mode=0o600,
                        mtime=CHANGED,
                        has_private_key=True,
                        redacted=True,
                    )
                ),
                key_public_sha256=Present(_public(leaf())),
                storage=Present(
                    Filesystem(
                        path="/var/lib/registry",
                        total_bytes=100 * 10**9,
                        available_bytes=50 * 10**9,
                        available_inodes=5_000_000,
                    )
                ),
                container=Present(
                    ContainerFact(
                        id="c0ffee",
                        name="registry",
                        image="registry:2",
                        status="running",
                        running=True,
                        restart_policy="always",
                        mounts=(
                            MountFact(
                                type="bind",
                                source="/srv/registry",
                                destination="/var/lib/registry",
                            ),
                            MountFact(
                                type="bind",
                                source="/certs",
                                destination="/certs",
                                writable=False,
                            ),
                        ),
                        ports={"5000/tcp": ("0.0.0.0:443",)},
                        environment={
                            "REGISTRY_HTTP_TLS_CERTIFICATE": "/certs/registry.crt",
                            "REGISTRY_HTTP_TLS_KEY": "/certs/registry.key",
                        },
                    )
                ),
                clock=_clock(),
            )
        ),
        date=_clock(),
    )


def _node(blobs: Blobs, name: str) -> NodeFacts:
    debian = name == "debian"
    version = "1.6.20" if debian else "2.4.2"
    bundle = other_ca().pem + ca().pem
    certs_d = f"/etc/containerd/certs.d/{HOST}"
    contents = {
        "/etc/hosts": f"127.0.0.1 localhost\n{ADDRESS} {HOST}\n".encode(),
        "/etc/nsswitch.conf": b"hosts: files dns\n",
        "/etc/resolv.conf": b"nameserver 10.0.0.53\n",
        "/etc/containerd/config.toml": (CONFIG_1 if debian else CONFIG_2).encode(),
        f"{certs_d}/hosts.toml": HOSTS_TOML.encode(),
        f"{certs_d}/ca.crt": ca().pem,
    }
    if debian:
        contents["/usr/local/share/ca-certificates/example-registry.crt"] = ca().pem
        contents["/etc/ssl/certs/ca-certificates.crt"] = bundle
        anchors = "/usr/local/share/ca-certificates"
    else:
        contents["/etc/pki/ca-trust/source/anchors/example-registry.crt"] = ca().pem
        contents["/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem"] = bundle
        contents["/etc/pki/tls/certs/ca-bundle.crt"] = bundle
        anchors = "/etc/pki/ca-trust/source/anchors"
    return NodeFacts(
        hostspec=f"ssh://root@10.0.0.{11 if debian else 12}",
        running=True,
        clock=_clock(),
        os_release=Present(
            OsRelease(id="debian", version="12", pretty="Debian GNU/Linux 12 (bookworm)")
            if debian
            else OsRelease(id="rocky", id_like=("rhel", "centos", "fedora"), version="9.5")
        ),
        arch=Present("x86_64"),
        files={
            "/etc/ssl/certs/ca-certificates.crt": Absent(),
            "/etc/docker/daemon.json": Absent(),
            **blobs.files(contents),
        },
        dirs={
            "/etc/ssl/certs": Present((DirEntry(name="ca-certificates.crt", kind="file"),))
            if debian
            else Absent(),
            "/etc/pki/tls/certs": Absent()
            if debian
            else Present((DirEntry(name="ca-bundle.crt", kind="file"),)),
            "/etc/containerd/conf.d": Absent(),
            "/etc/systemd/system/containerd.service.d": Absent(),
            anchors: Present((DirEntry(name="example-registry.crt", kind="file"),)),
            "/etc/containerd/certs.d": Present((DirEntry(name=HOST, kind="dir"),)),
            certs_d: Present(
                (DirEntry(name="ca.crt", kind="file"), DirEntry(name="hosts.toml", kind="file"))
            ),
            "/etc/docker/certs.d": Absent(),
        },
        programs={
            ("update-ca-certificates" if debian else "update-ca-trust"): Present("/usr/sbin/x"),
            "containerd": Present("/usr/bin/containerd"),
        },
        units={
            "containerd.service": Present(
                UnitFact(
                    name="containerd.service",
                    load_state="loaded",
                    active_state="active",
                    sub_state="running",
                    pid=412,
                    started=STARTED,
                )
            ),
            "docker.service": Absent(),
        },
        containerd_version=Present(version),
        containerd_plugins=Present(
            (
                PluginFact(type="io.containerd.grpc.v1", id="cri", status="ok"),
                PluginFact(
                    type="io.containerd.cri.v1",
                    id="images",
                    status="ok",
                    exports={"RegistryConfigPath": "/etc/containerd/certs.d"},
                ),
            )[: 1 if debian else 2]
        ),
        containerd_valid=Present(""),
        resolver={HOST: Present((ADDRESS,))},
        dns_only={HOST: Present((ADDRESS,))},
        filesystems={
            "/var/lib/containerd": Present(
                Filesystem(
                    path="/var/lib/containerd",
                    total_bytes=100 * 10**9,
                    available_bytes=60 * 10**9,
                    available_inodes=6_000_000,
                )
            )
        },
    )


def _cluster() -> ClusterFacts:
    return ClusterFacts(
        source="live",
        endpoint="https://10.0.0.10:6443",
        version=Present("v1.36.3"),
        nodes=Present(
            tuple(
                KubeNode(
                    name=name,
                    schedulable=True,
                    ready=True,
                    arch="amd64",
                    runtime=f"containerd://{version}",
                    addresses=(f"10.0.0.{last}",),
                )
                for name, version, last in (("debian", "1.6.20", 11), ("rhel", "2.4.2", 12))
            )
        ),
        namespaces=Present(("coder", "default", "kube-system")),
    )


def _release(blobs: Blobs) -> ReleaseFacts:
    values = {
        "coderd.image": IMAGES["coderd"],
        "envbox.image": IMAGES["envbox"],
        "postgres.default.image": IMAGES["timescale"],
        "certs.secret.name": "local-registry-cert",
        "certs.secret.key": "registry.crt",
    }
    volume = Volume(name="local-registry-cert", kind="secret", source="local-registry-cert")
    mount = VolumeMount(
        volume="local-registry-cert", path="/etc/ssl/certs/registry.crt", sub_path="registry.crt"
    )
    return ReleaseFacts(
        source="live",
        namespace="coder",
        namespace_exists=Present(value=True),
        record=Present(
            ReleaseRecord(
                name="coder",
                namespace="coder",
                revision=1,
                status="deployed",
                chart="coder",
                chart_version="1.44.3",
                app_version="1.44.3",
                user_values=values,
                user_paths=tuple(values),
                template_paths=Present(tuple(values)),
            )
        ),
        workloads=Present(
            (
                Workload(
                    kind="Deployment",
                    namespace="coder",
                    name="coderd",
                    locus="Deployment/coder/coderd",
                    uid="u-1",
                    resource_version="1",
                    containers=(
                        Container(
                            name="coderd",
                            kind="container",
                            image=IMAGES["coderd"],
                            pull_policy="Always",
                            env_images={"ENVBOX_IMAGE": IMAGES["envbox"]},
                            mounts=(mount,),
                        ),
                    ),
                    volumes=(volume,),
                ),
                Workload(
                    kind="StatefulSet",
                    namespace="coder",
                    name="timescale",
                    locus="StatefulSet/coder/timescale",
                    uid="u-2",
                    resource_version="1",
                    containers=(
                        Container(name="timescale", kind="container", image=IMAGES["timescale"]),
                    ),
                ),
            )
        ),
        secrets=Present(
            (
                SecretFact(
                    namespace="coder",
                    name="local-registry-cert",
                    type="Opaque",
                    locus="Secret/coder/local-registry-cert",
                    uid="u-3",
                    resource_version="1",
                    keys=(
                        SecretKey(
                            name="registry.crt",
                            form="pem",
                            size=len(ca().pem),
                            blob=blobs.add(ca().pem),
                        ),
                    ),
                ),
            )
        ),
        running=Present(
            (
                PodFact(
                    name="coderd-5d4-x",
                    workload="Deployment/coder/coderd",
                    node="debian",
                    ready=True,
                    since=NOW,
                ),
                PodFact(
                    name="timescale-0",
                    workload="StatefulSet/coder/timescale",
                    node="rhel",
                    ready=True,
                    since=NOW,
                ),
            )
        ),
    )


def _dns(blobs: Blobs) -> DnsFacts:
    return DnsFacts(
        name=HOST,
        controller=Present((ADDRESS,)),
        resolvers={"10.0.0.53": Present((ADDRESS,))},
        coredns=Present(
            (
                ConfigMapFact(
                    namespace="kube-system",
                    name="coredns",
                    key="Corefile",
                    blob=blobs.add(COREFILE.encode()),
                    locus="ConfigMap/kube-system/coredns",
                    uid="u-4",
                    resource_version="1",
                ),
            )
        ),
        servers=Present((NameServer(workload=_core_dns(), wanted=2, ready=2),)),
    )


def _core_dns() -> Workload:
    return Workload(
        kind="Deployment",
        namespace="kube-system",
        name="coredns",
        locus="Deployment/kube-system/coredns",
        uid="u-5",
        resource_version="1",
    )
