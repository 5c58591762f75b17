"""Servers of every kind for one test: Python's, OpenSSL's own, and scripted sockets."""

from __future__ import annotations

import contextlib
import select
import socket
import ssl
import struct
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from support import needs

Script = Callable[[socket.socket], None]


@contextlib.contextmanager
def scripted(script: Script, *, family: socket.AddressFamily = socket.AF_INET) -> Iterator[int]:
    """A server that runs `script` with each connection; gives its port."""
    host = "::1" if family is socket.AF_INET6 else "127.0.0.1"
    open_sockets: list[socket.socket] = []
    with socket.create_server((host, 0), family=family) as listener:

        def serve() -> None:
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                open_sockets.append(connection)
                threading.Thread(target=run, args=(connection,), daemon=True).start()

        def run(connection: socket.socket) -> None:
            with contextlib.suppress(OSError):
                script(connection)

        threading.Thread(target=serve, daemon=True).start()
        try:
            yield listener.getsockname()[1]
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            for each in open_sockets:
                each.close()


def tls_script(context: ssl.SSLContext) -> Script:
    """A TLS handshake by `context`, then the connection stays until the client goes."""

    def script(connection: socket.socket) -> None:
        with context.wrap_socket(connection, server_side=True) as spoken:
            spoken.settimeout(5)
            spoken.recv(1)

    return script


def context_of(chain: bytes, key: bytes, folder: Path) -> ssl.SSLContext:
    """A server context of Python's ssl that serves `chain`."""
    (folder / "chain.pem").write_bytes(chain)
    (folder / "key.pem").write_bytes(key)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.set_ciphers("ALL:@SECLEVEL=0")
    context.load_cert_chain(folder / "chain.pem", folder / "key.pem")
    return context


@contextlib.contextmanager
def s_server(folder: Path, *arguments: str) -> Iterator[int]:
    """`openssl s_server` with chain.pem and key.pem of `folder` and `arguments`; gives its port."""
    needs.program("openssl")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = ["openssl", "s_server", "-accept", f"127.0.0.1:{port}", "-quiet"]
    if not {"-nocert"} & set(arguments):
        command += ["-cert", str(folder / "chain.pem"), "-key", str(folder / "key.pem"),
                    "-cert_chain", str(folder / "chain.pem")]  # fmt: skip
    log = (folder / "s_server.log").open("wb")
    server = subprocess.Popen(
        [*command, *arguments], stdin=subprocess.PIPE, stdout=log, stderr=subprocess.STDOUT
    )
    try:
        _await(server, port, folder)
        yield port
    finally:
        server.kill()
        server.wait()
        log.close()


def _await(server: subprocess.Popen[bytes], port: int, folder: Path) -> None:
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        if server.poll() is not None:
            pytest.fail(f"openssl s_server ended: {(folder / 's_server.log').read_text()}")
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        select.select([], [], [], 0.02)
    pytest.fail("openssl s_server did not listen")


def read_hello(connection: socket.socket) -> bytes:
    """The client's first record."""
    header = _exactly(connection, 5)
    return header + _exactly(connection, int.from_bytes(header[3:5]))


def _exactly(connection: socket.socket, count: int) -> bytes:
    found = b""
    while len(found) < count:
        more = connection.recv(count - len(found))
        if not more:
            raise OSError
        found += more
    return found


def reset(connection: socket.socket) -> None:
    """Close so that the peer sees a reset."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


@contextlib.contextmanager
def go_server(program: Path, folder: Path, version: str) -> Iterator[int]:
    """The Go server with whatever stands in chain.pem and key.pem of `folder`; gives its port."""
    arguments = [program, folder / "chain.pem", folder / "key.pem", version]
    server = subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True)
    try:
        assert server.stdout is not None
        yield int(server.stdout.readline().rpartition(":")[2])
    finally:
        server.kill()
        server.communicate()
