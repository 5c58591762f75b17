"""The demo's site: what following the guide as written leaves behind, in one folder.

The address is loopback and the registry's port a free one; the spelling of the guide's
variable is put right, because with it as printed nothing at all would be set.
"""

from __future__ import annotations

import base64
import datetime as dt
from dataclasses import dataclass
from pathlib import Path
from string import Template
from textwrap import dedent

from gapcheck.demo.store import Store

HOST = "registry.local"
ADDRESS = "127.0.0.1"
VERSION = "1.27.0"
_NAMES = {"coderd": "coder-service", "envbox": "envbox", "timescale": "timescale"}
_LIFE = dt.timedelta(days=365)


@dataclass(frozen=True, slots=True, kw_only=True)
class GuideSite:
    """Where the parts lie; `port` is the registry's."""

    folder: Path
    port: int

    @property
    def certificate(self) -> Path:
        """The served certificate."""
        return self.folder / "registry/certs/registry.crt"

    @property
    def key(self) -> Path:
        """Its private key."""
        return self.folder / "registry/certs/registry.key"

    @property
    def site_file(self) -> Path:
        """The site file of all this."""
        return self.folder / "site.yaml"

    @property
    def netloc(self) -> str:
        """The registry as image references write it."""
        return f"{HOST}:{self.port}"


def images() -> Store:
    """The three images of the product, as the guide's reader has pushed them, and pause."""
    store = Store()
    for name in _NAMES.values():
        store.add_index(f"coderenvs/{name}", VERSION, platforms=("linux/amd64", "linux/arm64"))
    store.add_index("pause", "3.9", platforms=("linux/amd64", "linux/arm64"))
    return store


def build(folder: Path, port: int, *, now: dt.datetime) -> GuideSite:
    """Write the site into `folder`, which is empty; steps in the guide's order."""
    site = GuideSite(folder=folder, port=port)
    certificate, key = _certificate(now)
    _write(site.certificate, certificate)
    _write(site.key, key, mode=0o600)
    _write(folder / "ca.crt", certificate)
    _debian(site, certificate)
    _rhel(site, certificate)
    _manifests(site, certificate, key)
    _write(folder / "values.yaml", _filled(_VALUES, site))
    _write(site.site_file, _filled(_SITE, site))
    return site


def _certificate(now: dt.datetime) -> tuple[bytes, bytes]:
    """Step 1: `openssl req -x509` with a common name and nothing else; PEM of both."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import rsa
    from cryptography.x509.oid import NameOID

    key = rsa.generate_private_key(public_exponent=65537, key_size=4096)
    public = key.public_key()
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, HOST)])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now)
        .not_valid_after(now + _LIFE)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(public), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    return certificate.public_bytes(serialization.Encoding.PEM), key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )


def _places(site: GuideSite, root: Path, certificate: bytes) -> None:
    """Step 3: the guide's list of places, each of them, whatever the distribution."""
    for place in (
        "usr/local/share/ca-certificates/registry.crt",
        f"etc/docker/certs.d/{site.netloc}/ca.crt",
        "etc/ssl/certs/registry.crt",
        "etc/pki/tls/registry.crt",
    ):
        _write(root / place, certificate)


def _debian(site: GuideSite, certificate: bytes) -> None:
    root = site.folder / "nodes/debian"
    _write(root / "etc/os-release", _DEBIAN)
    _write(root / "var/lib/dpkg/status", _DPKG)
    _write(root / "usr/bin/containerd", "", mode=0o755)
    _write(root / "usr/sbin/update-ca-certificates", "#!/bin/sh\n", mode=0o755)
    _places(site, root, certificate)
    # update-ca-certificates was run: the anchor is in the bundle.
    _write(root / "etc/ssl/certs/ca-certificates.crt", certificate)
    _write(root / "etc/containerd/config.toml", _CONFIG_1 + _filled(_APPENDED, site))
    _names(root)


def _rhel(site: GuideSite, certificate: bytes) -> None:
    root = site.folder / "nodes/rhel"
    _write(root / "etc/os-release", _RHEL)
    _write(root / "usr/bin/containerd", "", mode=0o755)
    _write(root / "usr/bin/update-ca-trust", "#!/bin/sh\n", mode=0o755)
    (root / "etc/pki/ca-trust/source/anchors").mkdir(parents=True)
    _write(root / "etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem", "")
    _places(site, root, certificate)
    _write(root / "etc/containerd/config.toml", _CONFIG_2 + _filled(_APPENDED, site))
    _names(root)


def _names(root: Path) -> None:
    """Step 8, on the node."""
    _write(root / "etc/nsswitch.conf", "hosts: files dns\n")
    _write(root / "etc/hosts", f"127.0.0.1 localhost\n::1 localhost\n{ADDRESS} {HOST}\n")


