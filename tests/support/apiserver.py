"""A small API server over real TLS: answers REST paths from JSON tables, as v1.36 shapes them.

`Answers` maps a path (without query) to a table (200), to a status number (a Status object of
that code), or to a callable that gets the request handler and writes what it likes.
"""

from __future__ import annotations

import json
import ssl
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from support.certs import Pair, authority, issue

Answer = Mapping[str, Any] | int | Callable[[BaseHTTPRequestHandler], None]
_REASONS = {401: "Unauthorized", 403: "Forbidden", 404: "NotFound", 500: "InternalError"}


@dataclass(kw_only=True)
class ApiServer:
    """A running server. `requests` are (verb, path, query) as they came; `denied` rights."""

    kubeconfig: Path
    port: int
    answers: dict[str, Answer]
    requests: list[tuple[str, str, dict[str, list[str]]]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    denied: set[tuple[str, str]] = field(default_factory=set)


def status(code: int, message: str = "") -> dict[str, Any]:
    """A Status object as the API server sends it."""
    reason = _REASONS.get(code, "")
    return {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Failure",
        "message": message or f"the answer is {code}",
        "reason": reason,
        "code": code,
    }


def listed(kind: str, *items: Mapping[str, Any]) -> dict[str, Any]:
    """A list of objects; its items carry neither kind nor apiVersion, as in the real API."""
    return {
        "kind": f"{kind}List",
        "apiVersion": "v1",
        "metadata": {"resourceVersion": "7"},
        "items": [
            {k: v for k, v in item.items() if k not in ("kind", "apiVersion")} for item in items
        ],
    }


@contextmanager
def api_server(
    folder: Path, answers: Mapping[str, Answer], *, name: str = "127.0.0.1", ca: Pair | None = None
) -> Iterator[ApiServer]:
    """Serve `answers` on loopback by a certificate for `name`; the kubeconfig trusts `ca`."""
    ca = ca or authority("kubernetes")
    leaf = issue(common_name="kube-apiserver", san=(name,), by=ca)
    (folder / "api.pem").write_bytes(leaf.pem + leaf.key_pem)
    (folder / "api-ca.crt").write_bytes(ca.pem)
    httpd = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "api.pem")
    httpd.socket = context.wrap_socket(
        httpd.socket, server_side=True, do_handshake_on_connect=False
    )
    port = httpd.server_address[1]
    server = ApiServer(kubeconfig=kubeconfig(folder, port), port=port, answers=dict(answers))
    httpd.api = server  # type: ignore[attr-defined]  # the handler finds it there
    thread = threading.Thread(target=httpd.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield server
    finally:
        httpd.shutdown()
        httpd.server_close()
        thread.join()


def kubeconfig(folder: Path, port: int, **cluster: Any) -> Path:
    """A kubeconfig in `folder` for the server on `port`; `cluster` overrides its cluster table."""
    path = folder / "kubeconfig"
    table = {
        "server": f"https://127.0.0.1:{port}",
        "certificate-authority": str(folder / "api-ca.crt"),
        **cluster,
    }
    path.write_text(
        json.dumps(
            {
                "apiVersion": "v1",
                "kind": "Config",
                "current-context": "lab",
                "clusters": [{"name": "lab", "cluster": table}],
                "users": [{"name": "u", "user": {"token": "bearer-s3cret"}}],
                "contexts": [{"name": "lab", "context": {"cluster": "lab", "user": "u"}}],
            }
        )
    )
    return path


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        self._answer()

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers.get("Content-Length") or 0)))
        wanted = body["spec"]["resourceAttributes"]
        denied = (wanted["verb"], wanted["resource"]) in self._api.denied
        self._note()
        self.send_json(201, {**body, "status": {"allowed": not denied}})

    @property
    def _api(self) -> ApiServer:
        return self.server.api  # type: ignore[attr-defined,no-any-return]  # set by api_server

    def _note(self) -> str:
        url = urlsplit(self.path)
        self._api.requests.append((self.command, url.path, parse_qs(url.query)))
        self._api.headers.append(dict(self.headers.items()))
        return url.path

    def _answer(self) -> None:
        path = self._note()
        found = self._api.answers.get(path, 404)
        if callable(found):
            found(self)
        elif isinstance(found, int):
            self.send_json(found, status(found))
        else:
            self.send_json(200, found)

    def send_json(self, code: int, body: Mapping[str, Any]) -> None:
        self.send_text(code, json.dumps(body), "application/json")

    def send_text(self, code: int, text: str, kind: str) -> None:
        data = text.encode()
        self.send_response(code)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: Any) -> None:
        """Nothing: the test's own output is what counts."""
