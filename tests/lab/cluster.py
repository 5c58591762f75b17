"""The whole lab: a registry machine, two nodes, a control plane, and the product on them."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from time import monotonic

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from support.certs import Pair, authority, issue

from lab import control as control_plane
from lab import product
from lab.control import Control
from lab.images import every_image, push
from lab.kubelet import prepare_cgroups, prepare_node
from lab.machines import Keys, Machine, end, is_of, until
from lab.network import ADDRESSES, link_of, raise_bridge, remove_bridge
from lab.pki import yesterday
from lab.programs import (
    BASTION_PACKAGES,
    KUBE_PACKAGES,
    NODE_PACKAGES,
    PROGRAMS,
    PYTHON_PACKAGES,
    REGISTRY_PACKAGES,
    base_root,
    cache,
    etcd,
    go_programs,
    install_host_packages,
    say,
)
from lab.registries import HOST, Registry, binds_of, names

_CGROUPS = Path("/sys/fs/cgroup")
_READY_S = 180.0
_READY = "ready"


@dataclass
class Cluster:
    """Everything that runs, and the folder of its site file."""

    folder: Path
    keys: Keys
    registry: Registry
    nodes: dict[str, Machine]
    control: Control
    ca: Pair

    @property
    def machines(self) -> dict[str, Machine]:
        return {"registry": self.registry.machine, **self.nodes}

    @property
    def site_file(self) -> Path:
        return self.folder / "site/site.yaml"

    def leaf(self, **changes: object) -> Pair:
        """A right certificate of the registry, but for `changes`."""
        given = {
            "san": (HOST, ADDRESSES["registry"]), "not_before": yesterday(), "days": 300,
            "by": self.ca, **changes,
        }  # fmt: skip
        return issue(**given)  # type: ignore[arg-type] # the builder takes any field

    def is_ready(self, name: str) -> bool:
        """Whether the API server calls the node ready."""
        said = self.control.asks("get", "node", name, "-o", "json")
        conditions = json.loads(said)["status"].get("conditions", []) if said else []
        return {each["type"]: each["status"] for each in conditions}.get("Ready") == "True"

    def reset(self, name: str) -> None:
        """Make one machine anew, as it was when the lab came up, and wait until it serves."""
        machine = self.machines[name]
        machine.stop(at_once=True)
        _sweep_cgroups(name)
        if name in self.nodes:
            # What it said before its end must not count as what the new one says.
            self.control.asks("delete", "node", name)
        self._boot(machine)
        if name in self.nodes:
            until(f"node {name}", lambda: self.is_ready(name), _READY_S)
        else:
            self.registry.start()
            self._push()

    def _prepare(self, machine: Machine) -> None:
        machine.mount()
        if machine.name in self.nodes:
            prepare_node(machine, self.control, self.ca.pem)
        else:
            prepare_cgroups(machine)
            self.registry.prepare(self.leaf())

    def _push(self) -> None:
        trust = self.folder / "trust"
        trust.mkdir(exist_ok=True)
        (trust / "ca.crt").write_bytes(self.ca.pem)
        for image in every_image():
            push(image, HOST, trust)

    def up(self) -> None:
        """Boot everything, healthy."""
        _write_pair(self.folder / "ca", self.ca)
        (self.folder / "kind").write_text(self.registry.kind)
        self.keys.make()
        raise_bridge(self.folder, names())
        with _step("the control plane"):
            self.control.start()
        with _step("the machines"), ThreadPoolExecutor() as pool:
            list(pool.map(self._boot, self.machines.values()))
        with _step(f"the registry ({self.registry.kind}) and its images"):
            self.registry.start()
            self._push()
        with _step("the nodes"):
            for name in self.nodes:
                until(f"node {name}", lambda at=name: self.is_ready(at), _READY_S)
        with _step("the product"):
            product.install_dns(self.control)
            self.write_site()
            product.install_product(self.control, self.site_file.parent, self.ca.pem)
            product.wait_ready(self.control)

    def heal(self) -> None:
        """Make the product, CoreDNS and the site's files right again; machines are reset apart."""
        product.heal_dns(self.control)
        product.remove_product(self.control)
        self.write_site()
        product.install_product(self.control, self.site_file.parent, self.ca.pem)
        product.wait_ready(self.control)

    def _boot(self, machine: Machine) -> None:
        self._prepare(machine)
        machine.boot()

    def write_site(self) -> None:
        """Write the folder of the site file: the CA, its key, the kubeconfig, the site itself."""
        folder = self.site_file.parent
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        (folder / "ca.crt").write_bytes(self.ca.pem)
        _write_pair(folder / "issuer/ca", self.ca)
        shutil.copy(self.control.kubeconfig, folder / "kubeconfig")
        self.site_file.write_text(json.dumps(self._site(), indent=2) + "\n")

    def _site(self) -> dict[str, object]:
        registry = {
            "host": HOST, "address": ADDRESSES["registry"], "ca_file": "ca.crt",
            "target": self.registry.machine.hostspec,
            "certificate": "/certs/registry.crt", "key": "/certs/registry.key",
            "issuer": {"certificate": "issuer/ca.crt", "key": "issuer/ca.key"},
            "storage": self.registry.storage, **self.registry.reload,
            "images": [image.reference(HOST) for image in every_image()],
            "images_from": "release",
        }  # fmt: skip
        secret = {"name": product.SECRET, "key": product.KEY}
        return {
            "version": 1, "name": "lab", "registry": registry,
            "nodes": [{"name": name, "target": each.hostspec} for name, each in self.nodes.items()],
            "cluster": {"kubeconfig": "kubeconfig"},
            "release": {
                "name": "coder", "namespace": product.NAMESPACE, "profile": "coder-v1",
                "secret": secret, "values": ["values.yaml", "registry-cert-values.yml"],
            },
        }  # fmt: skip


