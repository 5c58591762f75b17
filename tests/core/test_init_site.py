"""`init` writes what it finds, says where each line came from, and the file always loads."""

from __future__ import annotations

import base64
import gzip
import json
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from support.certs import Pair, authority, guide_certificate, issue

from gapcheck.errors import UsageError
from gapcheck.fixtures.kube_facts import ReleaseRecord
from gapcheck.init_discovery import profile_of
from gapcheck.init_site import discover, write_site
from gapcheck.site import NodesFrom
from gapcheck.site_file import LoadedSite, load_site


@contextmanager
def serving(folder: Path, pair: Pair, chain: bytes, answers: dict[str, Any]) -> Iterator[int]:
    """A TLS server on a free port that answers GETs of these paths with JSON, else 403."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            found = answers.get(urlsplit(self.path).path)
            body = json.dumps(found or {"message": "forbidden"}).encode()
            self.send_response(200 if found else 403)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    (folder / "served.pem").write_bytes(chain)
    (folder / "served.key").write_bytes(pair.key_pem)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "served.pem", folder / "served.key")
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def loaded(folder: Path, text: str) -> LoadedSite:
    path = folder / "site.yaml"
    path.write_text(text)
    return load_site(path)


@pytest.fixture
def nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home without a kubeconfig."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("KUBECONFIG", raising=False)
    return tmp_path


def test_with_nothing_to_find_the_file_still_loads(nowhere: Path) -> None:
    text = discover()
    assert loaded(nowhere, text).site.registry.host == "registry.local"
    assert "not discovered: write the name that image references use" in text
    assert "# cluster:  # no kubeconfig was given or found" in text


def test_a_registry_that_is_its_own_issuer_is_shown_with_its_fingerprint(nowhere: Path) -> None:
    pair = guide_certificate("localhost")
    with serving(nowhere, pair, pair.pem, {}) as port:
        text = discover(registry=f"localhost:{port}", address="127.0.0.1")
    registry = loaded(nowhere, text).site.registry
    assert (registry.host, registry.port, registry.address) == ("localhost", port, "127.0.0.1")
    assert registry.ca_file is None
    assert "# served certificate 0: CN=localhost, SHA-256 " in text
    assert "# the last one is its own issuer; compare its fingerprint" in text


def test_a_chain_without_its_root_names_the_root(nowhere: Path) -> None:
    ca = authority("Site Root")
    pair = issue(by=ca, san=("localhost",))
    with serving(nowhere, pair, pair.pem, {}) as port:
        text = discover(registry=f"localhost:{port}")
    assert "# the CA is not served; it is: CN=Site Root" in text
    assert "localhost resolves to it here" in text


def test_a_registry_that_does_not_answer_is_a_note(nowhere: Path) -> None:
    pair = guide_certificate()
    with serving(nowhere, pair, pair.pem, {}) as port:
        pass
    text = discover(registry=f"registry.local:{port}", address="127.0.0.1")
    assert "connection refused" in text
    assert loaded(nowhere, text).site.registry.address == "127.0.0.1"


def test_a_name_that_does_not_resolve_is_a_note(nowhere: Path) -> None:
    text = discover(registry="registry.invalid")
    assert "# registry.invalid does not resolve here: " in text
    assert loaded(nowhere, text).site.registry.address is None


def test_a_given_ca_is_written_as_an_absolute_path(nowhere: Path) -> None:
    (nowhere / "ca 1.crt").write_bytes(authority().pem)
    text = discover(registry="registry.invalid", ca=nowhere / "ca 1.crt")
    assert loaded(nowhere, text).site.registry.ca_file == str(nowhere / "ca 1.crt")


@pytest.mark.parametrize(
    "given",
    [
        {"registry": "https://x"},
        {"registry": "x", "address": "y"},
        {"address": "y"},
        {"registry": "x", "ca": Path("none.crt")},
    ],
)
def test_what_is_given_wrongly_is_a_usage_error(nowhere: Path, given: dict[str, Any]) -> None:
    assert nowhere
    with pytest.raises(UsageError):
        discover(**given)


def release(name: str, revision: int, chart: str, **more: Any) -> dict[str, Any]:
    """A secret as Helm stores a release."""
    record = {
        "name": name,
        "namespace": "coder",
        "version": revision,
        "info": {"status": "deployed"},
        "chart": {"metadata": {"name": chart, "version": "1.44.3"}, "values": more.get("values")},
        "config": {"password": "hunter2"},
        "manifest": more.get("manifest", ""),
    }
    packed = base64.b64encode(gzip.compress(json.dumps(record).encode()))
    return {
        "metadata": {"name": f"sh.helm.release.v1.{name}.v{revision}"},
        "data": {"release": base64.b64encode(packed).decode()},
    }


def kube_node(name: str, *, schedulable: bool = True) -> dict[str, Any]:
    return {
        "metadata": {"name": name},
        "spec": {} if schedulable else {"unschedulable": True},
        "status": {
            "addresses": [{"type": "InternalIP", "address": "10.0.0.11"}],
            "nodeInfo": {"containerRuntimeVersion": "containerd://2.4.2", "architecture": "amd64"},
        },
    }


MANIFEST = """
spec:
  containers:
    - name: coderd
      image: "localhost:{port}/coderenvs/coder-service:1.44.3"
    - image: localhost:{port}/coderenvs/envbox:1.44.3
    - image: docker.io/library/busybox:1
    - image: localhost:{port}/UPPER
