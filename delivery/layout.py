"""An OCI image layout in one archive, as image-spec 1.0 describes it."""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from delivery.archives import compressed, tar_of

_MEDIA = "application/vnd.oci.image"


def write(
    path: Path, layers: Sequence[bytes], config: Mapping[str, object], names: Mapping[str, str]
) -> str:
    """Write `layers` (uncompressed tars, lowest first) as an image; its manifest's digest.

    `config` is the image configuration without its rootfs; `names` annotate the index's entry.
    """
    epoch = 0  # the layout's own files; what is in the layers has its own times
    with tempfile.TemporaryDirectory(prefix="gapcheck-layout-") as name:
        folder = Path(name)
        (folder / "blobs/sha256").mkdir(parents=True)
        packed = [_blob(folder, compressed(layer), "layer.v1.tar+gzip") for layer in layers]
        rootfs = {"type": "layers", "diff_ids": [_digest(layer) for layer in layers]}
        described = _blob(folder, _json({**config, "rootfs": rootfs}), "config.v1+json")
        manifest = {
            "schemaVersion": 2,
            "mediaType": f"{_MEDIA}.manifest.v1+json",
            "config": described,
            "layers": packed,
        }
        entry = _blob(folder, _json(manifest), "manifest.v1+json")
        platform = {"architecture": config["architecture"], "os": config["os"]}
        index = {
            "schemaVersion": 2,
            "mediaType": f"{_MEDIA}.index.v1+json",
            "manifests": [{**entry, "platform": platform, "annotations": dict(names)}],
        }
        (folder / "index.json").write_bytes(_json(index))
        (folder / "oci-layout").write_bytes(_json({"imageLayoutVersion": "1.0.0"}))
        path.write_bytes(tar_of(folder, [each.name for each in folder.iterdir()], epoch))
    return str(entry["digest"])


def _blob(folder: Path, content: bytes, kind: str) -> dict[str, object]:
    digest = _digest(content)
    (folder / "blobs" / digest.replace(":", "/")).write_bytes(content)
    return {"mediaType": f"{_MEDIA}.{kind}", "digest": digest, "size": len(content)}


def _digest(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def _json(value: object) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()
