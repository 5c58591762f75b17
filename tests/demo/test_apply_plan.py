"""A plan of the guide's whole site: kept, reviewed, applied; its keys are made on the way."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.command import Ended, gapcheck
from support.guide_site import guide_site
from support.places import snapshot


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Path]:
    """The folder of a fresh site as the guide leaves it."""
    with guide_site(tmp_path) as file:
        yield file.parent


def run(site: Path, *words: object) -> Ended:
    return gapcheck(site, *words, "--site", "site.yaml", GAPCHECK_STATE=str(site.parent / "state"))


def keys(folder: Path) -> list[Path]:
    return [
        each for each in folder.rglob("*") if each.is_file() and b"PRIVATE KEY" in each.read_bytes()
    ]


def test_a_certificate_is_issued_when_the_plan_is_applied(site: Path, tmp_path: Path) -> None:
    plan = tmp_path / "plan.json"
    before = snapshot(site)
    assert run(site, "plan", "-o", plan).code == 1
    assert snapshot(site) == before
    assert b"PRIVATE KEY" not in plan.read_bytes()
    found: Any = json.loads(plan.read_text())
    assert "issue-certificate" in {each["change"]["type"] for each in found["plan"]["changes"]}
    assert {"target": "site", "what": "issuer/ca.crt", "state": "absent"} in found["based_on"]
    assert "CERT-SAN-001" in {each["check"] for each in found["effects"]}

    done = run(site, "apply", plan, "--report", "json:report.json")

    rounds = done.found["rounds"]
    assert len(rounds) == 1
    assert {each["state"] for each in rounds[0]["results"]} == {"applied"}
    assert (site / "issuer/ca.key").stat().st_mode & 0o777 == 0o600
    assert done.status("CERT-SAN-001", "registry") == "pass"
    assert not [each for each in keys(tmp_path / "state") if "backup" not in each.parts]
    rest = run(site, "fix", "--report", "json:report.json")
    assert rest.code == 0, rest.out


def test_a_plan_of_yesterday_is_still_the_same_plan(site: Path, tmp_path: Path) -> None:
    """The moment at which a certificate begins moves with the clock; that is no difference."""
    plan = tmp_path / "plan.json"
    run(site, "plan", "-o", plan)
    first = json.loads(plan.read_text())
    run(site, "plan", "-o", tmp_path / "later.json")
    later = json.loads((tmp_path / "later.json").read_text())
    assert first["plan"]["changes"] != later["plan"]["changes"]

    assert run(site, "apply", plan).code in (0, 1)


def test_apply_leaves_out_what_is_costlier_than_asked(site: Path, tmp_path: Path) -> None:
    plan = tmp_path / "plan.json"
    run(site, "plan", "-o", plan)

    done = run(site, "apply", plan, "--max-risk", "safe", "--report", "json:report.json")

    assert done.code == 1
    assert "needs more than --max-risk safe" in done.err
    assert not (site / "issuer").exists()
    kinds = {each["kind"] for each in done.found["rounds"][0]["changes"]}
    assert kinds
    assert not kinds & {"RestartUnit", "SwitchCertificate", "IssueCertificate"}
