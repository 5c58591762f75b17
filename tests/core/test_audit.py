"""History, drift and baselines through the real command line, on the demo's own site."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from lxml import html
from support.command import Ended, gapcheck

ROOT = Path(__file__).parents[2]
HOSTS = "nodes/debian/etc/hosts"
CONFIG = "nodes/rhel/etc/containerd/config.toml"


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The demo's site after its repair, all green, with its registry up."""
    folder = tmp_path_factory.mktemp("audit") / "site"
    process = subprocess.Popen(
        [sys.executable, "-m", "gapcheck", "demo", "--out", folder, "--serve"],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    assert process.stdout is not None
    for line in process.stdout:
        if "until Ctrl-C" in line:
            break
    yield folder
    process.kill()
    process.wait()


class Place:
    """A copy of the green site with a history of its own."""

    def __init__(self, folder: Path, state: Path) -> None:
        self.folder = folder
        self.state = state

    def run(self, *words: object, **env: str) -> Ended:
        return gapcheck(self.folder, *words, **{"GAPCHECK_STATE": str(self.state), **env})

    def append(self, path: str, text: str) -> None:
        with (self.folder / path).open("a") as file:
            file.write(text)

    def runs(self) -> list[Any]:
        found = json.loads(self.run("history", "--format", "json").out)
        return [run for each in found for run in each["runs"]]


@pytest.fixture
def place(served: Path, tmp_path: Path) -> Place:
    folder = tmp_path / "site"
    shutil.copytree(served, folder, ignore=shutil.ignore_patterns("state"))
    return Place(folder, tmp_path / "state")


def test_the_first_drift_has_nothing_to_compare_with_and_says_so(place: Place) -> None:
    done = place.run("drift")
    assert done.code == 5
    assert "nothing to compare with" in done.out
    assert place.run("drift").code == 0  # it was remembered all the same


def test_an_edit_that_breaks_nothing_is_drift_although_checks_pass(place: Place) -> None:
    assert place.run("check").code == 0
    place.append(CONFIG, "# by hand\n")

    done = place.run("drift", "--report", "json:report.json", "--report", "openmetrics:m.txt",
                     "--report", "sarif:r.sarif")  # fmt: skip

    assert done.code == 8
    assert "file /etc/containerd/config.toml of node/rhel" in done.out
    assert done.found["run"]["exit"] == 8
    facts = done.found["drift"]["facts"]
    assert [(each["fact"], each["subjects"]) for each in facts] == [
        ("file /etc/containerd/config.toml", ["node/rhel"])
    ]
    assert 'gapcheck_drift{kind="facts"} 1' in (place.folder / "m.txt").read_text()
    assert json.loads((place.folder / "r.sarif").read_text())["version"] == "2.1.0"
    assert place.run("drift").code == 0  # since the run before, nothing changed
    assert [run["exit"] for run in place.runs()] == [0, 8, 0]


def test_a_new_failure_is_named_with_its_file_and_since_when(place: Place) -> None:
    place.run("check")
    place.append(HOSTS, "10.9.9.9 registry.local\n")
    broken = place.run("check")
    assert broken.code == 1

    done = place.run("drift", "--since", "green")

    assert done.code == 1  # a failed check outweighs drift
    first = place.runs()[1]["id"]
    assert "DNS-HOSTS-001 major  node/debian: pass -> fail" in done.out
    assert f"run {first}" in done.out
    assert "cause  file /etc/hosts of node/debian" in done.out
    story = place.run("history", "dns-hosts-001", "node/debian").out
    assert "pass" in story
    assert f"run {first}  fail: /etc/hosts gives registry.local 2 addresses" in story


def test_a_fix_and_an_undo_are_named_as_what_changed_a_file(place: Place) -> None:
    place.append(HOSTS, "10.9.9.9 registry.local\n")
    place.run("check")
    red = place.runs()[0]["id"]
    fixed = place.run("fix", "--yes")
    assert fixed.code == 0, fixed.err
    fix = place.runs()[1]
    assert fix["fix"]

    done = place.run("drift", "--since", red)
    assert done.code == 8
    assert f"fix run {fix['id']} wrote /etc/hosts" in done.out
    assert "fail -> pass" in done.out

    assert place.run("undo", fix["id"]).code == 0
    done = place.run("drift")
    assert done.code == 1
    assert f"(of {fix['id']})" in done.out
    assert "undo run" in done.out


def test_recorded_drift_measures_nothing(place: Place) -> None:
    place.run("check")
    place.append(CONFIG, "# by hand\n")
    place.run("check")
    shutil.rmtree(place.folder / "nodes")
    done = place.run("drift", "--recorded")
    assert done.code == 8
    assert "file /etc/containerd/config.toml of node/rhel" in done.out
    assert len(place.runs()) == 2


@pytest.mark.parametrize(
    "words",
    [
        ["--select", "DNS"],
        ["--target", "node/debian"],
        ["--now", "2030-01-01"],
        ["--bundle", "green.tar.gz"],
    ],
)
def test_what_is_no_full_look_at_the_site_now_is_not_remembered(
    words: list[str], place: Place
) -> None:
    place.run("check", *words)
    assert place.runs() == []


def test_a_host_without_a_site_file_is_not_remembered(place: Place) -> None:
    place.run("check", "127.0.0.1:1", "--ca", "ca.crt")
    assert place.runs() == []
    assert not place.state.exists()


def test_a_site_can_ask_for_no_history(place: Place) -> None:
    place.append("site.yaml", "\npolicy: {history_days: 0}\n")
    assert place.run("check").code == 0
    assert not (place.state / "history.db").exists()


def pytest_run(place: Place, *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", ROOT / "checks"]
    environment = {**os.environ, "GAPCHECK_STATE": str(place.state)}
    return subprocess.run(
        [*command, "--site", place.folder / "site.yaml", *words],
        cwd=ROOT, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip


def test_both_front_ends_write_one_history_and_a_narrowed_run_none(place: Place) -> None:
    assert place.run("check").code == 0
    assert pytest_run(place).returncode == 0
    assert pytest_run(place, "-k", "DNS").returncode == 0
    assert [run["front_end"] for run in place.runs()] == ["cli", "pytest"]
    assert place.run("drift", "--recorded").code == 0


def test_a_damaged_history_is_said_and_decides_nothing(place: Place) -> None:
    place.state.mkdir()
    (place.state / "history.db").write_bytes(b"no database " * 999)

    reading = place.run("history")
    assert reading.code == 4
    assert "is damaged" in reading.err
    done = place.run("check")

    assert done.code == 0
    assert "was damaged" in done.err
    assert "is kept as" in done.err
    assert len(list(place.state.glob("history.damaged-*.db"))) == 1
    assert len(place.runs()) == 1


def test_drift_against_a_damaged_history_is_no_pass_and_begins_a_new_one(place: Place) -> None:
    place.state.mkdir()
    (place.state / "history.db").write_bytes(b"no database " * 999)

    assert place.run("drift", "--since", "green").code == 4  # what was asked for is lost
    done = place.run("drift")

    assert done.code == 5
    assert "is damaged" in done.err
    assert "nothing to compare with" in done.out
    assert len(list(place.state.glob("history.damaged-*.db"))) == 1
    assert place.run("drift").code == 0


def test_a_state_folder_that_cannot_be_used_is_a_note_and_no_failure(place: Place) -> None:
    place.state.write_bytes(b"a file")
    done = place.run("check")
    assert done.code == 0
    assert "this run is not in the history" in done.err
    assert place.state.read_bytes() == b"a file"


def test_a_baseline_is_what_later_looks_are_compared_with(place: Place) -> None:
    assert place.run("baseline", "accept", "--reason", "r", "-o", "b.json").code == 4
    place.run("check")
    accepted = place.run("baseline", "accept", "--reason", "reviewed", "-o", "b.json")
    assert accepted.code == 0, accepted.err
    place.append(CONFIG, "# by hand\n")

    for _ in range(2):  # it stays drift until it is accepted
        done = place.run("drift", "--baseline", "b.json")
        assert done.code == 8
        assert "since baseline b.json" in done.out
        assert "config.toml of node/rhel" in done.out

    assert place.run("baseline", "accept", "--reason", "mine", "-o", "b.json").code == 4  # is there
    again = ["baseline", "accept", "--reason", "mine", "-o", "b.json", "--force"]
    assert place.run(*again).code == 0
    assert place.run("drift", "--baseline", "b.json").code == 0


def test_a_baseline_works_without_any_history(place: Place) -> None:
    place.run("check")
    place.run("baseline", "accept", "--reason", "reviewed", "-o", "b.json")
    shutil.rmtree(place.state)
    done = place.run("drift", "--baseline", "b.json")
    assert done.code == 0, done.out + done.err


def test_a_baseline_of_another_site_is_refused(place: Place) -> None:
    place.run("check")
    place.run("baseline", "accept", "--reason", "reviewed", "-o", "b.json")
    text = (place.folder / "site.yaml").read_text()
    (place.folder / "site.yaml").write_text(text.replace("guide as written", "elsewhere"))
    done = place.run("drift", "--baseline", "b.json")
    assert done.code == 4
    assert "is of the site 'guide as written', this is 'elsewhere'" in done.err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["drift", "--since", "1999"], "1999: no such run"),
        (["drift", "--since", "x", "--baseline", "y"], "two references"),
        (["drift", "--recorded", "--report", "json:-"], "--recorded only compares"),
        (["drift", "--baseline", "ca.crt"], "is not a baseline"),
        (["drift", "--recorded"], "no run of guide as written is recorded"),
        (["history", "NOPE-001"], "no such check"),
        (["history", "--site", "nope.yaml"], "there is no such file"),
        (["baseline", "accept", "--reason", " ", "-o", "b.json"], "--reason is empty"),
    ],
)
def test_wrong_use_is_one_clear_line_and_exit_4(words: list[str], said: str, place: Place) -> None:
    done = place.run(*words)
    assert done.code == 4
    assert said in done.err


