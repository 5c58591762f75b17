"""A docker engine's API on a unix socket: inspect of one container, and exec by a real sh."""

from __future__ import annotations

import json
import socketserver
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

CONTAINER = {
    "Id": "c0ffee",
    "Name": "/registry",
    "Created": "2026-01-01T00:00:00Z",
    "RestartCount": 3,
    "State": {"Status": "running", "Running": True},
    "Config": {
        "Image": "registry:2",
        "Labels": {"com.docker.compose.project": "site"},
        "Env": [
            "PATH=/bin",
            "REGISTRY_HTTP_SECRET=hunter2",
            "REGISTRY_STORAGE_S3_SECRETKEY=hunter2",
            "REGISTRY_HTTP_TLS_KEY=/certs/registry.key",
            "REGISTRY_PROXY_REMOTEURL=https://bob:hunter2@mirror",
        ],
    },
    "HostConfig": {
        "RestartPolicy": {"Name": "always", "MaximumRetryCount": 0},
        "PortBindings": {
            "5000/tcp": [{"HostIp": "", "HostPort": "443"}, {"HostIp": "::1", "HostPort": "443"}]
        },
    },
    "Mounts": [
        {"Type": "bind", "Source": "/certs", "Destination": "/certs", "RW": False},
        {
            "Type": "volume",
            "Name": "ab12",
            "Source": "/v",
            "Destination": "/var/lib/registry",
            "RW": True,
        },
    ],
}
VERSION = {"ApiVersion": "1.41", "MinAPIVersion": "1.12", "Version": "20.10.24", "Os": "linux"}


class Api(socketserver.ThreadingUnixStreamServer):
    """The server; `codes` are the exit codes of finished execs by their id."""

    daemon_threads = True

    def __init__(self, path: Path) -> None:
        self.execs: dict[str, list[str]] = {}
        self.codes: dict[str, int] = {}
        super().__init__(str(path), _Handler)


@contextmanager
def running(path: Path) -> Iterator[Api]:
    with Api(path) as api:
        threading.Thread(target=api.serve_forever, args=(0.05,), daemon=True).start()
        yield api
        api.shutdown()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Api

    def address_string(self) -> str:
        return "unix"

    def log_message(self, *_: Any) -> None:
        """Say nothing."""

    def do_HEAD(self) -> None:
        self._answer(200, {})

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        if path.endswith("/_ping"):
            self._answer(200, {})
        elif path.endswith("/version"):
            self._answer(200, VERSION)
        elif path.endswith("/containers/registry/json"):
            self._answer(200, CONTAINER)
        elif "/exec/" in path:
            exec_id = path.split("/")[-2]
            self._answer(200, {"ID": exec_id, "ExitCode": self.server.codes[exec_id]})
        else:
            self._answer(404, {"message": "No such container: other"})

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers.get("Content-Length") or 0)) or "{}")
        path = self.path.partition("?")[0]
        if path.endswith("/containers/registry/exec"):
            exec_id = f"e{len(self.server.execs)}"
            self.server.execs[exec_id] = body["Cmd"]
            self._answer(201, {"Id": exec_id})
        elif path.endswith("/start"):
            self._start(path.split("/")[-2])
        else:
            self._answer(404, {"message": "No such container: other"})

    def _start(self, exec_id: str) -> None:
        self.wfile.write(
            b"HTTP/1.1 101 UPGRADED\r\nContent-Type: application/vnd.docker.raw-stream\r\n"
            b"Connection: Upgrade\r\nUpgrade: tcp\r\n\r\n"
        )
        self.wfile.flush()
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        process = subprocess.Popen(self.server.execs[exec_id], **pipes)  # type: ignore[call-overload] # three pipes
        pumps = [
            threading.Thread(target=self._pump, args=(number, pipe, process), daemon=True)
            for number, pipe in ((1, process.stdout), (2, process.stderr))
        ]
        threading.Thread(target=self._feed, args=(process,), daemon=True).start()
        for pump in pumps:
            pump.start()
        for pump in pumps:
            pump.join()
        self.server.codes[exec_id] = process.wait()
        self.close_connection = True

    def _feed(self, process: Any) -> None:
        try:
            while chunk := self.connection.recv(65536):
                process.stdin.write(chunk)
                process.stdin.flush()
        except OSError:
            return  # the program read as much as it wanted

    def _pump(self, number: int, pipe: Any, process: Any) -> None:
        try:
            while chunk := pipe.read1(65536):
                self.wfile.write(bytes([number, 0, 0, 0]) + len(chunk).to_bytes(4, "big") + chunk)
        except OSError:
            process.kill()  # the client left

    def _answer(self, code: int, value: object) -> None:
        body = json.dumps(value).encode()
        self.send_response(code)
        self.send_header("Api-Version", "1.41")
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)