"""


def kubeconfig(folder: Path, port: int, ca: Pair) -> Path:
    path = folder / "kubeconfig"
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "plant",
        "contexts": [{"name": "plant", "context": {"cluster": "c", "user": "u"}}],
        "clusters": [
            {
                "name": "c",
                "cluster": {
                    "server": f"https://127.0.0.1:{port}",
                    "certificate-authority-data": base64.b64encode(ca.pem).decode(),
                },
            }
        ],
        "users": [{"name": "u", "user": {"token": "hunter2"}}],
    }
    path.write_text(json.dumps(config))
    return path


def answers(port: int) -> dict[str, Any]:
    manifest = MANIFEST.format(port=port)
    return {
        "/api/v1/nodes": {
            "items": [kube_node("b"), kube_node("a"), kube_node("c", schedulable=False)]
        },
        "/api/v1/secrets": {
            "items": [
                release("coder", 1, "coder", values={"coder": {}}),
                release("coder", 2, "coder", values={"coderd": {"x": 1}}, manifest=manifest),
                release("coder", 1, "coder", values={"coder": {}}),
                release("other", 1, "nginx"),
                {"metadata": {"name": "broken"}, "data": {"release": "AAAA"}},
            ]
        },
    }


def test_a_cluster_tells_nodes_release_images_and_the_registry(nowhere: Path) -> None:
    ca = authority()
    pair = issue(by=ca, san=("127.0.0.1", "localhost"))
    found: dict[str, Any] = {}
    with serving(nowhere, pair, pair.pem, found) as port:
        found.update(answers(port))
        text = discover(kubeconfig=kubeconfig(nowhere, port, ca))
    site = loaded(nowhere, text).site
    assert (site.registry.host, site.registry.port) == ("localhost", port)
    assert site.registry.images_from == "release"
    assert isinstance(site.nodes, NodesFrom)
    assert site.nodes.source == "cluster"
    assert site.cluster
    assert (site.cluster.kubeconfig, site.cluster.context) == (str(nowhere / "kubeconfig"), "plant")
    assert site.release
    assert (site.release.name, site.release.profile) == ("coder", "coder-v1")
    assert "# 2 of 3 nodes are schedulable:" in text
    assert "#   a, 10.0.0.11, containerd://2.4.2" in text
    assert f"# image: localhost:{port}/coderenvs/envbox:1.44.3" in text
    assert "# also there: coder/other: nginx 1.44.3, revision 1, deployed" in text
    assert "# secret broken: the release record is not" in text
    assert "hunter2" not in text


@pytest.mark.parametrize(
    ("chart", "version", "values", "profile"),
    [
        ("coder", "1.44.3", {"coderd": {"a": 1}}, "coder-v1"),
        ("coder", "2.9.0", {"coder": {"a": 1}}, "coder-v2"),
        ("coder", "1.20.0", {}, "coder-v1"),
        ("coder", "v2.1.0", {}, "coder-v2"),
        ("nginx", "1.0.0", {"coderd": {"a": 1}}, "generic"),
    ],
)
def test_the_profile_is_read_from_the_chart(
    chart: str, version: str, values: dict[str, Any], profile: str
) -> None:
    record = ReleaseRecord(
        name="r",
        namespace="n",
        revision=1,
        status="deployed",
        chart=chart,
        chart_version=version,
        user_paths=tuple(f"{key}.a" for key in values),
    )
    assert profile_of(record) == profile


def test_many_nodes_are_shown_by_example_and_other_releases_by_name(nowhere: Path) -> None:
    ca = authority()
    pair = issue(by=ca, san=("127.0.0.1",))
    found = {
        "/api/v1/nodes": {"items": [kube_node(f"n{at:02}") for at in range(23)]},
        "/api/v1/namespaces/web/secrets": {"items": [release("front", 1, "nginx")]},
    }
    with serving(nowhere, pair, pair.pem, found) as port:
        text = discover(kubeconfig=kubeconfig(nowhere, port, ca), namespace="web")
    assert "  #   n19, 10.0.0.11, " in text
    assert "n20" not in text
    assert "  #   and 3 more" in text
    assert "# found: coder/front: nginx 1.44.3, revision 1, deployed" in text
    assert loaded(nowhere, text).site.release is not None


def test_rights_that_are_missing_are_notes(nowhere: Path) -> None:
    ca = authority()
    pair = issue(by=ca, san=("127.0.0.1",))
    with serving(nowhere, pair, pair.pem, {}) as port:
        text = discover(kubeconfig=kubeconfig(nowhere, port, ca), namespace="coder")
    site = loaded(nowhere, text).site
    assert site.nodes == ()
    assert site.cluster is not None
    assert "# forbidden: the account may not list nodes" in text
    assert "# forbidden: the account may not list secrets" in text


def test_an_api_server_of_another_ca_is_a_note(nowhere: Path) -> None:
    pair = issue(by=authority(), san=("127.0.0.1",))
    with serving(nowhere, pair, pair.pem, {}) as port:
        text = discover(kubeconfig=kubeconfig(nowhere, port, authority("Another")))
    assert loaded(nowhere, text).site.nodes == ()
    assert "certificate verify failed" in text


def test_a_kubeconfig_that_is_none_is_a_note(nowhere: Path) -> None:
    (nowhere / "kubeconfig").write_text("][")
    text = discover(kubeconfig=nowhere / "kubeconfig")
    assert f"# {nowhere}/kubeconfig: not YAML" in text
    assert loaded(nowhere, text).site.cluster is not None


def test_the_kubeconfig_that_kubectl_would_use_is_taken(
    nowhere: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KUBECONFIG", f"{nowhere}/none:{nowhere}/config")
    (nowhere / "config").write_text("{}")
    site = loaded(nowhere, discover()).site
    assert site.cluster
    assert site.cluster.kubeconfig == f"{nowhere}/config"


def test_a_release_that_is_given_is_written_although_it_was_not_found(nowhere: Path) -> None:
    site = loaded(nowhere, discover(release="null", namespace="123")).site
    assert site.release
    assert (site.release.name, site.release.namespace) == ("null", "123")


def test_a_site_file_is_never_overwritten_unless_forced(tmp_path: Path) -> None:
    path = tmp_path / "site.yaml"
    write_site(path, "first")
    with pytest.raises(UsageError, match="exists and was left as it is"):
        write_site(path, "second")
    assert path.read_text() == "first"
    write_site(path, "third", force=True)
    assert path.read_text() == "third"


def test_a_place_that_cannot_be_written_is_one_clear_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be written: No such file"):
        write_site(tmp_path / "none" / "site.yaml", "")
