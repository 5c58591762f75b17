"""A registry on loopback for tests, and servers that misbehave in one way each."""

from __future__ import annotations

import datetime as dt
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from support.certs import Pair, authority, issue

from gapcheck.demo.registry import Login, RegistryServer, Served, running
from gapcheck.demo.store import Store
from gapcheck.site import Site

HOST = "registry.local"


@dataclass(kw_only=True)
class Files:
    """A folder with a CA file and a registry's pair, valid now."""

    folder: Path
    ca: Pair
    leaf: Pair

    @property
    def certificate(self) -> Path:
        return self.folder / "registry.crt"

    @property
    def key(self) -> Path:
        return self.folder / "registry.key"

    def write(self, leaf: Pair) -> None:
        self.leaf = leaf
        self.certificate.write_bytes(leaf.pem)
        self.key.write_bytes(leaf.key_pem)


def yesterday() -> dt.datetime:
    return dt.datetime.now(dt.UTC) - dt.timedelta(days=1)


def make_files(folder: Path) -> Files:
    ca = authority(not_before=yesterday())
    leaf = issue(by=ca, not_before=yesterday())
    files = Files(folder=folder, ca=ca, leaf=leaf)
    (folder / "ca.crt").write_bytes(ca.pem)
    files.write(leaf)
    return files


@contextmanager
def registry(
    files: Files, store: Store | None = None, login: Login | None = None, address: str = "127.0.0.1"
) -> Iterator[RegistryServer]:
    served = Served(
        certificate=files.certificate, key=files.key, store=store or Store(), login=login
    )
    with running(served, address=address) as server:
        yield server


def site_for(port: int, **registry_keys: object) -> Site:
    keys = {
        "host": f"{HOST}:{port}",
        "address": "127.0.0.1",
        "ca_file": "ca.crt",
        **registry_keys,
    }
    return Site.model_validate({"version": 1, "registry": keys})


@contextmanager
def talking(answer: Callable[[socket.socket], None], files: Files | None = None) -> Iterator[int]:
    """A port where each connection (by TLS with `files`) is handed to `answer`, then closed."""
    listener = socket.create_server(("127.0.0.1", 0))
    context = None
    if files:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(files.certificate, files.key)

    def one(conn: socket.socket) -> None:
        with suppress(OSError), conn:
            if context is None:
                answer(conn)
                return
            with context.wrap_socket(conn, server_side=True) as wrapped:
                answer(wrapped)

    def serve() -> None:
        with suppress(OSError):
            while True:
                conn, _ = listener.accept()
                threading.Thread(target=one, args=(conn,), daemon=True).start()

    threading.Thread(target=serve, daemon=True).start()
    try:
        yield listener.getsockname()[1]
    finally:
        listener.close()


def read_request(conn: socket.socket) -> bytes:
    held = b""
    while b"\r\n\r\n" not in held:
        chunk = conn.recv(4096)
        if not chunk:
            break
        held += chunk
    return held


def saying(octets: bytes) -> Callable[[socket.socket], None]:
    """A server that reads a request and answers with exactly `octets`."""

    def answer(conn: socket.socket) -> None:
        read_request(conn)
        conn.sendall(octets)

    return answer
