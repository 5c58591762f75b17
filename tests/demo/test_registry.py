from __future__ import annotations

import json
import socket
import ssl
from pathlib import Path

import pytest
from support.certs import issue
from support.registry_server import HOST, Files, make_files, registry, yesterday

from gapcheck.demo.store import INDEX, MANIFEST, Store
from gapcheck.fixtures.probes.http import Answer, Client, HttpTrouble, Route


@pytest.fixture
def files(tmp_path: Path) -> Files:
    return make_files(tmp_path)


def ask(files: Files, port: int, path: str, method: str = "GET", **headers: str) -> Answer:
    route = Route(host=HOST, port=port, address="127.0.0.1")
    return Client(route=route, ca=files.ca.pem).ask(method, path, headers)


def test_a_switched_pair_is_served_from_the_next_connection_on(files: Files) -> None:
    with registry(files) as server:
        before = served(server.port)
        files.write(issue(by=files.ca, not_before=yesterday()))
        assert served(server.port) == files.leaf.der != before


def served(port: int) -> bytes:
    pem = ssl.get_server_certificate(("127.0.0.1", port))
    return ssl.PEM_cert_to_DER_cert(pem)


def test_a_pair_that_does_not_load_ends_the_connection(files: Files) -> None:
    with registry(files) as server:
        files.key.write_bytes(b"nothing")
        with pytest.raises(HttpTrouble):
            ask(files, server.port, "/v2/")


def test_an_index_needs_its_own_accept_type(files: Files) -> None:
    store = Store()
    store.add_index("app", "1")
    with registry(files, store) as server:
        refused = ask(files, server.port, "/v2/app/manifests/1", Accept=MANIFEST)
        assert refused.status == 404
        assert b"OCI index found, but accept header does not support OCI indexes" in refused.body
        for accept in ("*/*", f"{INDEX}s"):
            assert ask(files, server.port, "/v2/app/manifests/1", Accept=accept).status == 404
        assert ask(files, server.port, "/v2/app/manifests/1", Accept=f"x, {INDEX}").status == 200


def test_head_has_the_headers_of_get_and_no_body(files: Files) -> None:
    store = Store()
    digest = store.add_blob(b"layer")
    with registry(files, store) as server:
        answer = ask(files, server.port, f"/v2/app/blobs/{digest}", "HEAD")
    assert (answer.status, answer.body) == (200, b"")
    assert answer.headers["content-length"] == "5"
    assert answer.headers["docker-content-digest"] == digest


@pytest.mark.parametrize(
    ("path", "status"),
    [("/v2/", 200), ("/", 404), ("/v2/app/manifests/2", 404), ("/v2/app/blobs/sha256:0", 404)],
)
def test_each_path_has_its_status(files: Files, path: str, status: int) -> None:
    with registry(files) as server:
        assert ask(files, server.port, path).status == status


def test_plain_http_is_answered_with_a_hint(files: Files) -> None:
    with registry(files) as server, socket.create_connection(("127.0.0.1", server.port)) as conn:
        conn.sendall(b"GET /v2/ HTTP/1.1\r\n\r\n")
        assert b"Client sent an HTTP request to an HTTPS server" in conn.recv(1000)


def test_an_index_describes_what_the_store_holds() -> None:
    store = Store()
    digest = store.add_index("app", "1", platforms=("linux/amd64", "linux/arm/v7"))
    index = json.loads(store.manifests["app", digest].body)
    assert [entry["platform"] for entry in index["manifests"]] == [
        {"os": "linux", "architecture": "amd64"},
        {"os": "linux", "architecture": "arm", "variant": "v7"},
    ]
    for entry in index["manifests"]:
        body = store.manifests["app", entry["digest"]].body
        assert len(body) == entry["size"]
        layer = json.loads(body)["layers"][0]
        assert len(store.blobs[layer["digest"]]) == layer["size"]
