"""The lab's site: a registry machine and two nodes, one of each containerd generation."""

from __future__ import annotations

import datetime as dt
import gzip
import hashlib
import io
import json
import shutil
import subprocess
import tarfile
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from support.certs import Pair, authority, issue

from lab.machines import Keys, Machine, end, until
from lab.programs import cache, go_programs, say

HOST = "registry.local"
PORT = 5443
_PORTS = {"registry": 2210, "n1": 2211, "n2": 2212}
NETLOC = f"{HOST}:{PORT}"
ADDRESS = "127.0.0.1"
IMAGE = f"{NETLOC}/demo/app:1"
PAUSE = f"{NETLOC}/pause:3.9"
SOCKET = "/run/containerd/containerd.sock"
CERTS_D = f"/etc/containerd/certs.d/{NETLOC}"

CONFIG = {
    "n1": f"""version = 2

[plugins."io.containerd.grpc.v1.cri"]
  restrict_oom_score_adj = true
  sandbox_image = "{PAUSE}"
[plugins."io.containerd.grpc.v1.cri".registry]
  config_path = "/etc/containerd/certs.d"
""",
    "n2": f"""version = 3

[plugins.'io.containerd.cri.v1.runtime']
  restrict_oom_score_adj = true
[plugins.'io.containerd.cri.v1.images'.pinned_images]
  sandbox = "{PAUSE}"
[plugins.'io.containerd.cri.v1.images'.registry]
  config_path = "/etc/containerd/certs.d"
""",
}
HOSTS_TOML = f"""server = "https://{NETLOC}"

[host."https://{NETLOC}"]
  capabilities = ["pull", "resolve"]
  ca = "{CERTS_D}/ca.crt"
"""
_REGISTRY = f"""version: 0.1
log: {{fields: {{service: registry}}}}
storage: {{filesystem: {{rootdirectory: /var/lib/docker-registry}}}}
http:
  addr: '{ADDRESS}:{PORT}'
  tls: {{certificate: /certs/registry.crt, key: /certs/registry.key}}
"""
_UNIT = """[Unit]
Description=registry of the lab
[Service]
ExecStart=/usr/bin/docker-registry serve /etc/docker/registry/config.yml
Restart=on-failure
[Install]
WantedBy=multi-user.target
"""
_SITE = """version: 1
name: lab
registry:
  host: {netloc}
  address: {address}
  ca_file: ca.crt
  target: {registry}
  certificate: /certs/registry.crt
  key: /certs/registry.key
  issuer: {{certificate: issuer/ca.crt, key: issuer/ca.key}}
  reload: unit:docker-registry.service
  images: ["{image}", "{pause}"]
nodes:
  - {{name: n1, target: "{n1}"}}
  - {{name: n2, target: "{n2}"}}
"""


@dataclass
class World:
    """Everything that runs, and the folder of its site file."""

    folder: Path
    keys: Keys
    registry: Machine
    nodes: dict[str, Machine]
    ca: Pair

    @property
    def machines(self) -> tuple[Machine, ...]:
        return (self.registry, *self.nodes.values())

    @property
    def site_file(self) -> Path:
        return self.folder / "site/site.yaml"

    def machine(self, name: str) -> Machine:
        return self.registry if name == "registry" else self.nodes[name]

    def leaf(self, **changes: object) -> Pair:
        """A right certificate of the registry, but for `changes`."""
        given = {"san": (HOST,), "not_before": _yesterday(), "days": 300, "by": self.ca, **changes}
        return issue(**given)  # type: ignore[arg-type] # the builder takes any field

    def serve(self, *chain: Pair) -> None:
        """Have the registry serve `chain`, its key being that of the first."""
        self.registry.write("/certs/registry.crt", b"".join(each.pem for each in chain))
        self.registry.write("/certs/registry.key", chain[0].key_pem, 0o600)
        self.registry.run(
            "systemctl reset-failed docker-registry; systemctl restart docker-registry"
        )
        answers = f"ss -ltn | grep -q '{ADDRESS}:{PORT}'"
        until("the registry", lambda: self.registry.run(answers, check=False).returncode == 0, 30)

    def heal(self) -> None:
        """Make every machine and the site's files right again."""
        site = self.site_file.parent
        shutil.rmtree(site, ignore_errors=True)
        site.mkdir(parents=True)
        (site / "ca.crt").write_bytes(self.ca.pem)
        (site / "issuer").mkdir()
        (site / "issuer/ca.crt").write_bytes(self.ca.pem)
        (site / "issuer/ca.key").write_bytes(self.ca.key_pem)
        (site / "issuer/ca.key").chmod(0o600)
        self.site_file.write_text(
            _SITE.format(
                netloc=NETLOC, address=ADDRESS, image=IMAGE, pause=PAUSE,
                registry=self.registry.hostspec, n1=self.nodes["n1"].hostspec,
                n2=self.nodes["n2"].hostspec,
            )
        )  # fmt: skip
        self.serve(self.leaf())
        for node in self.nodes.values():
            self.heal_node(node)

    def heal_node(self, node: Machine) -> None:
        """The node as it should be: config, host folder, names, a fresh trust store."""
        node.run(
            "set -e\nrm -rf /etc/containerd /etc/docker/certs.d\n"
            "rm -rf /etc/systemd/system/containerd.service.d\n"
            "rm -f /usr/local/share/ca-certificates/* /etc/pki/tls/registry.crt\n"
            "rm -f /etc/ssl/certs/registry.crt\nupdate-ca-certificates --fresh >/dev/null 2>&1\n"
        )
        node.write("/etc/containerd/config.toml", CONFIG[node.name])
        node.write(f"{CERTS_D}/ca.crt", self.ca.pem)
        node.write(f"{CERTS_D}/hosts.toml", HOSTS_TOML)
        node.write("/etc/hosts", f"127.0.0.1 localhost\n::1 localhost\n{ADDRESS} {HOST}\n")
        if node.name == "n2":
            node.write("/etc/systemd/system/containerd.service.d/new.conf", _DROP_IN)
        self.restart(node)

    def restart(self, node: Machine) -> None:
        """Restart containerd and wait until it pulls."""
        node.run(
            "systemctl daemon-reload; systemctl reset-failed containerd\n"
            "systemctl restart containerd"
        )
        until(f"a pull on {node.name}", lambda: not self.pull(node), 30)

    def pull(self, node: Machine, image: str = IMAGE) -> str:
        """Pull as kubelet would; '' where it worked, else the runtime's own error."""
        done = node.run(f"/usr/local/bin/pull {SOCKET} {image}", check=False)
        return done.stderr.strip() if done.returncode else ""


