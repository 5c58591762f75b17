"""A registry in a container of a real dockerd: found, made anew, undone, by the whole program."""

from __future__ import annotations

import io
import json
import socket
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from support import dockerd
from support.certs import authority, issue
from support.command import Ended, gapcheck

if TYPE_CHECKING:
    from support.dockerd import Docker

CA = authority("Registry CA")
LEAF = issue(by=CA)
SECRET = "hunter2-hunter2"  # noqa: S105 - put in to be looked for


@pytest.fixture(scope="module")
def daemon() -> Iterator[Docker]:
    with dockerd.running() as docker:
        tiny = docker.folder / "tiny"
        tiny.mkdir()
        (tiny / "hello").write_text("hello\n")
        docker("import", "-", "tiny:1", given=_tar(tiny))
        yield docker


def _tar(folder: Path) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        archive.add(folder, arcname=".")
    return out.getvalue()


@dataclass(frozen=True)
class Guide:
    """The guide's registry on `port`, and the site file that names it."""

    docker: Docker
    folder: Path
    port: int

    def run(self, *words: object) -> Ended:
        state = str(self.folder / "state")
        return gapcheck(self.folder, *words, DOCKER_HOST=self.docker.host, GAPCHECK_STATE=state)

    def check(self) -> Ended:
        return self.run("check", "--site", "site.yaml", "--report", "json:report.json")

    def fix(self, *words: object) -> Ended:
        return self.run("fix", "--site", "site.yaml", "--yes", *words)

    def undo(self) -> Ended:
        last = self.run("runs").out.splitlines()[-1].split()[0]
        return self.run("undo", last, "--site", "site.yaml", "--yes")

    def start(self, *words: str, **env: str) -> None:
        folder = f"{self.folder}/certs:/certs:ro"
        env = {"REGISTRY_HTTP_ADDR": f"127.0.0.1:{self.port}", "REGISTRY_HTTP_SECRET": SECRET} | env
        self.docker.run("--network", "host", "-v", folder, "--restart=always", *words, env=env)
        self.docker.wait_for(self.port)

    def push(self) -> str:
        """Push an image; its id."""
        reference = f"127.0.0.1:{self.port}/tiny:1"
        self.docker("tag", "tiny:1", reference)
        self.docker("push", reference)
        return self.docker("image", "inspect", "--format", "{{.Id}}", reference)

    def pulled(self) -> str:
        """The id of the image that a pull brings."""
        reference = f"127.0.0.1:{self.port}/tiny:1"
        self.docker("rmi", reference)
        self.docker("pull", "-q", reference)
        return self.docker("image", "inspect", "--format", "{{.Id}}", reference)


@pytest.fixture
def guide(daemon: Docker, tmp_path: Path) -> Iterator[Guide]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    certs = tmp_path / "certs"
    certs.mkdir()
    (tmp_path / "ca.crt").write_bytes(CA.pem)
    (certs / "registry.crt").write_bytes(LEAF.pem)
    (certs / "registry.key").write_bytes(LEAF.key_pem)
    (certs / "registry.key").chmod(0o600)
    (tmp_path / "site.yaml").write_text(
        f"version: 1\nregistry:\n  host: registry.local:{port}\n  address: 127.0.0.1\n"
        f"  ca_file: ca.crt\n  target: local://\n  container: registry\n  reload: container\n"
        f"  certificate: {certs}/registry.crt\n  key: {certs}/registry.key\n"
        f"  images: [registry.local:{port}/tiny:1]\npolicy: {{probe_timeout_s: 8}}\n"
    )
    yield Guide(daemon, tmp_path, port)
    daemon.clear()


TLS = {
    "REGISTRY_HTTP_TLS_CERTIFICATE": "/certs/registry.crt",
    "REGISTRY_HTTP_TLS_KEY": "/certs/registry.key",
}
MISSPELT = {
    "REGISTRY_HTTP_TLS_CERTIFICAT": "/certs/registry.crt",
    "REGISTRY_HTTP_TLS_KEY": "/certs/registry.key",
}


