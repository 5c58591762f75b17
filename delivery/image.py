"""The container image, made by mmdebstrap and pip; no container engine takes part."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path

from delivery import layout, wheels
from delivery.archives import tar_of
from delivery.release import Release, run, say

SUITE = "trixie"
PYTHON = "3.13"  # that suite's
# openssh-client reaches nodes, ca-certificates is the store of a client that is given no CA.
PACKAGES = ("python3", "openssh-client", "ca-certificates")
USER = 65532
ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}
_HOOKS = (
    f'echo "gapcheck:x:{USER}:{USER}::/home/gapcheck:/bin/sh" >> "$1/etc/passwd"',
    f'echo "gapcheck:x:{USER}:" >> "$1/etc/group"',
    f'install -d -m 0700 -o {USER} -g {USER} "$1/home/gapcheck"',
    'rm -rf "$1"/var/cache/* "$1"/var/log/* "$1"/usr/share/doc/* "$1"/usr/share/man/*',
)
_LIBRARY = f"usr/local/lib/python{PYTHON}/dist-packages"
_LAUNCHER = """#!/usr/bin/python3
from gapcheck.cli import main

main()
"""


def missing(release: Release) -> str | None:
    """Why the image cannot be made here; None where it can."""
    if sys.platform != "linux" or os.getuid() != 0:
        return "the image needs Linux and root: a Debian root is made for it"
    if os.uname().machine != release.machine:
        return f"the image is for the machine it is built on: {os.uname().machine}"
    return None if shutil.which("mmdebstrap") else "mmdebstrap is not installed"


def build(release: Release, wheelhouse: Path) -> Path:
    """The image as an OCI layout in a tar; its digest is said."""
    say("image")
    architecture = ARCHITECTURES[release.machine]
    made = release.out / f"{release.stem}-image-linux-{architecture}.tar"
    with tempfile.TemporaryDirectory(prefix="gapcheck-image-") as name:
        base = _base(release, Path(name))
        root = Path(name) / "root"
        root.mkdir()
        run(["tar", "-xf", base, "-C", root, "--numeric-owner"], release.environment)
        _install(release, wheelhouse, root)
        added = tar_of(root, [_LIBRARY, "usr/local/bin"], release.epoch)
        names = {
            "org.opencontainers.image.ref.name": release.version,
            "io.containerd.image.name": f"localhost/gapcheck:{release.version}",
        }
        layers = [base.read_bytes(), added]
        digest = layout.write(made, layers, _config(release, architecture), names)
    say(f"{made.name}: {digest}")
    return made


def _base(release: Release, folder: Path) -> Path:
    kept = release.fetched("base", [SUITE, release.machine, *PACKAGES, *_HOOKS])
    if kept is not None and kept.is_file():
        say("its Debian root: from the cache")
        return kept
    say("its Debian root (a minute or two)")
    made = folder / "base.tar"
    hooks = [f"--customize-hook={hook}" for hook in _HOOKS]
    words = ["mmdebstrap", "--variant=minbase", f"--include={','.join(PACKAGES)}", *hooks]
    run([*words, "--format=tar", SUITE, made], release.environment)
    if kept is not None:
        draft = kept.with_name(f"{kept.name}.{os.getpid()}.part")
        shutil.copyfile(made, draft)
        draft.rename(kept)
    return made


def _install(release: Release, wheelhouse: Path, root: Path) -> None:
    library = root / _LIBRARY
    options = wheels.target(PYTHON, release.machine)
    words = [sys.executable, "-m", "pip", "install", "-q", "--no-index", "--no-compile"]
    words += ["--find-links", str(wheelhouse), "--target", str(library), *options]
    run([*words, f"gapcheck=={release.version}"], release.environment)
    shutil.rmtree(library / "bin", ignore_errors=True)  # they name this machine's Python
    for name in ("gapcheck", "kubectl-gapcheck"):
        launcher = root / "usr/local/bin" / name
        launcher.write_text(_LAUNCHER)
        launcher.chmod(0o755)
    compile_all = ["python3", "-m", "compileall", "-q", "--invalidation-mode", "unchecked-hash"]
    run(["chroot", root, *compile_all, f"/{_LIBRARY}"], release.environment)


def _config(release: Release, architecture: str) -> dict[str, object]:
    created = datetime.fromtimestamp(release.epoch, UTC).isoformat().replace("+00:00", "Z")
    labels = {
        "org.opencontainers.image.title": "gapcheck",
        "org.opencontainers.image.version": release.version,
        "org.opencontainers.image.revision": release.revision,
        "org.opencontainers.image.created": created,
        "org.opencontainers.image.licenses": "Apache-2.0",
        "org.opencontainers.image.description": (
            "Proves that an air-gapped Kubernetes site can install from its private TLS registry"
        ),
    }
    settings = {
        "User": f"{USER}:{USER}",
        "Env": ["PATH=/usr/local/bin:/usr/bin:/bin", "HOME=/home/gapcheck", "LANG=C.UTF-8"],
        "Entrypoint": ["/usr/local/bin/gapcheck"],
        "Cmd": ["--help"],
        "WorkingDir": "/home/gapcheck",
        "Labels": labels,
    }
    history = [
        {"created": created, "created_by": f"mmdebstrap {SUITE}: {' '.join(PACKAGES)}"},
        {"created": created, "created_by": f"pip install gapcheck=={release.version}"},
    ]
    return {
        "created": created, "architecture": architecture, "os": "linux", "config": settings,
        "history": history,
    }  # fmt: skip
