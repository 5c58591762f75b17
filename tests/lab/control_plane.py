"""A real API server and its etcd on loopback, with certificates and tokens made for the test."""

from __future__ import annotations

import json
import secrets
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from support.certs import authority, issue

from lab.programs import etcd, go_programs

_START_S = 60.0
_CONTROLLERS = ("deployment", "replicaset", "statefulset", "namespace", "serviceaccount")


@dataclass(frozen=True, slots=True, kw_only=True)
class ControlPlane:
    """A running API server; `kubeconfig` is its administrator's."""

    folder: Path
    url: str
    kubectl_path: Path
    kubeconfig: Path

    def kubectl(self, *words: str, given: str = "", check: bool = True) -> str:
        """What kubectl printed; with `check` off, what it complained of as well."""
        argv = [str(self.kubectl_path), f"--kubeconfig={self.kubeconfig}", *words]
        done = subprocess.run(
            argv, input=given, capture_output=True, text=True, check=False, timeout=60
        )
        assert not check or done.returncode == 0, done.stderr
        return done.stdout if check else done.stdout + done.stderr

    def kubeconfig_with(self, name: str, token: str) -> Path:
        """A kubeconfig in the folder whose account is known by `token`."""
        path = self.folder / name
        cluster = {"server": self.url, "certificate-authority": str(self.folder / "ca.crt")}
        path.write_text(
            json.dumps(
                {
                    "apiVersion": "v1",
                    "kind": "Config",
                    "current-context": "c",
                    "clusters": [{"name": "c", "cluster": cluster}],
                    "users": [{"name": "u", "user": {"token": token}}],
                    "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
                }
            )
        )
        return path


@contextmanager
def control_plane(folder: Path) -> Iterator[ControlPlane]:
    """Start both in `folder`, on free ports of 127.0.0.1; they end with the context."""
    kubernetes = go_programs("kubernetes")
    ports = _free_ports(3)
    token = _write_files(folder)
    url = f"https://127.0.0.1:{ports[2]}"
    made = ControlPlane(
        folder=folder, url=url, kubectl_path=kubernetes / "kubectl", kubeconfig=folder / "admin"
    )
    made.kubeconfig_with("admin", token)
    with ExitStack() as running:
        running.enter_context(_process(folder, etcd(), _etcd_words(folder, ports)))
        server = kubernetes / "kube-apiserver"
        running.enter_context(_process(folder, server, _server_words(folder, ports)))
        _wait(made)
        yield made


@contextmanager
def controllers(made: ControlPlane) -> Iterator[None]:
    """Run what makes pods of workloads, writes their status, and empties deleted namespaces."""
    (port,) = _free_ports(1)
    words = [
        f"--kubeconfig={made.kubeconfig}", "--leader-elect=false", "--bind-address=127.0.0.1",
        f"--secure-port={port}", "--use-service-account-credentials=false",
        f"--service-account-private-key-file={made.folder}/accounts.key",
        f"--controllers={','.join(f'{name}-controller' for name in _CONTROLLERS)}",
    ]  # fmt: skip
    program = made.kubectl_path.with_name("kube-controller-manager")
    with _process(made.folder, program, words):
        yield


def _write_files(folder: Path) -> str:
    """Certificates, the service accounts' key and the administrator's token, which it gives."""
    ca = authority("kubernetes", not_before=datetime(2020, 1, 1, tzinfo=UTC))
    names = ("127.0.0.1", "localhost", "kubernetes.default.svc")
    server = issue(common_name="kube-apiserver", san=names, by=ca)
    token = secrets.token_hex(16)
    key = server.key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    for name, content in {
        "ca.crt": ca.pem,
        "server.crt": server.pem,
        "server.key": server.key_pem,
        "accounts.key": server.key_pem,
        "accounts.pub": key,
        "tokens.csv": f"{token},admin,admin,system:masters\n".encode(),
    }.items():
        (folder / name).write_bytes(content)
        (folder / name).chmod(0o600)
    return token


def _etcd_words(folder: Path, ports: Sequence[int]) -> list[str]:
    clients, peers = (f"http://127.0.0.1:{port}" for port in ports[:2])
    return [
        f"--data-dir={folder}/etcd", f"--listen-client-urls={clients}",
        f"--advertise-client-urls={clients}", f"--listen-peer-urls={peers}",
        f"--initial-advertise-peer-urls={peers}", f"--initial-cluster=default={peers}",
        "--unsafe-no-fsync",
    ]  # fmt: skip


def _server_words(folder: Path, ports: Sequence[int]) -> list[str]:
    return [
        f"--etcd-servers=http://127.0.0.1:{ports[0]}", f"--secure-port={ports[2]}",
        "--bind-address=127.0.0.1", "--advertise-address=127.0.0.1",
        f"--tls-cert-file={folder}/server.crt", f"--tls-private-key-file={folder}/server.key",
        f"--token-auth-file={folder}/tokens.csv",
        f"--service-account-key-file={folder}/accounts.pub",
        f"--service-account-signing-key-file={folder}/accounts.key",
        "--service-account-issuer=https://kubernetes.default.svc",
        "--service-cluster-ip-range=10.96.0.0/16", "--authorization-mode=RBAC",
        "--endpoint-reconciler-type=none",
    ]  # fmt: skip


@contextmanager
def _process(folder: Path, program: Path, words: Sequence[str]) -> Iterator[None]:
    with (folder / f"{program.name}.log").open("wb") as log:
        process = subprocess.Popen(
            [str(program), *words], stdin=subprocess.DEVNULL, stdout=log, stderr=log
        )
    try:
        yield
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait(made: ControlPlane) -> None:
    ends_at = time.monotonic() + _START_S
    while made.kubectl("get", "--raw=/readyz", check=False) != "ok":
        if time.monotonic() > ends_at:
            said = (made.folder / "kube-apiserver.log").read_text()[-2000:]
            message = f"the API server is not ready after {_START_S:g} s: {said}"
            raise TimeoutError(message)
        time.sleep(0.2)


def _free_ports(count: int) -> list[int]:
    with ExitStack() as opened:
        found = [opened.enter_context(socket.socket()) for _ in range(count)]
        for each in found:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in found]