def test_no_private_key_of_the_site_is_in_history_or_baseline(place: Place) -> None:
    keys = [place.folder / "issuer/ca.key", place.folder / "registry/certs/registry.key"]
    secrets = [line for key in keys for line in key.read_text().splitlines()[1:-1]]
    place.run("check")
    place.run("baseline", "accept", "--reason", "reviewed", "-o", "b.json")
    for written in [*place.state.rglob("*"), place.folder / "b.json"]:
        content = written.read_bytes() if written.is_file() else b""
        assert not any(line.encode() in content for line in secrets), written


def since(place: Place, name: str) -> str:
    page = html.parse(place.folder / name).getroot()
    return " ".join(page.get_element_by_id("since").text_content().split())


def test_page_of_a_check_says_what_changed_since_the_last_run_and_the_trend(place: Place) -> None:
    assert place.run("check", "--report", "html:first.html").code == 0
    assert "Not compared" in since(place, "first.html")
    place.append(HOSTS, "10.9.9.9 registry.local\n")

    done = place.run("check", "--report", "html:second.html", "--report", "json:report.json")

    assert done.code == 1
    said = since(place, "second.html")
    first = place.runs()[0]["id"]
    assert f"since run {first}" in said
    assert "DNS-HOSTS-001 node/debian: pass \u2192 fail" in said
    assert "cause: file /etc/hosts of node/debian" in said
    assert "The last 2 runs" in said
    assert "drift" not in done.found  # a page beside it changes no other report
    assert done.found["rounds"] == []
    assert len(place.runs()) == 2


