"""Targets that answer badly, through the real command line: one line each, the rest judged."""

from __future__ import annotations

import gzip
import io
import socket
import subprocess
import sys
import tarfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from support import sshd
from support.command import COMMAND, REPORT, WEIGH, Ended, check, gapcheck, good_root, write_site
from support.healthy import healthy, with_facts
from support.registry_server import (
    Files,
    make_files,
    read_request,
    registry,
    saying,
    talking,
)

from gapcheck.fixtures.bundle import write_bundle
from gapcheck.fixtures.facts import Unreadable

NODE = "nodes:\n  - rootdir://./good\n"


@pytest.fixture
def files(tmp_path: Path) -> Files:
    return make_files(tmp_path)


def with_node(files: Files, port: int) -> None:
    """The site of that registry with one healthy node."""
    write_site(files.folder, port, NODE)
    good_root(files.folder / "good", f"registry.local:{port}", files.ca)


def rest_is_judged(done: Ended) -> None:
    assert done.status("NODE-TRUST-001", "node/good") == "pass"
    assert done.status("CERT-FILE-001", "site") == "pass"


def test_healthy_site_is_green(files: Files) -> None:
    with registry(files) as server:
        with_node(files, server.port)
        done = check(files.folder)
    assert done.code == 0, done.out
    rest_is_judged(done)


# --- the registry


def test_registry_that_answers_a_web_page_over_tls_is_named(files: Files) -> None:
    page = b"<html>Sign in</html>"
    head = f"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: {len(page)}\r\n\r\n"
    with talking(saying(head.encode() + page), files) as port:
        with_node(files, port)
        done = check(files.folder)
    assert done.code == 1
    done.line("REG-API-001", "/v2/ is answered with a web page (200)")
    assert done.status("REG-TLS-001", "registry") == "pass"
    rest_is_judged(done)


def never(connection: socket.socket, *, asked: bool) -> None:
    if asked:
        read_request(connection)
    while connection.recv(4096):
        pass


@pytest.mark.parametrize("asked", [True, False], ids=["after the request", "after the handshake"])
def test_registry_that_hangs_behind_a_good_handshake_ends_at_the_deadline(
    files: Files, *, asked: bool
) -> None:
    began = time.monotonic()
    with talking(lambda connection: never(connection, asked=asked), files) as port:
        with_node(files, port)
        done = check(files.folder)
    assert time.monotonic() - began < 15
    assert done.code == 6
    done.line("REG-API-001", "registry", "no complete answer in time")
    assert done.status("REG-TLS-001", "registry") == "pass"
    rest_is_judged(done)


def test_registry_that_closes_without_an_answer_is_said(files: Files) -> None:
    with talking(saying(b""), files) as port:
        with_node(files, port)
        done = check(files.folder)
    assert done.code == 6
    done.line("REG-API-001", "registry", "closed connection")
    assert done.status("REG-TLS-001", "registry") == "pass"
    rest_is_judged(done)


def long_header(connection: socket.socket) -> None:
    read_request(connection)
    connection.sendall(b"HTTP/1.1 200 OK\r\nX-Flood: ")
    for _ in range(100):
        connection.sendall(b"a" * 1_000_000)


def long_headers(connection: socket.socket) -> None:
    read_request(connection)
    connection.sendall(b"HTTP/1.1 200 OK\r\n")
    for _ in range(100):
        connection.sendall((b"X-Flood: " + b"a" * 60_000 + b"\r\n") * 16)


@pytest.mark.parametrize("answer", [long_header, long_headers], ids=["one line", "many lines"])
def test_header_of_100_mb_costs_neither_memory_nor_time(
    files: Files, answer: Callable[[socket.socket], None]
) -> None:
    with registry(files) as server:
        write_site(files.folder, server.port)
        _, usual = weighed(files.folder)
    began = time.monotonic()
    with talking(answer, files) as port:
        write_site(files.folder, port)
        code, peak = weighed(files.folder)
    assert time.monotonic() - began < 15
    assert code == 6
    assert peak < 1.5 * usual


def weighed(folder: Path) -> tuple[int, int]:
    """Exit code and peak resident size of a check, in the unit of this system."""
    words = ["check", "--site", "site.yaml", "--report", f"json:{REPORT}"]
    weight = folder / "weight"
    # By a small process between: a child starts with the peak of the process that forked it.
    between = [sys.executable, "-c", WEIGH, str(weight), *COMMAND, *words]
    done = subprocess.run(between, cwd=folder, capture_output=True, text=True, check=False)
    assert "Traceback" not in done.stderr
    return done.returncode, int(weight.read_text())


# --- nodes


@contextmanager
def odd_node(files: Files, forced: str) -> Iterator[Ended]:
    """A check of a healthy node and one behind an sshd that runs `forced` instead."""
    with registry(files) as server, sshd.running(files.folder / "sshd", forced) as node:
        target = f"  - name: odd\n    target: {node.hostspec}\n"
        write_site(files.folder, server.port, NODE + target)
        good_root(files.folder / "good", f"registry.local:{server.port}", files.ca)
        yield check(files.folder)


