"""What the lab runs, built once: Go programs by their sources, the Debian root by its packages.

All of it is kept outside the clone, in $GAPCHECK_LAB_CACHE or ~/.cache/gapcheck-lab.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

GO = Path(__file__).parent / "go"
HOST_PACKAGES = (
    "mmdebstrap", "systemd-container", "openssh-client", "skopeo", "iproute2", "busybox-static",
)  # fmt: skip
NODE_PACKAGES = (
    "systemd", "systemd-sysv", "openssh-server", "containerd", "ca-certificates", "iproute2",
    "procps", "dbus", "openssl", "docker-registry",
)  # fmt: skip
KUBE_PACKAGES = (*NODE_PACKAGES, "iptables", "containernetworking-plugins", "conntrack")
# Ansible's modules need Python on their node; the other node shows that gapcheck needs none.
PYTHON_PACKAGES = (*KUBE_PACKAGES, "python3")
REGISTRY_PACKAGES = (*NODE_PACKAGES, "docker.io", "iptables", "busybox-static")
BASTION_PACKAGES = (
    "systemd", "systemd-sysv", "openssh-server", "openssh-client", "python3", "python3-venv",
    "ca-certificates", "dbus", "procps", "iproute2",
)  # fmt: skip
PROGRAMS = {
    "containerd": (
        "github.com/containerd/containerd/v2/cmd/containerd",
        "github.com/containerd/containerd/v2/cmd/containerd-shim-runc-v2",
        "github.com/containerd/containerd/v2/cmd/ctr",
    ),
    "coredns": ("github.com/coredns/coredns",),
    "helm": ("helm.sh/helm/v3/cmd/helm",),
    "kubernetes": tuple(
        f"k8s.io/kubernetes/cmd/{name}"
        for name in (
            "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubelet",
            "kube-proxy", "kubectl",
        )
    ),
    "pull": (".",),
    "registry": ("github.com/distribution/distribution/v3/cmd/registry",),
    "standin": ("./coderd", "./pause"),
}  # fmt: skip
_KUBERNETES = "1.36.3"
_VERSION = "k8s.io/component-base/version.git"
_LINKED = {
    "kubernetes": (
        f" -X {_VERSION}Version=v{_KUBERNETES} -X {_VERSION}TreeState=clean"
        f" -X {_VERSION}Major=1 -X {_VERSION}Minor=36"
    )
}
_SUITE = "bookworm"


def cache() -> Path:
    """Where built things are kept."""
    named = os.environ.get("GAPCHECK_LAB_CACHE")
    return Path(named) if named else Path.home() / ".cache/gapcheck-lab"


def say(text: str) -> None:
    """Progress, on standard error."""
    print(f"lab: {text}", file=sys.stderr, flush=True)


def missing() -> list[str]:
    """Why the lab cannot run here, a line each; [] where it can."""
    found = []
    if sys.platform != "linux" or os.getuid() != 0:
        found.append("the lab needs Linux and root: it boots systems in namespaces")
    wanted = {"go": "Go", "mmdebstrap": "mmdebstrap", "systemd-nspawn": "systemd-container"}
    found += [
        f"{package} is not installed" for name, package in wanted.items() if not shutil.which(name)
    ]
    return found


def go_programs(product: str) -> Path:
    """Folder with the programs of `product`, built where this source was not built before."""
    source = GO / product
    files = sorted(each for each in source.rglob("*") if each.is_file())
    version = _run(["go", "version"], source)
    flags = ["-trimpath", f"-ldflags=-s -w{_LINKED.get(product, '')}"]
    digest = _digest(version, repr(flags).encode(), *(each.read_bytes() for each in files))
    folder = cache() / "go" / f"{product}-{digest}"
    if folder.is_dir():
        return folder
    began = time.monotonic()
    say(f"building {product} (minutes the first time) into {folder}")
    draft = folder.with_name(f"{folder.name}.part")
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir(parents=True)
    for package in PROGRAMS[product]:
        say(f"  {package}")
        _run(["go", "build", *flags, "-o", f"{draft}/", package], source)
    draft.rename(folder)
    say(f"built {product} in {time.monotonic() - began:.0f} s")
    return folder


def etcd() -> Path:
    """The etcd program of Debian's package, unpacked and not installed: no service is started."""
    folder = cache() / "etcd"
    if not folder.is_dir():
        say(f"unpacking etcd into {folder}")
        draft = folder.with_name("etcd.part")
        shutil.rmtree(draft, ignore_errors=True)
        draft.mkdir(parents=True)
        _run(["apt-get", "update", "-qq"], draft)
        _run(["apt-get", "download", "-q", "etcd-server"], draft)
        (package,) = draft.glob("*.deb")
        _run(["dpkg-deb", "-x", package.name, "."], draft)
        draft.rename(folder)
    return folder / "usr/bin/etcd"


def install_host_packages() -> None:
    """Install what the lab needs of this machine and does not build itself."""
    known = _run(["dpkg-query", "-W", "-f", "${Package} ${db:Status-Status}\n"], Path("/"))
    there = {line.split()[0] for line in known.decode().splitlines() if line.endswith("installed")}
    wanted = [package for package in HOST_PACKAGES if package not in there]
    if wanted:
        say(f"installing {' '.join(wanted)}")
        _run(["apt-get", "update", "-qq"], Path("/"))
        _run(["apt-get", "install", "-y", "-qq", "--no-install-recommends", *wanted], Path("/"))


def base_root(packages: Sequence[str] = NODE_PACKAGES) -> Path:
    """An unpacked Debian root that every node's own files lie over."""
    folder = cache() / f"root-{_digest(_SUITE.encode(), ' '.join(packages).encode())}"
    if folder.is_dir():
        return folder
    began = time.monotonic()
    say(f"making a Debian root (minutes the first time) in {folder}")
    draft = folder.with_name(f"{folder.name}.part")
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir(parents=True)
    include = f"--include={','.join(packages)}"
    _run(["mmdebstrap", "--variant=minbase", include, _SUITE, str(draft)], cache())
    draft.rename(folder)
    say(f"made the root in {time.monotonic() - began:.0f} s")
    return folder


def _run(command: Sequence[str], folder: Path) -> bytes:
    environment = {**os.environ, "CGO_ENABLED": "0", "DEBIAN_FRONTEND": "noninteractive"}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, check=False)
    if done.returncode:
        said = done.stderr.decode(errors="replace")[-2000:]
        message = f"{' '.join(command)} ended with {done.returncode}: {said}"
        raise RuntimeError(message)
    return done.stdout


def _digest(*parts: bytes) -> str:
    return hashlib.sha256(b"\0".join(parts)).hexdigest()[:16]