def folder_of_cluster() -> Path:
    """Where the running lab keeps its files."""
    return cache() / "cluster"


def is_up(folder: Path) -> bool:
    """Whether a lab came up in `folder` and every process of it still runs."""
    pids = [int(each.read_text()) for each in _pid_files(folder)]
    return (folder / _READY).exists() and all(is_of(pid, folder) for pid in pids)


def build() -> None:
    """Have everything that is built once: minutes on a new machine, a second on this one."""
    install_host_packages()
    for product_name in PROGRAMS:
        go_programs(product_name)
    etcd()
    for packages in (
        NODE_PACKAGES, KUBE_PACKAGES, PYTHON_PACKAGES, REGISTRY_PACKAGES, BASTION_PACKAGES,
    ):  # fmt: skip
        base_root(packages)
    for image in every_image():
        image.layout()


def up(folder: Path, kind: str) -> Cluster:
    """Build what is missing, sweep what a killed lab left, boot, and install."""
    build()
    sweep(folder)
    folder.mkdir(parents=True)
    ca = authority("Lab Registry CA", not_before=yesterday())
    running = _cluster(folder, ca, kind)
    running.up()
    (folder / _READY).touch()
    return running


def attach(folder: Path) -> Cluster:
    """The lab that runs in `folder`, with the CAs it was started with."""
    found = _cluster(folder, _read_pair(folder / "ca"), (folder / "kind").read_text())
    found.control.ca = _read_pair(folder / "control/ca")
    return found


def sweep(folder: Path) -> None:
    """Take everything of the lab in `folder` away: processes, mounts, bridge, cgroups, files."""
    for root in sorted(folder.glob("*/root")):
        pid_file = root.with_name("pid")
        if pid_file.exists():
            say(f"ending the machine {root.parent.name}")
        end(pid_file, at_once=True)
        _unmount(root)
    control_plane.stop(folder / "control")
    remove_bridge(folder)
    for name in ADDRESSES:
        _sweep_cgroups(name)
    shutil.rmtree(folder, ignore_errors=True)


def _cluster(folder: Path, ca: Pair, kind: str) -> Cluster:
    keys = Keys(folder=folder / "ssh")
    machines = {name: Machine(name, folder / name, keys, link=link_of(name)) for name in ADDRESSES}
    holder = machines.pop("registry")
    holder.packages, holder.binds = REGISTRY_PACKAGES, binds_of(holder.folder)
    for node in machines.values():
        node.packages = KUBE_PACKAGES
    machines["n1"].packages = PYTHON_PACKAGES
    registry = Registry(kind=kind, machine=holder)
    return Cluster(folder, keys, registry, machines, Control(folder / "control"), ca)


def _pid_files(folder: Path) -> list[Path]:
    machines = (folder / name / "pid" for name in ADDRESSES)
    return [*(each for each in machines if each.exists()), *folder.glob("control/*.pid")]


def _unmount(root: Path) -> None:
    subprocess.run(["umount", "-l", str(root)], check=False, capture_output=True)


def _sweep_cgroups(name: str) -> None:
    """Remove a node's cgroups, the deepest first; its pods ended with their machine."""
    for root in _CGROUPS.glob(f"*/lab-{name}"):
        for folder in sorted((root, *root.rglob("*/")), key=lambda each: -len(each.parts)):
            if folder.is_dir():
                until(f"the end of {folder}", lambda at=folder: _removes(at), 10)


def _removes(folder: Path) -> bool:
    try:
        folder.rmdir()
    except FileNotFoundError:
        return True
    except OSError:
        return False
    return True


def _write_pair(path: Path, pair: Pair) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.with_suffix(".crt").write_bytes(pair.pem)
    key = path.with_suffix(".key")
    key.touch(mode=0o600)
    key.write_bytes(pair.key_pem)


def _read_pair(path: Path) -> Pair:
    key = serialization.load_pem_private_key(path.with_suffix(".key").read_bytes(), None)
    return Pair(cert=x509.load_pem_x509_certificate(path.with_suffix(".crt").read_bytes()), key=key)


@contextmanager
def _step(what: str) -> Iterator[None]:
    began = monotonic()
    say(f"starting {what}")
    yield
    say(f"started {what} in {monotonic() - began:.1f} s")
