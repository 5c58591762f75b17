"""A machine's root as a folder, with everything in it that makes reading hard."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from support import certs, needs

HUSH = "hunter2-must-not-travel"
CONFIG = f"""version = 2
imports = ["/etc/x/*.toml",
  "conf.d/own.toml", "/opt/more.conf"]
[plugins."io.containerd.grpc.v1.cri".registry]
  config_path = "/opt/certs one:/opt/certs2"
[plugins."io.containerd.grpc.v1.cri".registry.configs."registry.local".auth]
  username = "bob"
  password = "{HUSH}"
[plugins."io.containerd.grpc.v1.cri".registry.configs."registry.local".tls]
  ca_file = "/opt/my ca.pem"
"""


class Root:
    """A folder that is filled with files."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def put(self, path: str, content: bytes | str, mode: int = 0o644) -> Path:
        file = self.folder / path.lstrip("/")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content if isinstance(content, bytes) else content.encode())
        file.chmod(mode)
        os.utime(file, (1_790_000_000.25, 1_790_000_000.25))
        return file

    def link(self, path: str, leads: str) -> None:
        file = self.folder / path.lstrip("/")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.symlink_to(leads)

    def with_busybox(self) -> Root:
        """Add a shell and every tool of busybox, so that a program can run in it."""
        for each in ("bin", "dev", "proc", "tmp"):
            (self.folder / each).mkdir(exist_ok=True)
        (self.folder / "dev/null").touch(mode=0o666)
        busybox = needs.program("busybox")
        shutil.copy(busybox, self.folder / "bin/busybox")
        listed = subprocess.run([busybox, "--list"], check=True, capture_output=True, text=True)
        for name in listed.stdout.split():
            if name != "busybox":
                self.link(f"/bin/{name}", "busybox")
        return self


def full(folder: Path, ca: certs.Pair) -> Root:
    """A node with a broken and a leaking anchor, an import, two certs.d roots and odd links."""
    root = Root(folder)
    key = ca.key_pem
    root.put("/etc/os-release", 'ID=alpine\nVERSION_ID="3.20"\nPRETTY_NAME="Alpine Linux"\n')
    root.put("/etc/hosts", "127.0.0.1 localhost")
    root.link("/etc/nsswitch.conf", "/usr/share/nowhere")
    root.link("/etc/resolv.conf", "../run/resolv.conf")
    root.put("/run/resolv.conf", "nameserver 10.0.0.53\n")
    root.put("/etc/containerd/config.toml", CONFIG, 0o600)
    root.put("/etc/containerd/conf.d/own.toml", "version = 2\n")
    root.put("/etc/x/one.toml", 'version = 2\nca = "/opt/other.pem"\n')
    root.put("/opt/more.conf", f'version = 2\ntoken = "{HUSH}"\n')
    root.put("/etc/x/no-toml", "not imported")
    root.put("/opt/my ca.pem", f"no certificate: {HUSH}\n")
    root.put("/opt/certs one/h:5/hosts.toml", f'[host."https://h".header]\nX = "{HUSH}"\n')
    root.put("/opt/certs one/h:5/ca.crt", ca.pem)
    root.put("/opt/certs one/h:5/client.key", key, 0o600)
    anchors = "/usr/local/share/ca-certificates"
    root.put(f"{anchors}/sub dir/\u00fc x.crt", ca.pem + key)
    root.put(f"{anchors}/empty.crt", "")
    root.put(f"{anchors}/cut.crt", ca.pem[:200])
    root.put("/etc/pki/ca-trust/source/anchors/ca.der", ca.der)
    root.put("/etc/pki/ca-trust/source/anchors/more.der", ca.der + b"more")
    os.mkfifo(root.folder / "etc/pki/ca-trust/source/anchors/pipe")
    root.put("/etc/ssl/certs/ca-certificates.crt", ca.pem)
    root.link("/etc/ssl/certs/own.pem", "/opt/certs one/h:5/ca.crt")
    root.link("/etc/ssl/certs/shipped.pem", "/usr/share/ca-certificates/shipped.crt")
    root.link("/etc/ssl/certs/01234567.0", "shipped.pem")
    root.put(
        "/etc/rancher/k3s/registries.yaml",
        f"configs:\n  h:\n    auth:\n      password: {HUSH}\n"
        "    tls:\n      ca_file: /opt/other.pem\n",
    )
    root.put("/opt/other.pem", ca.pem)
    root.put("/etc/docker/daemon.json", '{"insecure-registries": ["registry.local"]}\n')
    root.put("/etc/default/docker", f"export http_proxy=http://bob:{HUSH}@p:1\nTOKEN={HUSH}\n")
    return root
