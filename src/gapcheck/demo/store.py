"""What the demo's registry holds, in memory: blobs and manifests by digest."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

INDEX: Final = "application/vnd.oci.image.index.v1+json"
MANIFEST: Final = "application/vnd.oci.image.manifest.v1+json"
CONFIG: Final = "application/vnd.oci.image.config.v1+json"
LAYER: Final = "application/vnd.oci.image.layer.v1.tar+gzip"
DOCKER_LIST: Final = "application/vnd.docker.distribution.manifest.list.v2+json"
DOCKER_MANIFEST: Final = "application/vnd.docker.distribution.manifest.v2+json"


@dataclass(frozen=True, slots=True)
class Manifest:
    """A manifest's exact bytes and its media type."""

    media_type: str
    body: bytes


@dataclass(slots=True)
class Store:
    """Blobs by digest; manifests by repository and tag or digest."""

    blobs: dict[str, bytes] = field(default_factory=dict)
    manifests: dict[tuple[str, str], Manifest] = field(default_factory=dict)

    def add_blob(self, content: bytes) -> str:
        """Hold `content`; its digest."""
        digest = digest_of(content)
        self.blobs[digest] = content
        return digest

    def add_manifest(self, repository: str, tag: str, manifest: Manifest) -> str:
        """Hold `manifest` under its digest and, where `tag` is not '', under that too."""
        digest = digest_of(manifest.body)
        self.manifests[repository, digest] = manifest
        if tag:
            self.manifests[repository, tag] = manifest
        return digest

    def add_image(self, repository: str, tag: str, *, platform: str = "linux/amd64") -> str:
        """Make and hold a one-layer image of `platform` (os/arch[/variant]); its digest."""
        layer = f"layer of {repository}:{tag} for {platform}".encode()
        config = json.dumps({**_platform(platform), "rootfs": {"type": "layers"}}).encode()
        body = {
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": self._described(config, CONFIG),
            "layers": [self._described(layer, LAYER)],
        }
        return self.add_manifest(repository, tag, Manifest(MANIFEST, json.dumps(body).encode()))

    def add_index(
        self, repository: str, tag: str, *, platforms: Iterable[str] = ("linux/amd64",)
    ) -> str:
        """Make and hold an image of several platforms; the digest of its index."""
        entries: list[Mapping[str, object]] = []
        for platform in platforms:
            digest = self.add_image(repository, "", platform=platform)
            size = len(self.manifests[repository, digest].body)
            described = {"mediaType": MANIFEST, "digest": digest, "size": size}
            entries.append({**described, "platform": _platform(platform)})
        body = {"schemaVersion": 2, "mediaType": INDEX, "manifests": entries}
        return self.add_manifest(repository, tag, Manifest(INDEX, json.dumps(body).encode()))

    def _described(self, content: bytes, media_type: str) -> dict[str, object]:
        digest = self.add_blob(content)
        return {"mediaType": media_type, "digest": digest, "size": len(content)}


def digest_of(content: bytes) -> str:
    """The content's digest as registries write it."""
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def _platform(text: str) -> dict[str, str]:
    system, architecture, *variant = text.split("/")
    found = {"os": system, "architecture": architecture}
    return {**found, "variant": variant[0]} if variant else found
