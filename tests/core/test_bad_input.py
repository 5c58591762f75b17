"""Bad input through the real command line: one clear line, the rest still judged, nothing lost."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from support.certs import Pair, authority, issue
from support.command import COMMAND, WEIGH
from support.healthy import healthy

from gapcheck.fixtures.bundle import write_bundle


def gapcheck(*words: object, folder: Path | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*COMMAND, *map(str, words)],
        cwd=folder, capture_output=True, text=True, check=False, timeout=60,
        stdin=subprocess.DEVNULL, env={**os.environ, "NO_COLOR": "1"},
    )  # fmt: skip


def one_clear_line(done: subprocess.CompletedProcess[str], *parts: str) -> None:
    """No traceback, and one line of stderr or of the report that holds every part."""
    said = done.stdout + done.stderr
    assert "Traceback" not in said
    said = re.sub(r"\n {4,}", " ", said)  # the report wraps long lines
    assert any(all(part in line for part in parts) for line in said.splitlines()), said


def site(folder: Path, text: str) -> Path:
    path = folder / "site.yaml"
    path.write_text(text)
    return path


def statuses(report: Path) -> dict[tuple[str, str], str]:
    return {
        (v["check"], v["subject"]): v["status"] for v in json.loads(report.read_text())["verdicts"]
    }


# --- the site file


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("version: 1\nregistry:\n  hots: r.local\n", ("site.yaml:3", "hots", "host")),
        ("version: 1\nregistry: {host: a}\nregistry: {host: b}\n", ("site.yaml:3", "registry")),
        ("version: 1\nregistry:\n\thost: r.local\n", ("site.yaml:3", "tab")),
        ("version: 7\nregistry: {host: a}\n", ("site.yaml:1", "version")),
        ("", ("site.yaml", "empty")),
    ],
    ids=["unknown key", "duplicate", "tab", "version", "empty"],
)
def test_site_file_is_refused_with_line_and_what_is_allowed(
    text: str, parts: tuple[str, ...], tmp_path: Path
) -> None:
    done = gapcheck("check", "--site", site(tmp_path, text))
    assert done.returncode == 4
    one_clear_line(done, *parts)
    assert done.stdout == ""


def test_waiver_of_a_check_that_does_not_exist_is_refused(tmp_path: Path) -> None:
    waiver = "{check: NODE-TRSUT-001, reason: typo, until: 2099-01-01}"
    path = site(tmp_path, f"version: 1\nregistry: {{host: r.local}}\nwaivers: [{waiver}]\n")
    done = gapcheck("check", "--site", path)
    assert done.returncode == 4
    one_clear_line(done, "site.yaml: waivers: NODE-TRSUT-001: no such check")


def test_absent_site_file_says_how_to_get_one(tmp_path: Path) -> None:
    done = gapcheck("check", folder=tmp_path)
    assert done.returncode == 4
    one_clear_line(done, "gapcheck init")


# --- the CA file


@pytest.fixture(scope="module")
def ca() -> Pair:
    return authority("Bad Input CA", days=3650 * 3)


@pytest.fixture(scope="module")
def served(ca: Pair, tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """A TLS server whose certificate is right."""
    folder = tmp_path_factory.mktemp("served")
    leaf = issue(by=ca, san=("registry.local",), days=3000)
    (folder / "pair.pem").write_bytes(leaf.pem + leaf.key_pem)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "pair.pem")

    def answer(connection: socket.socket) -> None:
        with context.wrap_socket(connection, server_side=True) as tls:
            tls.recv(1 << 16)
            body = (
                b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"
            )
            tls.sendall(body)

    with listening(answer) as port:
        yield port


@contextmanager
def listening(answer: Callable[[socket.socket], None]) -> Iterator[int]:
    """A server that lets `answer` talk to each connection, until the block ends."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            while True:
                try:
                    connection, _ = server.accept()
                except OSError:
                    return
                threading.Thread(target=talk, args=(connection,), daemon=True).start()

        def talk(connection: socket.socket) -> None:
            try:
                with connection:
                    answer(connection)
            except OSError:
                return

        threading.Thread(target=serve, daemon=True).start()
        yield server.getsockname()[1]
        server.shutdown(socket.SHUT_RDWR)