_DROP_IN = "[Service]\nExecStart=\nExecStart=/usr/local/bin/containerd\n"


def _yesterday() -> dt.datetime:
    return dt.datetime.now(dt.UTC) - dt.timedelta(days=1)


def _world(folder: Path, ca: Pair) -> World:
    keys = Keys(folder=folder / "ssh")
    machines = {
        name: Machine(name, folder / name, keys, port=port) for name, port in _PORTS.items()
    }
    return World(folder, keys, machines.pop("registry"), machines, ca)


def is_up(folder: Path) -> bool:
    """Whether the machines of `folder` run."""
    pids = [int(each.read_text()) for each in folder.glob("*/pid")]
    return bool(pids) and all(Path(f"/proc/{pid}").exists() for pid in pids)


def attach(folder: Path) -> World:
    """The lab that runs in `folder`, with the CA it was started with."""
    key = serialization.load_pem_private_key((folder / "ca.key").read_bytes(), None)
    certificate = x509.load_pem_x509_certificate((folder / "ca.crt").read_bytes())
    return _world(folder, Pair(cert=certificate, key=key))


def up(folder: Path) -> World:
    """Boot everything in `folder`, healthy."""
    programs = {name: go_programs(name) for name in ("containerd", "pull")}
    world = _world(folder, authority("Lab CA", not_before=_yesterday()))
    registry, nodes = world.registry, world.nodes
    world.keys.make()
    (folder / "ca.crt").write_bytes(world.ca.pem)
    (folder / "ca.key").write_bytes(world.ca.key_pem)
    (folder / "ca.key").chmod(0o600)
    for machine in world.machines:
        machine.mount()
    registry.write("/etc/docker/registry/config.yml", _REGISTRY)
    registry.write("/etc/systemd/system/docker-registry.service", _UNIT)
    leaf = world.leaf()
    registry.write("/certs/registry.crt", leaf.pem)
    registry.write("/certs/registry.key", leaf.key_pem, 0o600)
    _store_images(registry.root / "var/lib/docker-registry/docker/registry/v2")
    for name, node in nodes.items():
        node.write("/usr/local/bin/pull", (programs["pull"] / "pull").read_bytes(), 0o755)
        node.write("/etc/containerd/config.toml", CONFIG[name])
    for program in programs["containerd"].iterdir():
        nodes["n2"].write(f"/usr/local/bin/{program.name}", program.read_bytes(), 0o755)
    for machine in world.machines:
        say(f"booting {machine.name}")
        machine.boot()
    world.heal()
    return world


def sweep(folder: Path) -> None:
    """Take away what a killed lab left in `folder`: processes by their pid files, mounts."""
    for pid_file in folder.glob("*/pid"):
        say(f"ending a former {pid_file.parent.name}")
        end(pid_file)
    for root in folder.glob("*/root"):
        subprocess.run(["umount", "-l", str(root)], check=False, capture_output=True)
    shutil.rmtree(folder, ignore_errors=True)


def folder_of_runs() -> Path:
    """Where the running lab keeps its files."""
    return cache() / "run"


def _store_images(root: Path) -> None:
    """Two one-layer images, written as the registry itself stores them."""
    for repository, tag in (("demo/app", "1"), ("pause", "3.9")):
        layer = _layer(repository)
        config = {
            "architecture": "amd64", "os": "linux",
            "rootfs": {"type": "layers", "diff_ids": [_digest(gzip.decompress(layer))]},
        }  # fmt: skip
        blobs = [json.dumps(config).encode(), layer]
        kinds = ("config.v1+json", "layer.v1.tar+gzip")
        described = [
            {"mediaType": f"application/vnd.oci.image.{k}", "digest": _digest(b), "size": len(b)}
            for k, b in zip(kinds, blobs, strict=True)
        ]
        manifest = json.dumps(
            {
                "schemaVersion": 2,
                "mediaType": "application/vnd.oci.image.manifest.v1+json",
                "config": described[0],
                "layers": described[1:],
            }
        ).encode()
        for blob in (*blobs, manifest):
            _write(root / "blobs/sha256" / _digest(blob)[7:9] / _digest(blob)[7:] / "data", blob)
            if blob is not manifest:
                _link(root / f"repositories/{repository}/_layers/sha256", blob)
        _link(root / f"repositories/{repository}/_manifests/revisions/sha256", manifest)
        tags = root / f"repositories/{repository}/_manifests/tags/{tag}"
        _link(tags / "index/sha256", manifest)
        _write(tags / "current/link", _digest(manifest).encode())


def _layer(text: str) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        info = tarfile.TarInfo("content")
        info.size = len(text)
        archive.addfile(info, io.BytesIO(text.encode()))
    return gzip.compress(out.getvalue(), mtime=0)


def _digest(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def _link(folder: Path, content: bytes) -> None:
    _write(folder / _digest(content)[7:] / "link", _digest(content).encode())


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