def settings(container: dict[str, Any]) -> dict[str, Any]:
    """What inspect says but for state, names of files of the engine, and its network's ids."""
    left = {"State", "LogPath", "HostsPath", "HostnamePath", "ResolvConfPath", "RestartCount"}
    kept = {key: value for key, value in container.items() if key not in left}
    kept["Mounts"] = sorted(kept["Mounts"], key=lambda each: str(each["Destination"]))
    kept["NetworkSettings"] = {
        name: {k: v for k, v in each.items() if k in ("IPAMConfig", "Aliases", "Links")}
        for name, each in kept["NetworkSettings"]["Networks"].items()
    }
    return kept


def test_a_misspelt_setting_is_found_put_right_and_undone(guide: Guide) -> None:
    guide.start("-v", "store:/var/lib/registry", **MISSPELT)
    image = guide.push()
    before = guide.docker.inspect("registry")
    assert guide.check().status("REG-HTTP-001", "registry") == "fail"

    left = guide.fix()
    assert left.code == 1
    assert "needs --max-risk outage" in left.out + left.err
    assert guide.docker.inspect("registry")["Id"] == before["Id"]

    planned = guide.run("plan", "--site", "site.yaml", "--max-risk", "outage")
    assert "-env REGISTRY_HTTP_TLS_CERTIFICAT=/certs/registry.crt" in planned.out
    assert "+env REGISTRY_HTTP_TLS_CERTIFICATE=/certs/registry.crt" in planned.out

    fixed = guide.fix("--max-risk", "outage")
    assert fixed.code == 0, fixed.out + fixed.err
    after = guide.check()
    assert after.code == 0, after.out
    assert guide.pulled() == image
    new = guide.docker.inspect("registry")
    assert new["Image"] == before["Image"]
    assert f"REGISTRY_HTTP_SECRET={SECRET}" in new["Config"]["Env"]

    again = guide.fix("--max-risk", "outage")
    assert again.code == 0
    assert guide.docker.inspect("registry")["Id"] == new["Id"]

    undone = guide.undo()
    assert undone.code == 0, undone.out + undone.err
    assert settings(guide.docker.inspect("registry")) == settings(before)
    assert guide.docker.inspect("registry")["State"]["Running"]
    assert guide.docker.containers() == ["registry"]
    said = "".join((each.out + each.err) for each in (left, planned, fixed, again, undone))
    written = b"".join(p.read_bytes() for p in (guide.folder / "state").rglob("*") if p.is_file())
    assert SECRET not in said
    assert SECRET.encode() not in written


def test_images_of_an_anonymous_volume_move_to_a_named_one_and_back(guide: Guide) -> None:
    guide.start(**TLS)
    image = guide.push()
    before = guide.docker.inspect("registry")
    assert guide.check().status("REG-VOLUME-001", "registry") == "fail"

    guide.run("plan", "--site", "site.yaml", "--max-risk", "outage", "-o", "plan.json")
    plan = json.loads((guide.folder / "plan.json").read_text())
    assert plan["restarts"] == ["registry container registry, made anew"]
    fixed = guide.run("apply", "plan.json", "--yes", "--max-risk", "outage")
    assert fixed.code == 0, fixed.out + fixed.err
    assert guide.check().code == 0
    assert guide.pulled() == image
    (mount,) = [m for m in guide.docker.inspect("registry")["Mounts"] if m["Type"] == "volume"]
    assert mount["Name"] == f"registry-storage-{before['Id'][:12]}"

    undone = guide.undo()
    assert undone.code == 0, undone.out + undone.err
    assert settings(guide.docker.inspect("registry")) == settings(before)
    assert mount["Name"] not in guide.docker.volumes()
    assert guide.pulled() == image