def _manifests(site: GuideSite, certificate: bytes, key: bytes) -> None:
    """Steps 6 and 7, as they stand in a folder that is applied."""
    folder = site.folder / "manifests"
    secret = _filled(
        _CERT_OBJECT,
        site,
        certificate=base64.b64encode(certificate).decode(),
        key=base64.b64encode(key).decode(),
    )
    _write(folder / "local-registry-cert.yaml", secret, mode=0o600)
    _write(folder / "namespace.yaml", _NAMESPACE)
    _write(folder / "coderd.yaml", _filled(_CODERD, site))
    _write(folder / "timescale.yaml", _TIMESCALE)


def _filled(text: str, site: GuideSite, **more: str) -> str:
    given = {"netloc": site.netloc, "port": str(site.port), "host": HOST, "address": ADDRESS}
    return Template(dedent(text)).substitute(given, version=VERSION, **more)


def _write(path: Path, content: bytes | str, *, mode: int = 0o644) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    path.chmod(mode)


_DEBIAN = 'PRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\nID=debian\nVERSION_ID="12"\n'
_RHEL = (
    'NAME="Rocky Linux"\nID="rocky"\nID_LIKE="rhel centos fedora"\nVERSION_ID="9.5"\n'
    'PRETTY_NAME="Rocky Linux 9.5 (Blue Onyx)"\n'
)
_DPKG = """\
Package: containerd
Status: install ok installed
Version: 1.6.20~ds1-1+deb12u3
"""
_CONFIG_1 = """\
version = 2

[plugins]
  [plugins."io.containerd.grpc.v1.cri"]
    [plugins."io.containerd.grpc.v1.cri".cni]
      bin_dir = "/usr/lib/cni"
      conf_dir = "/etc/cni/net.d"
"""
_CONFIG_2 = """\
version = 3

[plugins.'io.containerd.cri.v1.runtime'.containerd]
  default_runtime_name = 'runc'

[plugins.'io.containerd.cri.v1.images'.registry]
  config_path = '/etc/containerd/certs.d'
"""
_APPENDED = """\
[plugins."io.containerd.grpc.v1.cri".registry.configs."$netloc".tls]
  insecure_skip_verify = true
"""
_NAMESPACE = """\
apiVersion: v1
kind: Namespace
metadata:
  name: coder
"""
_CERT_OBJECT = """\
apiVersion: v1
kind: Secret
metadata:
  name: local-registry-cert
  namespace: coder
type: Opaque
data:
  registry.crt: $certificate
  registry.key: $key
"""
_CODERD = """\
# Rendered by: helm template coder . --namespace coder -f values.yaml
apiVersion: apps/v1
kind: Deployment
metadata:
  name: coderd
  namespace: coder
spec:
  replicas: 1
  selector:
    matchLabels: {app.kubernetes.io/name: coderd}
  template:
    metadata:
      labels: {app.kubernetes.io/name: coderd}
    spec:
      containers:
        - name: coderd
          image: $netloc/coderenvs/coder-service:$version
          imagePullPolicy: Always
          env:
            - name: ENVBOX_IMAGE  # pulled by workspaces, much later
              value: $netloc/coderenvs/envbox:$version
          volumeMounts:
            - name: local-registry-cert
              mountPath: /etc/ssl/certs/registry.crt
              subPath: registry.crt
              readOnly: true
      volumes:
        - name: local-registry-cert
          secret:
            secretName: local-registry-cert
"""
_TIMESCALE = """\
apiVersion: apps/v1
kind: StatefulSet
metadata:
  name: timescale
  namespace: coder
spec:
  serviceName: timescale
  replicas: 1
  selector:
    matchLabels: {app.kubernetes.io/name: timescale}
  template:
    metadata:
      labels: {app.kubernetes.io/name: timescale}
    spec:
      containers:
        - name: timescale
          # This version of the chart does not know timescale.image: its own default is rendered.
          image: docker.io/coderenvs/timescale:1.27.0
          imagePullPolicy: Always
"""
_VALUES = """\
# What the guide gives by --set and in registry-cert-values.yml
coderd:
  image: $netloc/coderenvs/coder-service:$version
envbox:
  image: $netloc/coderenvs/envbox:$version
timescale:
  image: $netloc/coderenvs/timescale:$version
certs:
  secret:
    name: "local-registry-cert"
    key: "registry.crt"
"""
_SITE = """\
# The site of `gapcheck demo`: the guide followed as written.
version: 1
name: guide as written

registry:
  host: $host
  port: $port
  address: $address
  ca_file: ca.crt                      # what clients are given: the certificate itself
  target: rootdir://./registry         # the machine that holds its files
  certificate: /certs/registry.crt
  key: /certs/registry.key
  issuer: {certificate: issuer/ca.crt, key: issuer/ca.key}
  reload: none                         # it reads its pair for each connection
  images_from: release

nodes:
  - {name: debian, target: rootdir://./nodes/debian, runtime: containerd, image_root: true}
  - {name: rhel, target: rootdir://./nodes/rhel, runtime: containerd, image_root: true}

cluster:
  manifests: manifests

release:
  name: coder
  namespace: coder
  profile: coder-v1
  secret: {name: local-registry-cert, key: registry.crt}
  values: [values.yaml]
"""
