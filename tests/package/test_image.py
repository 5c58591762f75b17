"""The image is one to skopeo, umoci and a registry, and runs as it says it does."""

from __future__ import annotations

import json
import subprocess
import tarfile
from pathlib import Path
from typing import Any

import pytest
from support import needs
from support.bare_root import enter
from support.real_registry import serving

pytestmark = [pytest.mark.timeout(1500), pytest.mark.xdist_group("delivery")]


@pytest.fixture(scope="module")
def archive(delivered: Path) -> Path:
    return next(delivered.glob("*-image-linux-*.tar"))


@pytest.fixture(scope="module")
def bundle(archive: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The image as a runtime gets it: config.json and a root."""
    folder = tmp_path_factory.mktemp("image")
    run(needs.program("skopeo"), "copy", "-q", f"oci-archive:{archive}", f"oci:{folder}/oci:it")
    run(needs.program("umoci"), "unpack", "--image", f"{folder}/oci:it", folder / "bundle")
    return folder / "bundle"


def run(*words: object) -> str:
    done = subprocess.run(list(map(str, words)), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_image_says_what_it_is(archive: Path) -> None:
    skopeo = needs.program("skopeo")
    shown: dict[str, Any] = json.loads(run(skopeo, "inspect", "--config", f"oci-archive:{archive}"))
    config = shown["config"]
    assert config["Entrypoint"] == ["/usr/local/bin/gapcheck"]
    assert config["User"] == "65532:65532"
    assert config["Labels"]["org.opencontainers.image.title"] == "gapcheck"
    assert len(shown["rootfs"]["diff_ids"]) == len(shown["history"]) == 2


def test_image_comes_out_of_a_registry_with_the_digest_it_had(
    archive: Path, tmp_path: Path
) -> None:
    skopeo = needs.program("skopeo")
    with serving(tmp_path) as port:
        there = f"docker://127.0.0.1:{port}/tools/gapcheck:0"
        run(skopeo, "copy", "-q", "--dest-tls-verify=false", f"oci-archive:{archive}", there)
        back = f"oci-archive:{tmp_path}/back.tar:0"
        run(skopeo, "copy", "-q", "--src-tls-verify=false", there, back)
    assert manifest_digest(tmp_path / "back.tar") == manifest_digest(archive)


def manifest_digest(archive: Path) -> str:
    with tarfile.open(archive) as layout:
        index = layout.extractfile("index.json")
        assert index is not None
        return str(json.load(index)["manifests"][0]["digest"])


def test_image_runs_the_demo_as_its_user_without_network(bundle: Path, tmp_path: Path) -> None:
    process = json.loads((bundle / "config.json").read_text())["process"]
    assert process["args"] == ["/usr/local/bin/gapcheck", "--help"]
    user = f"{process['user']['uid']}:{process['user']['gid']}"
    environment = dict(setting.split("=", 1) for setting in process["env"])
    command = """
cd /home/gapcheck
gapcheck demo --out demo > said || { tail -n 20 said >&2; exit 1; }
kubectl-gapcheck check --bundle demo/green.tar.gz > /dev/null
python3 -m pytest -q -p no:cacheprovider --pyargs gapcheck.checks --bundle demo/green.tar.gz
ssh -V
id -un
"""
    done = enter(bundle / "rootfs", command, carried=tmp_path, user=user, environment=environment)
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith("gapcheck\n")
    assert "OpenSSH" in done.stderr


def test_image_holds_bytecode_so_that_a_start_is_quick(bundle: Path) -> None:
    library = bundle / "rootfs/usr/local/lib/python3.13/dist-packages/gapcheck"
    assert (library / "__pycache__/cli.cpython-313.pyc").is_file()
