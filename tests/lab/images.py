"""Container images made by hand, as OCI layouts, and pushed as a person would push them."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import shutil
import subprocess
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from lab.programs import cache, go_programs, say

_OCI = "application/vnd.oci.image"
_BUSYBOX = Path("/bin/busybox")
VERSION = "1.27.0"


@dataclass(frozen=True, kw_only=True)
class Image:
    """One layer over nothing: files by their place in it, links to them, and what is started."""

    name: str
    tag: str
    files: Mapping[str, Path]
    entrypoint: tuple[str, ...]
    links: Mapping[str, str] = field(default_factory=dict)

    def reference(self, netloc: str) -> str:
        return f"{netloc}/{self.name}:{self.tag}"

    def layout(self) -> Path:
        """Its OCI layout, written where it was not written before."""
        made = (self, *(path.stat().st_size for path in self.files.values()))
        digest = hashlib.sha256(repr(made).encode()).hexdigest()[:16]
        folder = cache() / "images" / f"{self.name.replace('/', '-')}-{digest}"
        if not folder.is_dir():
            say(f"making the image {self.name}:{self.tag}")
            draft = folder.with_name(f"{folder.name}.part")
            shutil.rmtree(draft, ignore_errors=True)
            self._write(draft)
            draft.rename(folder)
        return folder

    def _write(self, folder: Path) -> None:
        blobs = folder / "blobs/sha256"
        blobs.mkdir(parents=True)

        def blob(kind: str, content: bytes) -> dict[str, object]:
            digest = hashlib.sha256(content).hexdigest()
            (blobs / digest).write_bytes(content)
            described = {"digest": f"sha256:{digest}", "size": len(content)}
            return {"mediaType": f"{_OCI}.{kind}", **described}

        layer = self._layer()
        config = {
            "architecture": "amd64", "os": "linux",
            "config": {"Entrypoint": self.entrypoint, "Env": ["PATH=/bin"]},
            "rootfs": {
                "type": "layers", "diff_ids": [f"sha256:{hashlib.sha256(layer).hexdigest()}"],
            },
        }  # fmt: skip
        manifest = {
            "schemaVersion": 2, "mediaType": f"{_OCI}.manifest.v1+json",
            "config": blob("config.v1+json", json.dumps(config).encode()),
            "layers": [blob("layer.v1.tar+gzip", gzip.compress(layer, 6, mtime=0))],
        }  # fmt: skip
        entry = blob("manifest.v1+json", json.dumps(manifest).encode())
        entry["annotations"] = {"org.opencontainers.image.ref.name": self.tag}
        index = {"schemaVersion": 2, "manifests": [entry]}
        (folder / "index.json").write_text(json.dumps(index))
        (folder / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')

    def _layer(self) -> bytes:
        out = io.BytesIO()
        with tarfile.open(fileobj=out, mode="w") as archive:
            for folder in ("bin", "etc", "etc/ssl", "etc/ssl/certs", "tmp"):
                info = tarfile.TarInfo(folder)
                info.type, info.mode = tarfile.DIRTYPE, 0o1777 if folder == "tmp" else 0o755
                archive.addfile(info)
            for place, source in self.files.items():
                info = tarfile.TarInfo(place)
                info.size, info.mode = source.stat().st_size, 0o755
                with source.open("rb") as content:
                    archive.addfile(info, content)
            for place, target in self.links.items():
                info = tarfile.TarInfo(place)
                info.type, info.linkname = tarfile.SYMTYPE, target
                archive.addfile(info)
        return out.getvalue()


def every_image() -> tuple[Image, ...]:
    """What the site needs, and a shell to try things with."""
    standin = go_programs("standin")
    pause = {"bin/pause": standin / "pause"}
    commands = subprocess.run(
        [str(_BUSYBOX), "--list"], capture_output=True, text=True, check=True
    ).stdout.split()
    return (
        Image(name="pause", tag="3.9", files=pause, entrypoint=("/bin/pause",)),
        Image(
            name="busybox", tag="1", files={"bin/busybox": _BUSYBOX}, entrypoint=("/bin/sh",),
            links={f"bin/{each}": "busybox" for each in commands if each != "busybox"},
        ),
        Image(
            name="coredns", tag="1.14.7", files={"bin/coredns": go_programs("coredns") / "coredns"},
            entrypoint=("/bin/coredns",),
        ),
        Image(
            name="coderenvs/coder-service", tag=VERSION, entrypoint=("/bin/coderd",),
            files={"bin/coderd": standin / "coderd"},
        ),
        Image(name="coderenvs/envbox", tag=VERSION, files=pause, entrypoint=("/bin/pause",)),
        Image(name="coderenvs/timescale", tag=VERSION, files=pause, entrypoint=("/bin/pause",)),
    )  # fmt: skip


def push(image: Image, netloc: str, certificates: Path) -> None:
    """Push it over verified TLS; `certificates` holds the CA as ca.crt."""
    source, tag = image.layout(), image.tag
    argv = [
        "skopeo", "copy", "--quiet", "--insecure-policy", f"--dest-cert-dir={certificates}",
        f"oci:{source}:{tag}", f"docker://{image.reference(netloc)}",
    ]  # fmt: skip
    done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=120)
    if done.returncode:
        message = f"skopeo could not push {image.name}: {done.stderr}"
        raise RuntimeError(message)