def test_page_of_a_check_shows_the_plan_and_touches_nothing(place: Place) -> None:
    place.append(HOSTS, "10.9.9.9 registry.local\n")
    before = (place.folder / HOSTS).read_bytes()
    place.run("check", "--report", "html:page.html")
    repair = html.parse(place.folder / "page.html").getroot().get_element_by_id("repair")
    assert "What a repair would change" in repair.text_content()
    assert "-10.9.9.9 registry.local" in repair.text_content()
    assert (place.folder / HOSTS).read_bytes() == before


def test_page_of_a_narrowed_check_is_not_compared(place: Place) -> None:
    place.run("check")
    place.run("check", "--select", "DNS", "--report", "html:page.html")
    assert "Not compared" in since(place, "page.html")


def test_page_changes_no_exit_code_where_only_a_fact_differs(place: Place) -> None:
    place.run("check")
    place.append(CONFIG, "# by hand\n")
    assert place.run("check", "--report", "html:page.html").code == 0
    assert "1 fact differs" in since(place, "page.html")


def test_page_is_written_where_the_history_is_damaged(place: Place) -> None:
    place.run("check")
    history = place.state / "history.db"
    history.write_bytes(b"SQLite format 3\x00" + b"\xff" * 8192)
    done = place.run("check", "--report", "html:page.html")
    assert done.code == 0
    assert "damaged" in done.err
    assert "Not compared" in since(place, "page.html")


def test_a_schedule_begins_with_a_run_that_is_no_failure_and_then_sees_drift(place: Place) -> None:
    first = place.run("drift", "--begin")
    assert first.code == 0, first.out
    assert "nothing to compare with" in first.out
    assert place.run("drift", "--begin").code == 0
    place.append(CONFIG, "# by hand\n")
    third = place.run("drift", "--begin")
    assert third.code == 8
    assert "file /etc/containerd/config.toml of node/rhel" in third.out


def test_a_first_run_of_a_schedule_names_what_fails(place: Place) -> None:
    place.append(CONFIG, "= no TOML\n")
    first = place.run("drift", "--begin")
    assert first.code == 1
    assert "nothing to compare with" in first.out
    assert "RUN-CONF-001" in first.out
    assert "node/rhel" in first.out


def test_a_first_run_that_is_not_kept_begins_nothing(place: Place) -> None:
    text = (place.folder / "site.yaml").read_text()
    assert "policy:" not in text
    (place.folder / "site.yaml").write_text(f"{text}\npolicy: {{history_days: 0}}\n")
    assert [place.run("drift", "--begin").code for _ in range(2)] == [5, 5]


def test_a_damaged_history_is_no_beginning(place: Place) -> None:
    assert place.run("drift", "--begin").code == 0
    (place.state / "history.db").write_bytes(b"no database" * 1000)
    lost = place.run("drift", "--begin")
    assert lost.code == 5
    assert "damaged" in lost.err
    assert place.run("drift", "--begin").code == 0


def test_a_first_run_says_what_fails_all_the_same(place: Place) -> None:
    hosts = place.folder / HOSTS
    hosts.write_text(hosts.read_text().replace("registry.local", "registry.locall"))
    assert place.run("drift", "--begin").code == 1


@pytest.mark.parametrize("more", [("--since", "green"), ("--recorded",), ("--baseline", "b.json")])
def test_begin_is_for_the_last_run_alone(more: tuple[str, ...], place: Place) -> None:
    assert place.run("drift", "--begin", *more).code == 4
