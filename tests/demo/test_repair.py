"""Repair from both front ends, on the guide's own site with its registry served by this process."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.guide_site import guide_site

ROOT = Path(__file__).parents[2]


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Path]:
    """The site file of a fresh site as the guide leaves it."""
    with guide_site(tmp_path) as file:
        yield file


def run(*words: object, state: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", *map(str, words)],
        cwd=ROOT, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL,
        env={**os.environ, "GAPCHECK_STATE": str(state)},
    )  # fmt: skip


def snapshot(folder: Path) -> dict[str, tuple[Any, ...]]:
    """Every path below `folder` with all that undo has to bring back."""
    found: dict[str, tuple[Any, ...]] = {}
    for path in sorted(folder.rglob("*")):
        stat = path.lstat()
        what: str = "dir"
        if path.is_symlink():
            what = str(path.readlink())
        elif path.is_file():
            what = hashlib.sha256(path.read_bytes()).hexdigest()
        found[str(path.relative_to(folder))] = (what, stat.st_mode, stat.st_uid, stat.st_gid)
    return found


def last_run(state: Path) -> str:
    return run("gapcheck", "runs", state=state).stdout.splitlines()[-1].split()[0]


def test_plan_shows_the_first_round_and_touches_nothing(site: Path, tmp_path: Path) -> None:
    before = snapshot(site.parent)
    shown = run("gapcheck", "plan", "--site", site, state=tmp_path / "state")
    assert shown.returncode == 1
    assert "round 1: 13 changes, risk restart" in shown.stdout
    assert "-  insecure_skip_verify = true" in shown.stdout
    assert "PRIVATE KEY" not in shown.stdout
    assert snapshot(site.parent) == before
    assert not (tmp_path / "state").exists()


def test_check_without_fix_changes_nothing(site: Path, tmp_path: Path) -> None:
    before = snapshot(site.parent)
    assert run("gapcheck", "check", "--site", site, state=tmp_path / "state").returncode == 1
    assert snapshot(site.parent) == before


@pytest.mark.parametrize("words", [["fix"], ["check", "--fix"]])
def test_fix_repairs_all_and_a_second_one_has_no_round(
    words: list[str], site: Path, tmp_path: Path
) -> None:
    state = tmp_path / "state"
    first = run("gapcheck", *words, "--site", site, state=state)
    assert first.returncode == 0, first.stdout + first.stderr
    after = snapshot(site.parent)
    report = tmp_path / "second.json"
    second = run("gapcheck", *words, "--site", site, "--report", f"json:{report}", state=state)
    assert second.returncode == 0
    assert [each["changes"] for each in json.loads(report.read_text())["rounds"]] == [[]]
    assert snapshot(site.parent) == after


@pytest.mark.parametrize("workers", [[], ["-n", "2"]])
def test_pytest_repairs_once_in_the_controlling_process(
    workers: list[str], site: Path, tmp_path: Path
) -> None:
    state, report = tmp_path / "state", tmp_path / "fixed.json"
    words = ["checks", "--site", site, "--fix", "--report", f"json:{report}", *workers]
    shown = run("pytest", *words, state=state)
    assert shown.returncode == 0, shown.stdout
    fixed = {v["check"] for v in json.loads(report.read_text())["verdicts"] if v["fixed"]}
    assert "CERT-SAN-001" in fixed
    assert len(list((state / "runs").iterdir())) == 1


def test_undo_restores_every_byte_but_the_leaked_key(site: Path, tmp_path: Path) -> None:
    state = tmp_path / "state"
    before = snapshot(site.parent)
    assert run("gapcheck", "fix", "--site", site, state=state).returncode == 0
    name = last_run(state)
    undone = run("gapcheck", "undo", name, "--site", site, state=state)
    assert undone.returncode == 0, undone.stderr
    after = snapshot(site.parent)
    leaked = "manifests/local-registry-cert.yaml"
    assert before.pop(leaked) != after.pop(leaked)
    assert after == before


def test_undo_refuses_what_was_edited_since_and_forces_it_when_told(
    site: Path, tmp_path: Path
) -> None:
    state = tmp_path / "state"
    assert run("gapcheck", "fix", "--site", site, state=state).returncode == 0
    name = last_run(state)
    config = site.parent / "nodes/debian/etc/containerd/config.toml"
    config.write_text(config.read_text() + "# mine\n")
    edited = snapshot(site.parent)
    refused = run("gapcheck", "undo", name, "--site", site, state=state)
    assert refused.returncode == 7
    assert "config.toml" in refused.stderr
    assert "nothing was written" in refused.stderr
    assert snapshot(site.parent) == edited
    forced = run("gapcheck", "undo", name, "--site", site, "--force", state=state)
    assert forced.returncode == 0
    assert "insecure_skip_verify" in config.read_text()


def test_max_risk_safe_leaves_the_rest_and_says_so(site: Path, tmp_path: Path) -> None:
    done = run("gapcheck", "fix", "--site", site, "--max-risk", "safe", state=tmp_path / "state")
    assert done.returncode == 1
    assert "needs --max-risk restart" in done.stderr
    assert "CERT-SAN-001" in done.stdout


def test_select_and_target_repair_only_what_they_name(site: Path, tmp_path: Path) -> None:
    words = ["fix", "--site", site, "--select", "RUN-TLS-001", "--target", "debian"]
    done = run("gapcheck", *words, state=tmp_path / "state")
    assert done.returncode == 0, done.stdout
    configs = {
        name: (site.parent / f"nodes/{name}/etc/containerd/config.toml").read_text()
        for name in ("debian", "rhel")
    }
    assert "insecure_skip_verify" not in configs["debian"]
    assert "insecure_skip_verify" in configs["rhel"]
    assert not (site.parent / "issuer").exists()


def test_select_shows_roots_outside_it_and_leaves_them(site: Path, tmp_path: Path) -> None:
    words = ["fix", "--site", site, "--select", "REG-TLS-001"]
    done = run("gapcheck", *words, state=tmp_path / "state")
    assert done.returncode == 1
    assert "CERT-SAN-001" in done.stdout
    assert not (site.parent / "issuer").exists()
    with_roots = run("gapcheck", *words, "--with-roots", state=tmp_path / "state")
    assert with_roots.returncode == 0, with_roots.stdout
    assert (site.parent / "issuer/ca.crt").exists()


def test_misspelt_selection_is_a_usage_error(site: Path, tmp_path: Path) -> None:
    done = run("gapcheck", "fix", "--site", site, "--select", "CERT-SAM", state=tmp_path / "state")
    assert done.returncode == 4
    assert "no such check" in done.stderr


def test_second_run_beside_the_first_is_refused_and_writes_nothing(
    site: Path, tmp_path: Path
) -> None:
    import fcntl

    locked = site.parent / "nodes/debian"
    descriptor = os.open(locked, os.O_RDONLY)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    try:
        before = snapshot(locked)
        done = run("gapcheck", "fix", "--site", site, state=tmp_path / "state")
    finally:
        os.close(descriptor)
    assert done.returncode == 7
    assert "is repairing it" in done.stderr
    assert snapshot(locked) == before