@pytest.mark.parametrize(
    ("forced", "said"),
    [
        ("sleep 60", "did not answer within 4 s"),
        ('PATH=/nowhere; eval "$SSH_ORIGINAL_COMMAND"', "has no sh on its PATH"),
        ("echo This account is not available", "This account is not available"),
    ],
    ids=["hangs", "no sh in PATH", "only a banner"],
)
def test_node_that_cannot_be_asked_is_one_line_and_the_others_are_judged(
    forced: str, said: str, files: Files
) -> None:
    with odd_node(files, f"ForceCommand {forced}") as done:
        assert done.code == 6
        done.line("node/odd", said)
        assert [gap["subject"] for gap in done.found["gaps"]] == ["node/odd"]
        assert done.status("NODE-TRUST-001", "node/odd") == "error"
        assert done.status("SITE-GAP-001", "site") == "error"
        rest_is_judged(done)


def test_banner_on_standard_output_does_not_reach_the_facts(files: Files) -> None:
    forced = 'ForceCommand echo "Welcome to node 7"; eval "$SSH_ORIGINAL_COMMAND"'
    with odd_node(files, forced) as done:
        assert done.found["gaps"] == []
        assert done.status("NODE-CLOCK-001", "node/odd") == "pass"
        assert "Welcome" not in done.out + done.err
        rest_is_judged(done)


def test_config_that_does_not_parse_blocks_only_its_own_node(files: Files) -> None:
    with registry(files) as server:
        write_site(files.folder, server.port, f"{NODE}  - rootdir://./bad\n")
        for name in ("good", "bad"):
            good_root(files.folder / name, f"registry.local:{server.port}", files.ca)
        config = files.folder / "bad/etc/containerd/config.toml"
        config.write_text("version = 2\n[plugins\n")
        done = check(files.folder)
    assert done.code == 1
    done.line("RUN-CONF-001 critical  node/bad: /etc/containerd/config.toml is refused")
    done.line("evidence", "table declaration (at line 2, column 9)")
    assert done.status("RUN-CONF-001", "node/good") == "pass"
    assert config.read_text() == "version = 2\n[plugins\n"
    rest_is_judged(done)


# --- manifests and bundles


def test_each_bad_manifest_is_a_gap_with_file_and_line(files: Files) -> None:
    folder = files.folder / "manifests"
    folder.mkdir()
    bomb = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
        f"{new}: &{new} [{', '.join([f'*{old}'] * 9)}]\n"
        for old, new in zip("abcdefghi", "bcdefghij", strict=True)
    )
    for name, text in {
        "good.yaml": "---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: x, namespace: coder}\n"
        "---\napiVersion: v1\nkind: Namespace\n"
        "metadata: {name: coder, labels: &own {a: b}, annotations: *own}\n",
        "open.yaml": "kind: [open\n",
        "tab.yaml": "kind: Secret\n\tmetadata: {}\n",
        "alias.yaml": "kind: *nothing\n",
        "bomb.yaml": bomb,
    }.items():
        (folder / name).write_text(text)
    more = "cluster: {manifests: manifests}\nrelease: {name: coder, namespace: coder}\n"
    with registry(files) as server:
        write_site(files.folder, server.port, more)
        began = time.monotonic()
        done = check(files.folder)
    assert time.monotonic() - began < 15
    assert done.code == 6
    for name in ("open.yaml:", "tab.yaml:2", "alias.yaml:1", "bomb.yaml:1"):
        done.line("manifests: ", name)
    assert done.status("SECRET-NS-001", "release") == "pass"
    assert done.status("REL-IMAGE-001", "release") == "error"
    assert done.status("REG-TLS-001", "registry") == "pass"


@pytest.mark.parametrize(("unread", "code"), [(False, 0), (True, 6)])
def test_plan_of_what_was_not_measured_is_not_green(
    tmp_path: Path, unread: bool, code: int
) -> None:
    known, facts = healthy()
    if unread:
        facts = with_facts(facts, "node/debian", containerd_config=Unreadable("no answer"))
    write_bundle(tmp_path / "site.tar.gz", known, facts)
    done = gapcheck(tmp_path, "plan", "--bundle", "site.tar.gz")
    assert done.code == code, done.out
    assert "nothing to change" in done.out


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (b"gapcheck-bundle/1", b"gapcheck-bundle/9", "another version of gapcheck is needed"),
        (b"debian", b"fedora", "is not what the manifest says"),
    ],
    ids=["newer schema", "altered"],
)
def test_bundle_that_is_not_ours_as_written_is_refused_by_every_command(
    old: bytes, new: bytes, said: str, tmp_path: Path
) -> None:
    write_bundle(tmp_path / "whole.tar.gz", *healthy())
    (tmp_path / "bad.tar.gz").write_bytes(replaced(tmp_path / "whole.tar.gz", old, new))
    for words in (["check", "--bundle"], ["plan", "--bundle"], ["collect", "--show"]):
        done = gapcheck(tmp_path, *words, "bad.tar.gz")
        assert (done.code, done.out) == (4, "")
        done.line("bad.tar.gz: ", said)


def replaced(path: Path, old: bytes, new: bytes) -> bytes:
    """The bundle with `old` replaced in the members, which are else packed as they were."""
    out = io.BytesIO()
    with (
        tarfile.open(path) as given,
        gzip.GzipFile(fileobj=out, mode="wb") as packed,
        tarfile.open(fileobj=packed, mode="w") as made,
    ):
        for entry in given:
            member = given.extractfile(entry)
            assert member is not None
            content = member.read().replace(old, new)
            entry.size = len(content)
            made.addfile(entry, io.BytesIO(content))
    return out.getvalue()
