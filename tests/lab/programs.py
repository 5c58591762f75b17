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
HOST_PACKAGES = ("mmdebstrap", "systemd-container", "openssh-client", "skopeo")
NODE_PACKAGES = (
    "systemd", "systemd-sysv", "openssh-server", "containerd", "ca-certificates", "iproute2",
    "procps", "dbus", "openssl", "docker-registry",
)  # fmt: skip
PROGRAMS = {
    "containerd": (
        "github.com/containerd/containerd/v2/cmd/containerd",
        "github.com/containerd/containerd/v2/cmd/containerd-shim-runc-v2",
        "github.com/containerd/containerd/v2/cmd/ctr",
    ),
    "pull": (".",),
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
    files = sorted(each for each in source.iterdir() if each.is_file())
    version = _run(["go", "version"], source)
    digest = _digest(version, *(each.read_bytes() for each in files))
    folder = cache() / "go" / f"{product}-{digest}"
    if folder.is_dir():
        return folder
    began = time.monotonic()
    say(f"building {product} (minutes the first time) into {folder}")
    draft = folder.with_name(f"{folder.name}.part")
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir(parents=True)
    for package in PROGRAMS[product]:
        _run(["go", "build", "-trimpath", "-ldflags=-s -w", "-o", f"{draft}/", package], source)
    draft.rename(folder)
    say(f"built {product} in {time.monotonic() - began:.0f} s")
    return folder


def base_root() -> Path:
    """An unpacked Debian root that every node's own files lie over."""
    folder = cache() / f"root-{_digest(_SUITE.encode(), ' '.join(NODE_PACKAGES).encode())}"
    if folder.is_dir():
        return folder
    began = time.monotonic()
    say(f"making a Debian root (minutes the first time) in {folder}")
    draft = folder.with_name(f"{folder.name}.part")
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir(parents=True)
    packages = f"--include={','.join(NODE_PACKAGES)}"
    _run(["mmdebstrap", "--variant=minbase", packages, _SUITE, str(draft)], cache())
    draft.rename(folder)
    say(f"made the root in {time.monotonic() - began:.0f} s")
    return folder


def _run(command: Sequence[str], folder: Path) -> bytes:
    environment = {**os.environ, "CGO_ENABLED": "0"}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, check=False)
    if done.returncode:
        said = done.stderr.decode(errors="replace")[-2000:]
        message = f"{' '.join(command)} ended with {done.returncode}: {said}"
        raise RuntimeError(message)
    return done.stdout


def _digest(*parts: bytes) -> str:
    return hashlib.sha256(b"\0".join(parts)).hexdigest()[:16]
