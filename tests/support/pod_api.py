"""An API server that knows one thing: exec in pod `x`, over a websocket, by a real sh."""

from __future__ import annotations

import base64
import hashlib
import json
import socketserver
import struct
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

_MAGIC = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455 section 1.3
_SMALL, _MEDIUM = 126, 127
_BINARY, _CLOSE = 2, 8
_KUBECONFIG = """apiVersion: v1
kind: Config
current-context: test
contexts: [{{name: test, context: {{cluster: test, user: test}}}}]
clusters: [{{name: test, cluster: {{server: "http://127.0.0.1:{port}"}}}}]
users: [{{name: test, user: {{token: t}}}}]
"""


@contextmanager
def running(folder: Path) -> Iterator[Path]:
    """The server; yields the path of a kubeconfig that reaches it."""
    socketserver.ThreadingTCPServer.allow_reuse_address = True
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), _Handler) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        kubeconfig = folder / "kubeconfig"
        kubeconfig.write_text(_KUBECONFIG.format(port=server.server_address[1]))
        yield kubeconfig
        server.shutdown()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: Any) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        if "/pods/x/exec" not in url.path:
            self._refuse()
            return
        key = self.headers["Sec-WebSocket-Key"] + _MAGIC
        accept = base64.b64encode(hashlib.sha1(key.encode()).digest()).decode()  # noqa: S324 - RFC 6455 says SHA-1
        self.send_response(101)
        self.send_header("Upgrade", "websocket")
        self.send_header("Connection", "Upgrade")
        self.send_header("Sec-WebSocket-Accept", accept)
        self.send_header("Sec-WebSocket-Protocol", "v4.channel.k8s.io")
        self.end_headers()
        self.wfile.flush()
        self._exec(parse_qs(url.query)["command"])
        self.close_connection = True

    def _refuse(self) -> None:
        body = json.dumps({"message": 'pods "other" not found'}).encode()
        self.send_response(404, "Not Found")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _exec(self, argv: list[str]) -> None:
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        process: Any = subprocess.Popen(argv, **pipes)  # type: ignore[call-overload] # three pipes
        pumps = [
            threading.Thread(target=self._pump, args=(number, pipe, process), daemon=True)
            for number, pipe in ((1, process.stdout), (2, process.stderr))
        ]
        threading.Thread(target=self._feed, args=(process,), daemon=True).start()
        for pump in pumps:
            pump.start()
        for pump in pumps:
            pump.join()
        code = process.wait()
        with suppress(OSError):
            self._send(_BINARY, b"\x03" + json.dumps(_status(code)).encode())
            self._send(_CLOSE, b"\x03\xe8")

    def _feed(self, process: Any) -> None:
        try:
            while True:
                size = self.rfile.read(2)[1] & 127
                if size == _SMALL:
                    size = struct.unpack("!H", self.rfile.read(2))[0]
                elif size == _MEDIUM:
                    size = struct.unpack("!Q", self.rfile.read(8))[0]
                mask = self.rfile.read(4)
                raw = self.rfile.read(size)
                data = bytes(byte ^ mask[at % 4] for at, byte in enumerate(raw))
                if data[:1] == b"\x00":
                    process.stdin.write(data[1:])
                    process.stdin.flush()
        except (OSError, IndexError, ValueError):
            return  # the client left, or the program read as much as it wanted

    def _pump(self, number: int, pipe: Any, process: Any) -> None:
        try:
            while chunk := pipe.read1(32768):
                self._send(_BINARY, bytes([number]) + chunk)
        except OSError:
            process.kill()  # the client left

    def _send(self, opcode: int, data: bytes) -> None:
        head = bytes([0x80 | opcode])
        if len(data) < _SMALL:
            head += bytes([len(data)])
        else:
            head += bytes([_SMALL]) + struct.pack("!H", len(data))
        self.wfile.write(head + data)


def _status(code: int) -> dict[str, Any]:
    if code == 0:
        return {"status": "Success"}
    cause = {"reason": "ExitCode", "message": str(code)}
    return {"status": "Failure", "reason": "NonZeroExitCode", "details": {"causes": [cause]}}
