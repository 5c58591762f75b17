"""A small real TLS registry for the demo: read-only, in one process, on loopback.

It reads its certificate and key anew for each connection, so that a switched pair is
served at once. It answers as CNCF distribution 2.8 does, its strictness about Accept included.
"""

from __future__ import annotations

import base64
import hmac
import json
import logging
import secrets
import socket
import socketserver
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Final, Literal
from urllib.parse import urlsplit

from gapcheck.demo.store import INDEX, MANIFEST, Manifest, Store, digest_of

log = logging.getLogger(__name__)

_PLAIN_ANSWER: Final = (
    b"HTTP/1.0 400 Bad Request\r\n\r\nClient sent an HTTP request to an HTTPS server.\n"
)
_TLS_HANDSHAKE: Final = 0x16
_IDLE_S: Final = 30.0
_API: Final = "/v2/"


@dataclass(frozen=True, slots=True, kw_only=True)
class Login:
    """Credentials the registry asks for; `realm` is the token address of the bearer scheme."""

    username: str
    password: str = field(repr=False)
    scheme: Literal["basic", "bearer"] = "basic"
    realm: str = ""
    anonymous: bool = False


@dataclass(slots=True, kw_only=True)
class Served:
    """What a registry serves, and by which pair of files."""

    certificate: Path
    key: Path
    store: Store = field(default_factory=Store)
    login: Login | None = None
    tokens: set[str] = field(default_factory=set)


class RegistryServer(socketserver.ThreadingTCPServer):
    """Listens on `address`; port 0 takes a free one, told by `port`."""

    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, served: Served, *, address: str = "127.0.0.1", port: int = 0) -> None:
        self.served = served
        self.address_family = socket.AF_INET6 if ":" in address else socket.AF_INET
        super().__init__((address, port), _Handler)

    @property
    def port(self) -> int:
        """The port it listens on."""
        return int(self.server_address[1])

    def finish_request(self, request: object, client_address: object) -> None:
        """Speak TLS by the pair as it stands now, then HTTP; a failed handshake is only logged."""
        assert isinstance(request, socket.socket)
        try:
            request.settimeout(_IDLE_S)
            if request.recv(1, socket.MSG_PEEK)[:1] != bytes([_TLS_HANDSHAKE]):
                request.sendall(_PLAIN_ANSWER)
                return
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(self.served.certificate, self.served.key)
            with context.wrap_socket(request, server_side=True) as wrapped:
                self.RequestHandlerClass(wrapped, client_address, self)  # type: ignore[arg-type] # typeshed wants a bare socket; handlers take any
        except OSError as bad:
            log.debug("connection from %s ended: %s", client_address, bad)


@contextmanager
def running(
    served: Served, *, address: str = "127.0.0.1", port: int = 0
) -> Iterator[RegistryServer]:
    """Serve in a thread until the block ends."""
    with RegistryServer(served, address=address, port=port) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: RegistryServer

    def do_HEAD(self) -> None:
        self._answer()

    def do_GET(self) -> None:
        self._answer()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class names it
        log.debug(format, *args)

    def _answer(self) -> None:
        path = urlsplit(self.path).path
        if path == "/token":
            self._token()
        elif not path.startswith(_API):
            self._send(404, b"404 page not found\n", "text/plain; charset=utf-8")
        elif not self._may_read():
            self._challenge()
        elif path == _API:
            self._send(200, b"{}")
        else:
            self._read(path.removeprefix(_API))

    def _read(self, path: str) -> None:
        repository, slash, digest = path.rpartition("/blobs/")
        if slash:
            blob = self.server.served.store.blobs.get(digest)
            if blob is None:
                self._refuse(404, "BLOB_UNKNOWN", "blob unknown to registry")
            else:
                self._send(200, blob, "application/octet-stream", digest)
            return
        repository, slash, version = path.rpartition("/manifests/")
        manifest = self.server.served.store.manifests.get((repository, version))
        if not slash or manifest is None:
            self._refuse(404, "MANIFEST_UNKNOWN", "manifest unknown")
        elif manifest.media_type not in self._accepted():
            kind = {INDEX: "OCI index", MANIFEST: "OCI manifest"}.get(manifest.media_type, "image")
            plural = "indexes" if manifest.media_type == INDEX else "manifests"
            text = f"{kind} found, but accept header does not support OCI {plural}"
            self._refuse(404, "MANIFEST_UNKNOWN", text)
        else:
            self._send_manifest(manifest)

    def _send_manifest(self, manifest: Manifest) -> None:
        self._send(200, manifest.body, manifest.media_type, digest_of(manifest.body))

    def _accepted(self) -> set[str]:
        values = ",".join(self.headers.get_all("Accept") or ()).split(",")
        return {value.partition(";")[0].strip() for value in values}

    def _may_read(self) -> bool:
        login = self.server.served.login
        if login is None:
            return True
        scheme, _, given = (self.headers.get("Authorization") or "").partition(" ")
        if login.scheme == "bearer":
            return scheme == "Bearer" and given in self.server.served.tokens
        return scheme == "Basic" and self._is_password(given, login)

    @staticmethod
    def _is_password(given: str, login: Login) -> bool:
        wanted = base64.b64encode(f"{login.username}:{login.password}".encode())
        return hmac.compare_digest(given.encode(), wanted)

    def _token(self) -> None:
        login = self.server.served.login
        scheme, _, given = (self.headers.get("Authorization") or "").partition(" ")
        known = login and scheme == "Basic" and self._is_password(given, login)
        if not login or not (known or (login.anonymous and not given)):
            self._refuse(401, "UNAUTHORIZED", "authentication required")
            return
        token = secrets.token_urlsafe(16)
        self.server.served.tokens.add(token)
        self._send(200, json.dumps({"token": token, "expires_in": 60}).encode())

    def _challenge(self) -> None:
        login = self.server.served.login
        assert login is not None
        challenge = 'Basic realm="registry"'
        if login.scheme == "bearer":
            challenge = f'Bearer realm="{login.realm}",service="registry"'
        self._refuse(401, "UNAUTHORIZED", "authentication required", challenge)

    def _refuse(self, status: int, code: str, message: str, challenge: str = "") -> None:
        body = {"errors": [{"code": code, "message": message, "detail": None}]}
        self._send(status, json.dumps(body).encode(), challenge=challenge)

    def _send(
        self,
        status: int,
        body: bytes,
        media_type: str = "application/json; charset=utf-8",
        digest: str = "",
        challenge: str = "",
    ) -> None:
        self.send_response(status)
        self.send_header("Docker-Distribution-Api-Version", "registry/2.0")
        self.send_header("Content-Type", media_type)
        self.send_header("Content-Length", str(len(body)))
        if digest:
            self.send_header("Docker-Content-Digest", digest)
        if challenge:
            self.send_header("WWW-Authenticate", challenge)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)
