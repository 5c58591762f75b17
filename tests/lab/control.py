"""The control plane: etcd, the API server and its controllers, as processes of this machine."""

from __future__ import annotations

import base64
import json
import os
import signal
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from support.certs import Pair, authority

from lab.machines import is_of, is_over, until
from lab.network import OUTER, SERVICES
from lab.pki import party, yesterday
from lab.programs import etcd, go_programs, say

API = f"https://{OUTER}:6443"
_ETCD, _PEERS = "http://127.0.0.1:12379", "http://127.0.0.1:12380"
_START_S = 180.0


class Control:
    """All of it, with its files in `folder`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.kubeconfig = folder / "admin.kubeconfig"
        self.programs = go_programs("kubernetes")
        self.ca: Pair = authority("Lab Kubernetes", not_before=yesterday())

    def start(self) -> None:
        """Start everything and wait until the API server says that it is ready."""
        self.folder.mkdir(parents=True)
        self._write_files()
        self._run("etcd", etcd(), _etcd_words(self.folder))
        self._run("kube-apiserver", self.programs / "kube-apiserver", self._api_words())
        until("the API server", lambda: self.asks("get", "--raw=/readyz") == "ok", _START_S)
        for name, words in (
            ("kube-controller-manager", self._manager_words()),
            ("kube-scheduler", ["--leader-elect=false", "--bind-address=127.0.0.1"]),
        ):
            more = f"--kubeconfig={self.kubeconfig}"
            self._run(name, self.programs / name, [more, *words])

    def kubectl(self, *words: str, given: str = "", check: bool = True) -> str:
        """Run kubectl as the cluster's administrator; what it printed."""
        argv = [str(self.programs / "kubectl"), f"--kubeconfig={self.kubeconfig}", *words]
        done = subprocess.run(
            argv, input=given, capture_output=True, text=True, check=False, timeout=120
        )
        if check and done.returncode:
            message = f"kubectl {' '.join(words)} ended with {done.returncode}: {done.stderr}"
            raise RuntimeError(message)
        return done.stdout if not done.returncode else ""

    def asks(self, *words: str) -> str:
        """What kubectl prints; '' while the API server does not answer."""
        return self.kubectl(*words, check=False).strip()

    def apply(self, *objects: object) -> None:
        """Have the objects be there."""
        items = {"apiVersion": "v1", "kind": "List", "items": objects}
        self.kubectl("apply", "--server-side", "-f", "-", given=json.dumps(items))

    def kubeconfig_of(self, common_name: str, group: str = "") -> str:
        """A kubeconfig for another party, its key inside."""
        return _kubeconfig(self.ca, party(self.ca, common_name, group=group))

    def _write_files(self) -> None:
        write = _writer(self.folder)
        service = party(self.ca, "service-accounts")
        names = (
            OUTER, "10.96.0.1", "kubernetes", "kubernetes.default", "kubernetes.default.svc",
            "kubernetes.default.svc.cluster.local",
        )  # fmt: skip
        server = party(self.ca, "kube-apiserver", names=names)
        client = party(self.ca, "kubelet-client", group="system:masters")
        for name, pair in (("ca", self.ca), ("server", server), ("kubelet-client", client)):
            write(f"{name}.crt", pair.pem)
            write(f"{name}.key", pair.key_pem)
        write("accounts.key", service.key_pem)
        write("accounts.pub", _public(service))
        admin = self.kubeconfig_of("lab-admin", "system:masters")
        write(self.kubeconfig.name, admin.encode())

    def _api_words(self) -> list[str]:
        at = self.folder
        return [
            f"--etcd-servers={_ETCD}", "--secure-port=6443",
            f"--bind-address={OUTER}", f"--advertise-address={OUTER}",
            f"--client-ca-file={at}/ca.crt",
            f"--tls-cert-file={at}/server.crt", f"--tls-private-key-file={at}/server.key",
            f"--service-account-key-file={at}/accounts.pub",
            f"--service-account-signing-key-file={at}/accounts.key",
            "--service-account-issuer=https://kubernetes.default.svc.cluster.local",
            f"--service-cluster-ip-range={SERVICES}", "--authorization-mode=Node,RBAC",
            "--enable-admission-plugins=NodeRestriction", "--allow-privileged=true",
            f"--kubelet-client-certificate={at}/kubelet-client.crt",
            f"--kubelet-client-key={at}/kubelet-client.key",
            f"--kubelet-certificate-authority={at}/ca.crt",
            "--kubelet-preferred-address-types=InternalIP",
        ]  # fmt: skip

    def _manager_words(self) -> list[str]:
        at = self.folder
        return [
            "--leader-elect=false", "--bind-address=127.0.0.1",
            f"--root-ca-file={at}/ca.crt",
            f"--service-account-private-key-file={at}/accounts.key",
            f"--cluster-signing-cert-file={at}/ca.crt", f"--cluster-signing-key-file={at}/ca.key",
            "--use-service-account-credentials", "--allocate-node-cidrs=false",
        ]  # fmt: skip

    def _run(self, name: str, program: Path, words: Sequence[str]) -> None:
        with (self.folder / f"{name}.log").open("wb") as log:
            process = subprocess.Popen(
                [str(program), *words], stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                start_new_session=True,
            )  # fmt: skip
        (self.folder / f"{name}.pid").write_text(str(process.pid))


def stop(folder: Path) -> None:
    """End the control plane whose pid files lie in `folder`, the last started first."""
    names = ("kube-scheduler", "kube-controller-manager", "kube-apiserver", "etcd")
    for name in names:
        pid_file = folder / f"{name}.pid"
        pid = int(pid_file.read_text()) if pid_file.exists() else 0
        process = Path(f"/proc/{pid}")
        if is_of(pid, folder):
            say(f"ending {name}")
            os.kill(pid, signal.SIGTERM)
            try:
                until(f"the end of {name}", lambda at=process: is_over(at), 10)
            except TimeoutError:
                os.kill(pid, signal.SIGKILL)
                until(f"the end of {name}", lambda at=process: is_over(at), 10)
        pid_file.unlink(missing_ok=True)


def _etcd_words(folder: Path) -> list[str]:
    return [
        f"--data-dir={folder}/etcd", f"--listen-client-urls={_ETCD}",
        f"--advertise-client-urls={_ETCD}", f"--listen-peer-urls={_PEERS}",
        f"--initial-advertise-peer-urls={_PEERS}", f"--initial-cluster=default={_PEERS}",
    ]  # fmt: skip


def _writer(folder: Path) -> Callable[[str, bytes], None]:
    def write(name: str, content: bytes) -> None:
        path = folder / name
        path.touch(mode=0o600)
        path.write_bytes(content)

    return write


def _public(pair: Pair) -> bytes:
    public: bytes = pair.key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return public


def _kubeconfig(ca: Pair, pair: Pair) -> str:
    def data(content: bytes) -> str:
        return base64.b64encode(content).decode()

    cluster = {"server": API, "certificate-authority-data": data(ca.pem)}
    user = {"client-certificate-data": data(pair.pem), "client-key-data": data(pair.key_pem)}
    return json.dumps(
        {
            "apiVersion": "v1", "kind": "Config", "current-context": "lab",
            "clusters": [{"name": "lab", "cluster": cluster}],
            "users": [{"name": "lab", "user": user}],
            "contexts": [{"name": "lab", "context": {"cluster": "lab", "user": "lab"}}],
        }
    )  # fmt: skip
