"""The schedules, installed as docs/schedules.md says: a CronJob's objects, units on a bastion."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from support import deliveries, policy_crds

from lab import product
from lab.machines import Link, Machine, until
from lab.network import ADDRESSES, BRIDGE
from lab.programs import BASTION_PACKAGES

if TYPE_CHECKING:
    from lab.cluster import Cluster

BASTION, BASTION_ADDRESS = "bastion", "10.97.0.20"
HOOK = "/var/lib/hook-ran"
_IMAGE = f"{product.HOST}/gapcheck:1"
_SPACE, _VOLUME, _NODE = "gapcheck", "/var/lib/gapcheck-history", "n2"
_CODE = re.compile(r"failed with exit code (\d+)")
_RUN_S = 120.0
# The wheelhouse is for the bastion's Python, the image for its own.
_DELIVERED = ("--part", "wheelhouse", "--part", "image", "--python", "3.11", "--python", "3.13")
_SSH = """Host lab-*
  User root
  IdentityFile {folder}/id
  IdentitiesOnly yes
  UserKnownHostsFile {folder}/known_hosts
  StrictHostKeyChecking yes
  LogLevel ERROR
"""
_INSTALL = """set -e
tar -xf /carried/*-wheelhouse-*.tar -C /opt
python3 -m venv /opt/gapcheck
/opt/gapcheck/bin/pip install -q --no-index --find-links /opt/gapcheck-*-wheelhouse gapcheck
ln -s /opt/gapcheck/bin/gapcheck /usr/local/bin/gapcheck
cd /etc/gapcheck
gapcheck export systemd --site site.yaml --on-failure hook.service -o /etc/systemd/system
systemctl daemon-reload
systemctl enable --now gapcheck.timer
"""
_HOOK = f"""[Service]
Type=oneshot
ExecStart=/bin/sh -c 'echo ran >> {HOOK}'
"""
_START = """systemctl start gapcheck.service || :
systemctl show -p ExecMainStatus --value gapcheck.service
journalctl --no-pager -o cat _SYSTEMD_INVOCATION_ID="$(
    systemctl show -p InvocationID --value gapcheck.service)"
"""


@dataclass(frozen=True, kw_only=True)
class Ran:
    """One scheduled run: its exit code, what stands in its log, and its JSON report."""

    code: int
    log: str
    report: Any

    def changed_facts(self) -> set[str]:
        """The names of the facts that differ."""
        return {each["fact"] for each in self.report["drift"]["facts"]}


def deliver(out: Path) -> None:
    """Build what is carried into the site: wheelhouse and image."""
    deliveries.build(out, *_DELIVERED)


def _site(cluster: Cluster) -> str:
    """The site file for another machine, which reaches the lab's by names of its own."""
    site = json.loads(cluster.site_file.read_text())
    for node in site["nodes"]:
        node["target"] = f"ssh://root@lab-{node['name']}"
    site["registry"]["target"] = "ssh://root@lab-registry"
    return json.dumps(site, indent=2)


def _ssh_files(cluster: Cluster, folder: str) -> dict[str, bytes]:
    """What ssh needs, lying in `folder` of wherever it runs."""
    hosts = (f"Host lab-{name}\n  HostName {address}\n" for name, address in ADDRESSES.items())
    return {
        "config": (_SSH.format(folder=folder) + "".join(hosts)).encode(),
        "id": (cluster.keys.folder / "key").read_bytes(),
        "known_hosts": (cluster.keys.folder / "known_hosts").read_bytes(),
    }


class InCluster:
    """The CronJob and all that belongs to it; its volume is a folder of a node."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._kubectl = cluster.control.kubectl

    def install(self, delivery: Path) -> str:
        """Push the image, make the objects; what the export said is left to do."""
        (image,) = delivery.glob("*-image-*.tar")
        source, trust = f"oci-archive:{image}", self._cluster.folder / "trust"
        argv = ["skopeo", "copy", "--quiet", "--insecure-policy", f"--dest-cert-dir={trust}"]
        subprocess.run([*argv, source, f"docker://{_IMAGE}"], check=True, timeout=300)
        for path in policy_crds.files():
            self._kubectl("apply", "--server-side", "-f", str(path))
        self._kubectl("wait", "--for=condition=Established", "crd", "--all", "--timeout=30s")
        self._cluster.nodes[_NODE].run(f"mkdir -p {_VOLUME} && chmod 0777 {_VOLUME}")
        self._cluster.control.apply(_volume())
        site_file = self._cluster.site_file.with_name("site-in-cluster.yaml")
        site_file.write_text(_site(self._cluster))
        words = ["export", "cronjob", "--image", _IMAGE, "--ssh-secret", "gapcheck-ssh"]
        done = subprocess.run(
            [sys.executable, "-m", "gapcheck", *words, "--site", str(site_file)],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        self._kubectl("apply", "--server-side", "-f", "-", given=done.stdout)
        folder = self._cluster.folder / "ssh-secret"
        folder.mkdir(exist_ok=True)
        for name, content in _ssh_files(self._cluster, "/etc/gapcheck/ssh").items():
            (folder / name).touch(mode=0o600)
            (folder / name).write_bytes(content)
        words = ["create", "secret", "generic", "gapcheck-ssh", "-n", _SPACE]
        self._kubectl(*words, f"--from-file={folder}")
        return done.stderr

    def run(self, name: str) -> Ran:
        """Have the job run now, and wait for its end."""
        self._kubectl("create", "job", name, "--from=cronjob/gapcheck", "-n", _SPACE)
        ended: dict[str, str] = {}

        def is_over() -> bool:
            said = self._cluster.control.asks("get", "job", name, "-n", _SPACE, "-o", "json")
            for each in json.loads(said)["status"].get("conditions", []) if said else []:
                if each["status"] == "True" and each["type"] in ("Complete", "Failed"):
                    ended.update(each)
            return bool(ended)

        until(f"the job {name}", is_over, _RUN_S)
        log = self._kubectl("logs", f"job/{name}", "-n", _SPACE)
        code = _CODE.search(ended["message"])
        assert code or ended["type"] == "Complete", ended
        report = self._cluster.nodes[_NODE].root / f"{_VOLUME}/report.json".lstrip("/")
        return Ran(code=int(code[1]) if code else 0, log=log, report=json.loads(report.read_text()))

    def remove(self) -> None:
        """Take all of it away again, the definitions excepted."""
        for kind, name in (("namespace", _SPACE), ("persistentvolume", "gapcheck-history")):
            self._kubectl("delete", kind, name, "--ignore-not-found", "--wait=false")
        self._cluster.site_file.with_name("site-in-cluster.yaml").unlink(missing_ok=True)


def _volume() -> dict[str, object]:
    expression = {"key": "kubernetes.io/hostname", "operator": "In", "values": [_NODE]}
    there = {"required": {"nodeSelectorTerms": [{"matchExpressions": [expression]}]}}
    spec = {
        "capacity": {"storage": "1Gi"}, "accessModes": ["ReadWriteOnce"],
        "hostPath": {"path": _VOLUME, "type": "Directory"}, "nodeAffinity": there,
    }  # fmt: skip
    metadata = {"name": "gapcheck-history"}
    return {"apiVersion": "v1", "kind": "PersistentVolume", "metadata": metadata, "spec": spec}


class Bastion:
    """A machine beside the nodes, with gapcheck installed offline and its timer enabled."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine

    def run(self) -> Ran:
        """Start the service as its timer does, and wait for its end."""
        code, _, log = self.machine.run(_START).stdout.partition("\n")
        report = self.machine.root / "var/lib/gapcheck/report.json"
        return Ran(code=int(code), log=log, report=json.loads(report.read_text()))

    def hooks(self) -> int:
        """How often a run that did not end well has started the unit of --on-failure."""
        return self.machine.run(f"cat {HOOK} 2>/dev/null || :").stdout.count("ran")


@contextmanager
def bastion(cluster: Cluster, delivery: Path) -> Iterator[Bastion]:
    """Boot it, install, and end it afterwards."""
    link = Link(bridge=BRIDGE, address=BASTION_ADDRESS)
    machine = Machine(BASTION, cluster.folder / BASTION, cluster.keys, link=link)
    machine.packages, machine.binds = BASTION_PACKAGES, {}
    machine.shared = {"/carried": delivery}
    machine.mount()
    try:
        name = f"{ADDRESSES['registry']} {product.HOST}\n"
        machine.write("/etc/hosts", f"127.0.0.1 localhost\n::1 localhost\n{name}")
        for file, content in _ssh_files(cluster, "/root/.ssh").items():
            machine.write(f"/root/.ssh/{file}", content, 0o600)
        shutil.copytree(cluster.site_file.parent, machine.root / "etc/gapcheck")
        machine.write("/etc/gapcheck/site.yaml", _site(cluster))
        machine.write("/etc/systemd/system/hook.service", _HOOK)
        machine.boot()
        machine.run(_INSTALL, timeout_s=300)
        yield Bastion(machine)
    finally:
        machine.stop(at_once=True)