def check_host(
    port: int, ca_file: Path, report: Path, *before: object
) -> subprocess.CompletedProcess[str]:
    """A check of that registry, started by the command line in `before` where one is given."""
    host = [f"registry.local:{port}", "--ca", ca_file, "--address", "127.0.0.1"]
    words = [*before, *COMMAND, "check", *host, "--report", f"json:{report}"]
    return subprocess.run(
        [*map(str, words)],
        capture_output=True, text=True, check=False, timeout=60,
        stdin=subprocess.DEVNULL, env={**os.environ, "NO_COLOR": "1"},
    )  # fmt: skip


CA_FILES: dict[str, tuple[Callable[[Pair], bytes], str]] = {
    "DER": (lambda ca: ca.der, "DER"),
    "joined": (lambda ca: ca.pem.strip() + ca.pem, "same line"),
    "key": (lambda ca: ca.key_pem, "private key"),
    "empty": (lambda _: b"", "empty"),
    "half": (lambda ca: ca.pem[: len(ca.pem) // 2], "END"),
    "indented": (lambda ca: b"".join(b"  " + row + b"\n" for row in ca.pem.splitlines()), "start"),
}


@pytest.mark.parametrize("name", CA_FILES)
def test_unusable_ca_file_is_the_named_root_of_the_failing_handshake(
    name: str, served: int, ca: Pair, tmp_path: Path
) -> None:
    make, word = CA_FILES[name]
    ca_file, report = tmp_path / "ca.crt", tmp_path / "out.json"
    ca_file.write_bytes(make(ca))
    before = ca_file.read_bytes()
    done = check_host(served, ca_file, report)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert word.lower() in done.stdout.lower()
    found = json.loads(report.read_text())
    handshake = next(v for v in found["verdicts"] if v["check"] == "REG-TLS-001")
    assert handshake["status"] == "fail"
    assert {"check": "CERT-FILE-001", "subject": "site"} in handshake["root_causes"]
    assert statuses(report)["CERT-SAN-001", "registry"] == "pass"
    assert ca_file.read_bytes() == before


def test_ca_file_that_cannot_be_opened_is_a_usage_error(served: int, tmp_path: Path) -> None:
    done = check_host(served, tmp_path / "none.crt", tmp_path / "out.json")
    assert done.returncode == 4
    one_clear_line(done, "none.crt", "No such file")
    assert not (tmp_path / "out.json").exists()


def test_right_ca_file_passes_the_handshake(served: int, ca: Pair, tmp_path: Path) -> None:
    ca_file, report = tmp_path / "ca.crt", tmp_path / "out.json"
    ca_file.write_bytes(ca.pem)
    check_host(served, ca_file, report)
    assert statuses(report)["REG-TLS-001", "registry"] == "pass"


# --- the registry


def html(connection: socket.socket) -> None:
    connection.recv(1 << 16)
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n<html>hello</html>")


def closing(connection: socket.socket) -> None:
    connection.recv(1)


def hanging(connection: socket.socket) -> None:
    while connection.recv(1 << 16):
        time.sleep(0.01)
    time.sleep(60)


@pytest.mark.parametrize(
    ("answer", "check", "word"),
    [
        (html, "REG-HTTP-001", "HTTP"),
        (closing, "CERT-SERVED-002", "reset"),
    ],
    ids=["plain HTML", "closes"],
)
def test_odd_registry_is_a_named_failure_and_the_rest_is_judged(
    answer: Callable[[socket.socket], None], check: str, word: str, ca: Pair, tmp_path: Path
) -> None:
    (tmp_path / "ca.crt").write_bytes(ca.pem)
    with listening(answer) as port:
        done = check_host(port, tmp_path / "ca.crt", tmp_path / "out.json")
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    found = statuses(tmp_path / "out.json")
    assert found[check, "registry"] == "fail"
    assert found["REG-TLS-001", "registry"] == "fail"
    assert found["CERT-FILE-001", "site"] == "pass"
    assert word in done.stdout


def test_hanging_registry_ends_at_its_deadline_and_fails_as_for_the_client(
    ca: Pair, tmp_path: Path
) -> None:
    (tmp_path / "ca.crt").write_bytes(ca.pem)
    began = time.monotonic()
    with listening(hanging) as port:
        path = site(
            tmp_path,
            f"version: 1\nregistry: {{host: registry.local, port: {port}, address: 127.0.0.1,"
            " ca_file: ca.crt}\npolicy: {probe_timeout_s: 3s}\n",
        )
        done = gapcheck("check", "--site", path, "--report", f"json:{tmp_path / 'out.json'}")
    assert time.monotonic() - began < 30  # 3 s each for two questions, and starting up
    assert done.returncode == 1
    assert statuses(tmp_path / "out.json")["REG-TLS-001", "registry"] == "fail"
    assert "timeout" in done.stdout
    assert "measured 1 of 2; waiting for registry" in done.stderr


def test_header_without_end_costs_neither_time_nor_memory(ca: Pair, tmp_path: Path) -> None:
    leaf = issue(by=ca, san=("registry.local",), days=3000)
    (tmp_path / "pair.pem").write_bytes(leaf.pem + leaf.key_pem)
    (tmp_path / "ca.crt").write_bytes(ca.pem)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "pair.pem")

    def flood(connection: socket.socket) -> None:
        with context.wrap_socket(connection, server_side=True) as tls:
            tls.recv(1 << 16)
            tls.sendall(b"HTTP/1.1 200 OK\r\nX-Flood: ")
            for _ in range(100):
                tls.sendall(b"a" * (1 << 20))

    with listening(flood) as port:
        # By a small process between: a child starts with the peak of the process that forked it.
        between = (sys.executable, "-c", WEIGH, tmp_path / "kib")
        done = check_host(port, tmp_path / "ca.crt", tmp_path / "out.json", *between)
    assert int((tmp_path / "kib").read_text()) < 300 * 1024
    found = statuses(tmp_path / "out.json")
    assert found["REG-TLS-001", "registry"] == "pass"
    assert found["REG-API-001", "registry"] in ("fail", "error")
    assert done.returncode in (1, 6)
    assert "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa" * 40 not in done.stdout


# --- nodes and folders


def test_unreachable_node_is_a_gap_and_the_others_are_judged(tmp_path: Path) -> None:
    root = tmp_path / "good/etc"
    root.mkdir(parents=True)
    (root / "hosts").write_text("127.0.0.1 localhost\n127.0.0.1 registry.local\n")
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    path = site(
        tmp_path,
        "version: 1\nregistry: {host: registry.local, address: 127.0.0.1, port: 1}\n"
        f"nodes:\n  - {{name: bad, target: 'ssh://root@127.0.0.1:{port}'}}\n"
        "  - {name: gone, target: 'rootdir://./nowhere'}\n"
        "  - {name: good, target: 'rootdir://./good'}\npolicy: {probe_timeout_s: 2s}\n",
    )
    done = gapcheck("check", "--site", path, "--report", f"json:{tmp_path / 'out.json'}")
    one_clear_line(done, "node/bad", "refuses the connection")
    one_clear_line(done, "node/gone", "No such file")
    found = statuses(tmp_path / "out.json")
    assert found["DNS-HOSTS-001", "node/bad"] == "error"
    assert found["DNS-HOSTS-001", "node/gone"] == "error"
    assert found["DNS-HOSTS-001", "node/good"] == "pass"


def test_config_that_does_not_parse_is_a_finding_with_its_line(tmp_path: Path) -> None:
    root = tmp_path / "node"
    for name, content in {
        "etc/os-release": "ID=debian\n",
        "etc/containerd/config.toml": "version = 2\n[plugins\n",
        "usr/bin/containerd": "",
    }.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(content)
    text = "version: 1\nregistry: {host: registry.local, address: 127.0.0.1, port: 1}\n"
    path = site(tmp_path, f"{text}nodes: [{{name: n, target: 'rootdir://./node'}}]\n")
    done = gapcheck("check", "--site", path, "--report", f"json:{tmp_path / 'out.json'}")
    assert done.returncode == 1
    assert statuses(tmp_path / "out.json")["RUN-CONF-001", "node/n"] == "fail"
    assert "line 2" in done.stdout
    assert "Traceback" not in done.stderr


def test_broken_manifest_is_a_gap_and_good_ones_are_judged(tmp_path: Path) -> None:
    folder = tmp_path / "manifests"
    folder.mkdir()
    (folder / "good.yaml").write_text(
        "---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: x}\n---\n# nothing\n"
        "---\napiVersion: v1\nkind: Namespace\nmetadata: {name: coder, labels: &l {a: b}, "
        "annotations: {<<: *l}}\n"
    )
    (folder / "bad.yaml").write_text("a: [1\nb: 2\n")
    path = site(
        tmp_path,
        "version: 1\nregistry: {host: registry.local, address: 127.0.0.1, port: 1}\n"
        "cluster: {manifests: manifests}\nrelease: {name: coder, namespace: coder}\n",
    )
    done = gapcheck("check", "--site", path, "--report", f"json:{tmp_path / 'out.json'}")
    one_clear_line(done, "bad.yaml")
    assert statuses(tmp_path / "out.json")["SITE-CLUSTER-001", "cluster"] == "pass"
    assert statuses(tmp_path / "out.json")["SECRET-NS-001", "release"] == "pass"
    assert (folder / "bad.yaml").read_text() == "a: [1\nb: 2\n"


# --- bundles and reports


def test_damaged_bundles_are_refused_in_one_line(tmp_path: Path) -> None:
    whole = tmp_path / "whole.tar.gz"
    write_bundle(whole, *healthy())
    content = whole.read_bytes()
    for name, bad in {
        "cut": content[: len(content) // 2],
        "altered": content[:200] + bytes([content[200] ^ 0xFF]) + content[201:],
        "text": b"hello\n",
        "empty": b"",
    }.items():
        (tmp_path / name).write_bytes(bad)
        done = gapcheck("check", "--bundle", tmp_path / name)
        assert done.returncode == 4, name
        one_clear_line(done, str(tmp_path / name))


def test_report_that_could_not_be_written_is_said_before_anything_is_asked(tmp_path: Path) -> None:
    words = ["check", "registry.invalid", "--report", f"json:{tmp_path / 'no/such/out.json'}"]
    done = gapcheck(*words)
    assert done.returncode == 4
    one_clear_line(done, "cannot write")
    assert done.stdout == ""


def test_json_to_stdout_is_nothing_but_json(tmp_path: Path) -> None:
    write_bundle(tmp_path / "b.tar.gz", *healthy())
    done = gapcheck("check", "--bundle", tmp_path / "b.tar.gz", "--report", "json:-")
    assert done.returncode == 0
    assert json.loads(done.stdout)["schema"] == "gapcheck/1"
    assert "exit 0" in done.stderr


def test_closed_pipe_leaves_no_traceback(tmp_path: Path) -> None:
    write_bundle(tmp_path / "b.tar.gz", *healthy())
    command = f"{sys.executable} -m gapcheck -v check --bundle {tmp_path / 'b.tar.gz'} | head -n 1"
    done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=False)
    assert "Traceback" not in done.stderr
    assert "BrokenPipe" not in done.stderr


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupt_ends_soon_with_code_2_and_no_child(
    number: signal.Signals, ca: Pair, tmp_path: Path
) -> None:
    (tmp_path / "ca.crt").write_bytes(ca.pem)
    with listening(hanging) as port:
        path = site(
            tmp_path,
            f"version: 1\nregistry: {{host: registry.local, port: {port}, address: 127.0.0.1,"
            " ca_file: ca.crt}\n",
        )
        process = subprocess.Popen(
            [sys.executable, "-m", "gapcheck", "check", "--site", path],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
        )  # fmt: skip
        time.sleep(1.5)
        began = time.monotonic()
        process.send_signal(number)
        _, err = process.communicate(timeout=15)
    assert process.returncode == 2, err
    assert "interrupted" in err
    assert "Traceback" not in err
    assert time.monotonic() - began < 5
    with pytest.raises(ProcessLookupError):
        os.killpg(process.pid, 0)


def test_no_help_page_loads_a_heavy_library() -> None:
    code = (
        "import sys\nfrom gapcheck.cli import cli\n"
        "heavy = {'rich','requests','cryptography','jinja2','kubernetes','docker','pydantic'}\n"
        "for name in cli.commands:\n"
        "    try:\n        cli.main([name, '--help'], standalone_mode=False)\n"
        "    except SystemExit:\n        pass\n"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "Example" in done.stdout
