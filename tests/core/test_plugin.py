"""The pytest front end, run as a user runs it: a pytest of its own over a bundle."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest
from lxml import etree
from support.certs import issue
from support.healthy import ca, healthy, served, with_facts

from gapcheck.fixtures.bundle import write_bundle
from gapcheck.fixtures.facts import Unreadable

ROOT = Path(__file__).parents[2]


@pytest.fixture
def green(tmp_path: Path) -> Path:
    path = tmp_path / "green.tar.gz"
    write_bundle(path, *healthy())
    return path


@pytest.fixture
def red(tmp_path: Path) -> Path:
    """The certificate names no host, and one node's clock could not be read."""
    site, facts = healthy()
    facts = served(facts, issue(san=None, by=ca()))
    facts = with_facts(facts, "node/rhel", clock=Unreadable("no date"))
    path = tmp_path / "red.tar.gz"
    write_bundle(path, site, facts)
    return path


def run(*words: object, folder: Path = ROOT) -> subprocess.CompletedProcess[str]:
    cache = f"cache_dir={tempfile.gettempdir()}/gapcheck-test-cache"
    command = [sys.executable, "-m", "pytest", "-o", cache, *map(str, words)]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


def gapcheck(*words: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "gapcheck", *map(str, words)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def data(path: Path) -> Any:
    found = json.loads(path.read_text())
    found.pop("run")
    return found


@pytest.mark.parametrize("color", ["green", "red"])
def test_both_front_ends_write_the_same_record_byte_for_byte(
    color: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    bundle = request.getfixturevalue(color)
    by_cli, by_pytest = tmp_path / "cli.json", tmp_path / "pytest.json"
    said = gapcheck("check", "--bundle", bundle, "--report", f"json:{by_cli}")
    shown = run("checks", "--bundle", bundle, "--report", f"json:{by_pytest}")
    assert shown.returncode == said.returncode, shown.stdout
    first, second = (path.read_bytes().split(b"\n", 2)[2] for path in (by_cli, by_pytest))
    assert first == second


def test_every_verdict_is_an_item_with_the_documented_id(red: Path) -> None:
    shown = run("checks", "--bundle", red, "-v")
    assert shown.returncode == 1
    assert "checks/certificate/names.py::CERT-SAN-001::registry FAILED" in shown.stdout
    assert "checks/node/clock.py::NODE-CLOCK-001::rhel ERROR" in shown.stdout
    assert "checks/node/clock.py::NODE-CLOCK-001::debian PASSED" in shown.stdout


def test_root_causes_are_summarised_as_the_command_line_does(red: Path) -> None:
    shown = run("checks", "--bundle", red)
    assert "CERT-SAN-001 critical  registry: " in shown.stdout
    assert "because of CERT-SAN-001::registry" in shown.stdout.replace("\n    ", " ")


def test_pyargs_name_the_installed_checks(green: Path, tmp_path: Path) -> None:
    shown = run("--pyargs", "gapcheck.checks", "--bundle", green, folder=tmp_path)
    assert shown.returncode == 0, shown.stdout
    assert "NODE-TRUST" not in shown.stdout.splitlines()[-1]


def test_k_narrows_items_report_and_exit_code(red: Path, tmp_path: Path) -> None:
    report = tmp_path / "narrow.json"
    words = ["checks", "--bundle", red, "-k", "NODE-CLOCK-001 and debian"]
    shown = run(*words, "--report", f"json:{report}")
    assert shown.returncode == 0, shown.stdout
    verdicts = data(report)["verdicts"]
    assert [(v["check"], v["subject"]) for v in verdicts] == [("NODE-CLOCK-001", "node/debian")]


def test_an_id_selects_one_item_and_its_prerequisites_are_judged_all_the_same(red: Path) -> None:
    shown = run("checks/registry/tls.py::REG-TLS-001::registry", "--bundle", red, "-v")
    assert shown.returncode == 1
    assert "1 failed" in shown.stdout
    assert "root cause   CERT-SAN-001::registry" in shown.stdout


def test_last_failed_finds_items_again(red: Path, tmp_path: Path) -> None:
    cache = f"cache_dir={tmp_path / 'cache'}"
    words = [sys.executable, "-m", "pytest", "-o", cache, "checks", "--bundle", str(red)]
    first = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False)
    again = subprocess.run(
        [*words, "--lf", "-v"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert first.returncode == again.returncode == 1
    assert "CERT-SAN-001::registry FAILED" in again.stdout
    assert "PASSED" not in again.stdout


def test_workers_of_xdist_judge_the_same_facts(red: Path, tmp_path: Path) -> None:
    alone, shared = tmp_path / "alone.json", tmp_path / "shared.json"
    first = run("checks", "--bundle", red, "--report", f"json:{alone}")
    second = run("checks", "--bundle", red, "-n", "2", "--report", f"json:{shared}")
    assert (first.returncode, second.returncode) == (1, 1), second.stdout
    assert data(alone) == data(shared)


def test_junitxml_is_ours_with_a_case_a_verdict(red: Path, tmp_path: Path) -> None:
    xml, report = tmp_path / "out.xml", tmp_path / "out.json"
    run("checks", "--bundle", red, "--junitxml", xml, "--report", f"json:{report}")
    cases = list(etree.parse(xml).iter("testcase"))
    assert len(cases) == len(data(report)["verdicts"])


def test_grouped_items_carry_the_worst_outcome(red: Path) -> None:
    shown = run("checks", "--bundle", red, "--per-subject", "never", "-v")
    assert shown.returncode == 1
    assert "NODE-CLOCK-001::all ERROR" in shown.stdout
    assert "NODE-CLOCK-001::rhel" not in shown.stdout


def test_without_a_site_nothing_is_judged_and_it_says_what_to_give() -> None:
    shown = run("checks")
    assert shown.returncode == 4
    assert "add --site FILE, or --bundle FILE" in shown.stderr + shown.stdout


def test_bad_site_file_is_one_clean_line(tmp_path: Path) -> None:
    bad = tmp_path / "site.yaml"
    bad.write_text("version: 1\nregistry: {hots: x}\n")
    shown = run("checks", "--site", bad)
    assert shown.returncode == 4
    assert "site.yaml:2" in shown.stderr
    assert "Traceback" not in shown.stderr + shown.stdout


@pytest.mark.parametrize(
    "narrowed", [["-k", "CERT"], ["--lf"], ["checks/registry/tls.py::REG-TLS-001::registry"]]
)
def test_fix_refuses_a_narrowed_view(narrowed: list[str], tmp_path: Path) -> None:
    site = tmp_path / "site.yaml"
    site.write_text("version: 1\nregistry: {host: registry.local, address: 127.0.0.1}\n")
    shown = run("checks", "--site", site, "--fix", *narrowed)
    assert shown.returncode == 4
    assert "--select and --target" in shown.stderr


def test_collect_only_asks_no_target(tmp_path: Path) -> None:
    site = tmp_path / "site.yaml"
    site.write_text(
        "version: 1\nregistry: {host: nowhere.invalid}\nnodes: [ssh://nowhere.invalid]\n"
    )
    shown = run("checks", "--site", site, "--collect-only", "-q")
    assert shown.returncode == 0, shown.stdout
    assert "checks/node/trust.py::NODE-TRUST-001::nowhere.invalid" in shown.stdout


def test_a_users_own_failing_test_fails_the_run(green: Path, tmp_path: Path) -> None:
    own = tmp_path / "test_own.py"
    own.write_text(
        "def test_registry(registry, facts, site, nodes):\n"
        "    assert registry.host == site.registry.host\n"
        "    assert set(nodes) == {'debian', 'rhel'}\n"
        "def test_fails():\n    assert False\n"
    )
    shown = run("--pyargs", "gapcheck.checks", own, "--bundle", green, folder=tmp_path)
    assert shown.returncode == 1
    assert "1 failed" in shown.stdout


def test_plugin_is_inert_without_its_options(tmp_path: Path) -> None:
    own = tmp_path / "test_own.py"
    own.write_text("import sys\ndef test_one():\n    assert 'gapcheck.engine' not in sys.modules\n")
    shown = run(own, folder=tmp_path)
    assert shown.returncode == 0, shown.stdout


def test_option_names_of_another_plugin_are_left_to_it(green: Path, tmp_path: Path) -> None:
    other = tmp_path / "other_plugin.py"
    other.write_text("def pytest_addoption(parser):\n    parser.addoption('--site')\n")
    command = [sys.executable, "-m", "pytest", "-p", "other_plugin", "--pyargs", "gapcheck.checks"]
    shown = subprocess.run(
        [*command, "--gapcheck-bundle", str(green)],
        cwd=tmp_path, capture_output=True, text=True, check=False,
        env={"PATH": "/usr/bin:/bin", "PYTHONPATH": str(tmp_path)},
    )  # fmt: skip
    assert shown.returncode == 0, shown.stdout + shown.stderr
    assert "use --gapcheck-site (--site is another plugin's)" in shown.stdout
