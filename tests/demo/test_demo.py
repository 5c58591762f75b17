"""The demo as a newcomer runs it, and what its folder is good for afterwards."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from lxml import etree, html


@dataclass
class Shown:
    folder: Path
    said: str
    code: int


def gapcheck(*words: object, state: Path | None = None) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, **({"GAPCHECK_STATE": str(state)} if state else {})}
    return subprocess.run(
        [sys.executable, "-m", "gapcheck", *map(str, words)],
        capture_output=True, text=True, check=False, env=environment,
    )  # fmt: skip


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Shown:
    folder = tmp_path_factory.mktemp("demo") / "here"
    done = gapcheck("demo", "--out", folder)
    return Shown(folder, done.stdout + done.stderr, done.returncode)


def data(path: Path) -> Any:
    return json.loads(path.read_text())


def test_demo_ends_well(demo: Shown) -> None:
    assert demo.code == 0, demo.said
    assert "Traceback" not in demo.said


def test_red_names_the_defects_of_the_guide_as_roots(demo: Shown) -> None:
    red = data(demo.folder / "red.json")
    roots = {each["check"] for each in red["summary"]["root_causes"]}
    assert roots == {
        "CERT-SAN-001", "CERT-CA-001", "SECRET-KEY-001", "DNS-POD-001", "RUN-TLS-001",
        "RUN-CONF-002", "REL-VALUE-001",
    }  # fmt: skip
    assert red["run"]["exit"] == 1


def test_the_failing_handshake_is_a_consequence(demo: Shown) -> None:
    red = data(demo.folder / "red.json")
    handshake = next(v for v in red["verdicts"] if v["check"] == "REG-TLS-001")
    assert handshake["root_causes"] == [{"check": "CERT-SAN-001", "subject": "registry"}]
    assert "legacy Common Name" in handshake["findings"][0]["problem"]


def test_green_is_green_and_says_what_was_repaired(demo: Shown) -> None:
    green = data(demo.folder / "green.json")
    assert green["run"]["exit"] == 0
    assert not [v for v in green["verdicts"] if v["status"] in ("fail", "error", "blocked")]
    fixed = {v["check"] for v in green["verdicts"] if v["fixed"]}
    assert {"CERT-SAN-001", "REG-TLS-001", "SECRET-KEY-001", "RUN-TLS-001"} <= fixed


def test_checks_that_need_a_running_node_are_not_applicable_and_counted(demo: Shown) -> None:
    green = data(demo.folder / "green.json")
    load = [v for v in green["verdicts"] if v["check"] == "RUN-LOAD-001"]
    assert [v["status"] for v in load] == ["not_applicable", "not_applicable"]
    assert green["summary"]["not_applicable"] > 0


def test_second_repair_changes_nothing(demo: Shown) -> None:
    assert "== 4. A second repair ==\n\nnothing to change" in demo.said


def test_private_key_is_in_no_report_bundle_or_journal(demo: Shown) -> None:
    leaky = demo.folder / "state"
    places = [p for p in leaky.rglob("*") if p.is_file() and "backup" not in p.parts]
    places += [p for p in demo.folder.glob("*") if p.is_file()]
    assert len(places) > 8
    for place in places:
        content = place.read_bytes()
        assert b"PRIVATE KEY" not in content, place
        assert b"UFJJVkFURSBLRVk" not in content, place  # the same in base64


@pytest.mark.parametrize("color", ["red", "green"])
def test_bundle_gives_the_same_verdicts_again_and_touches_nothing(
    demo: Shown, color: str, tmp_path: Path
) -> None:
    report = tmp_path / "again.json"
    bundle = demo.folder / f"{color}.tar.gz"
    done = gapcheck("check", "--bundle", bundle, "--report", f"json:{report}")
    first, again = data(demo.folder / f"{color}.json"), data(report)
    assert done.returncode == first["run"]["exit"]
    statuses = [
        [(v["check"], v["subject"], v["status"]) for v in each["verdicts"]]
        for each in (first, again)
    ]
    assert statuses[0] == statuses[1]


def test_junit_and_html_are_there(demo: Shown) -> None:
    for color in ("red", "green"):
        assert etree.parse(demo.folder / f"{color}.xml").getroot().tag == "testsuites"
        page = html.parse(demo.folder / f"{color}.html").getroot()
        assert page.xpath("string(//h1//strong)") == ("Not ready" if color == "red" else "Ready")
        # Nothing is fetched: every link leads into the page itself.
        assert not page.xpath("//@src | //link | //@href[not(starts-with(., '#'))]")


def test_undo_puts_the_red_site_back(tmp_path: Path) -> None:
    folder = tmp_path / "demo"
    assert gapcheck("demo", "--out", folder).returncode == 0
    listed = gapcheck("runs", state=folder / "state").stdout
    run = listed.splitlines()[-1].split()[0]
    undone = gapcheck("undo", run, "--site", folder / "site.yaml", state=folder / "state")
    assert undone.returncode == 0, undone.stderr
    assert "what was removed for good" in undone.stderr
    config = (folder / "nodes/debian/etc/containerd/config.toml").read_text()
    assert "insecure_skip_verify = true" in config
    assert not (folder / "nodes/debian/etc/containerd/certs.d").exists()
    assert not (folder / "issuer").exists()
    assert (folder / "ca.crt").read_bytes() == (folder / "registry/certs/registry.crt").read_bytes()


def test_a_folder_with_something_in_it_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("precious")
    done = gapcheck("demo", "--out", tmp_path)
    assert done.returncode == 4
    assert "not an empty folder" in done.stderr
    assert [each.name for each in tmp_path.iterdir()] == ["mine"]


@pytest.fixture
def serving(tmp_path: Path) -> Iterator[tuple[Path, subprocess.Popen[str]]]:
    folder = tmp_path / "served"
    process = subprocess.Popen(
        [sys.executable, "-m", "gapcheck", "demo", "--out", folder, "--serve"],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    yield folder, process
    if process.poll() is None:
        process.kill()
        process.wait()


def test_served_registry_can_be_checked_until_it_is_interrupted(
    serving: tuple[Path, subprocess.Popen[str]],
) -> None:
    folder, process = serving
    assert process.stdout is not None
    for line in process.stdout:
        if "until Ctrl-C" in line:
            break
    port = int(line.split("127.0.0.1:")[1].split()[0])
    done = gapcheck("check", "--site", folder / "site.yaml")
    assert done.returncode == 0, done.stdout
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=10) == 0
    ends = time.monotonic() + 10
    while time.monotonic() < ends:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) != 0:
                return
    pytest.fail("the registry still listens")
