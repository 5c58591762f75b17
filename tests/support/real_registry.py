"""Debian's docker-registry on loopback, without TLS: for what is pushed to any registry."""

from __future__ import annotations

import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from support import needs

_CONFIG = """
version: 0.1
log: {{level: error}}
storage: {{filesystem: {{rootdirectory: {store}}}}}
http: {{addr: "127.0.0.1:{port}"}}
"""
_WAIT_S = 15.0


@contextmanager
def serving(folder: Path) -> Iterator[int]:
    """Port of a registry that keeps its images in `folder`."""
    program = needs.program("docker-registry")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    config = folder / "registry.yml"
    config.write_text(_CONFIG.format(store=folder / "store", port=port))
    server = subprocess.Popen([program, "serve", str(config)], stderr=subprocess.DEVNULL)
    try:
        _wait(port, time.monotonic() + _WAIT_S)
        yield port
    finally:
        server.terminate()
        server.wait(10)


def _wait(port: int, until: float) -> None:
    while time.monotonic() < until:
        with socket.socket() as tried:
            if tried.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.1)
    pytest.fail(f"docker-registry did not listen within {_WAIT_S:.0f} s")
