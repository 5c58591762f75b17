"""The SARIF report, judged by Microsoft's own validator and read as a consumer reads it."""

from __future__ import annotations

import io
import json
import os
import shutil
import subprocess
from datetime import timedelta
from functools import cache
from pathlib import Path
from typing import Any

import msgspec
import pytest
from support.certs import NOW
from support.needs import absent
from support.records import every_status, finding, run_info, verdict

from gapcheck.model import CheckId, Severity, Status
from gapcheck.record import Record
from gapcheck.reports import sarif
from gapcheck.suite import describe

MULTITOOL = "@microsoft/sarif-multitool@5.7.0"


def text_of(record: Record) -> str:
    out = io.StringIO()
    sarif.write(record, out)
    return out.getvalue()


def run_of(record: Record | None = None) -> Any:
    return json.loads(text_of(record or every_status()))["runs"][0]


def with_locus(locus: str, subject: str = "node/n1", **given: Any) -> Any:
    one = verdict(
        "RUN-CONF-001", subject, Status.FAIL, findings=(finding("does not parse", locus=locus),),
        **given,
    )  # fmt: skip
    return run_of(msgspec.structs.replace(every_status(), verdicts=(one,)))["results"][0]


@cache
def multitool(folder: Path) -> str:
    npm = shutil.which("npm")
    if npm is None:
        absent("npm is not installed")
    done = subprocess.run(
        ["npm", "install", "--no-fund", "--no-audit", "--prefix", folder, MULTITOOL],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    found = folder / "node_modules/.bin/sarif-multitool"
    if done.returncode or not found.exists():
        absent(f"the SARIF validator cannot be had: {done.stderr[-300:]}")
    return str(found)


@pytest.fixture(scope="module")
def validator(tmp_path_factory: pytest.TempPathFactory) -> str:
    return multitool(tmp_path_factory.mktemp("multitool"))


def complaints(validator: str, text: str, folder: Path) -> list[str]:
    """What the validator says of errors; it has hints (notes, warnings) as well."""
    path, said = folder / "report.sarif", folder / "said.sarif"
    path.write_text(text)
    environment = {**os.environ, "DOTNET_SYSTEM_GLOBALIZATION_INVARIANT": "1"}
    done = subprocess.run(
        [validator, "validate", path, "--output", said, "--log", "ForceOverwrite"],
        capture_output=True, text=True, check=False, env=environment,
    )  # fmt: skip
    assert said.exists(), done.stdout + done.stderr
    found = json.loads(said.read_text())["runs"][0]
    notices = found.get("invocations", [{}])[0].get("toolExecutionNotifications", [])
    results = [each["ruleId"] for each in found["results"] if each.get("level") == "error"]
    return results + [each["message"]["text"] for each in notices if each.get("level") == "error"]


def test_report_is_valid_by_microsofts_validator(validator: str, tmp_path: Path) -> None:
    text = text_of(every_status())
    assert complaints(validator, text, tmp_path) == []
    broken = text.replace('"version":"2.1.0"', '"version":"2.1.0","nonsense":1')
    assert complaints(validator, broken, tmp_path)  # the validator does judge


def test_each_check_is_a_rule_with_its_requirement_and_remedy() -> None:
    rules = run_of()["tool"]["driver"]["rules"]
    assert [rule["id"] for rule in rules] == list(every_status().catalogue)
    assert rules[0]["fullDescription"]["text"] == "doc."
    assert "guide step 1, C01" in rules[0]["help"]["text"]


def test_every_finding_is_a_result_and_points_at_its_rule() -> None:
    run = run_of()
    results = run["results"]
    assert [each["ruleId"] for each in results] == [
        "CERT-SAN-001", "CERT-SAN-001", "REG-TLS-001", "NODE-CLOCK-001", "NODE-TRUST-006",
        "CERT-CA-001",
    ]  # fmt: skip
    rules = run["tool"]["driver"]["rules"]
    assert all(rules[each["ruleIndex"]]["id"] == each["ruleId"] for each in results)


def test_what_could_not_be_measured_is_open_and_neither_passed_nor_failed() -> None:
    result = next(each for each in run_of()["results"] if each["ruleId"] == "NODE-CLOCK-001")
    assert (result["kind"], result["level"]) == ("open", "none")
    assert "the clock could not be read" in result["message"]["text"]


def test_a_waived_finding_is_suppressed_with_its_reason() -> None:
    result = next(each for each in run_of()["results"] if each["ruleId"] == "CERT-CA-001")
    assert result["suppressions"][0]["justification"] == "known (until 2026-12-31, ops)"


@pytest.mark.parametrize(
    ("severity", "level"),
    [
        (Severity.CRITICAL, "error"),
        (Severity.MAJOR, "error"),
        (Severity.MINOR, "warning"),
        (Severity.INFO, "note"),
    ],
)
def test_level_follows_the_severity(severity: Severity, level: str) -> None:
    assert with_locus("", severity=severity)["level"] == level


def test_a_manifest_is_a_place_with_its_line() -> None:
    place = with_locus("manifests/a b.yaml:12", "release")["locations"][0]["physicalLocation"]
    assert place["artifactLocation"]["uri"] == "manifests/a%20b.yaml"
    assert place["region"]["startLine"] == 12


def test_a_file_of_a_node_stands_below_the_nodes_name() -> None:
    place = with_locus("/etc/containerd/config.toml")["locations"][0]
    uri = place["physicalLocation"]["artifactLocation"]["uri"]
    assert uri == "node/n1/etc/containerd/config.toml"
    assert place["logicalLocations"][0]["name"] == "node/n1"


@pytest.mark.parametrize("locus", ["", "registry.local:5000/a:1", "Secret/ns/name/key", "leaf"])
def test_what_is_no_file_is_no_physical_place(locus: str) -> None:
    assert "physicalLocation" not in with_locus(locus)["locations"][0]


def test_fingerprints_outlive_a_moved_line_and_other_words() -> None:
    first = with_locus("manifests/x.yaml:12", "release")["partialFingerprints"]
    again = with_locus("manifests/x.yaml:40", "release")["partialFingerprints"]
    other = with_locus("manifests/y.yaml:12", "release")["partialFingerprints"]
    assert first == again != other


def test_results_of_one_place_have_fingerprints_of_their_own() -> None:
    prints = [json.dumps(each["partialFingerprints"]) for each in run_of()["results"]]
    assert len(set(prints)) == len(prints)


def test_gaps_and_notes_are_notifications() -> None:
    said = run_of()["invocations"][0]["toolExecutionNotifications"]
    assert [(each["level"], each["message"]["text"]) for each in said] == [
        ("error", "node/n1, clock: no date."),
        ("note", "a note."),
    ]


def test_what_differs_between_equal_runs_is_in_two_places_alone() -> None:
    later = NOW + timedelta(days=1)
    other = run_info(id="R2", front_end="pytest", started=later, finished=later, exit=0)
    first, second = run_of(), run_of(msgspec.structs.replace(every_status(), run=other))
    for each in (first, second):
        each.pop("invocations")
        each.pop("automationDetails")
    assert first == second


def test_help_says_how_a_finding_is_repaired_or_what_a_person_does() -> None:
    described = describe(
        [CheckId("RUN-CONF-002"), CheckId("CERT-CHAIN-001"), CheckId("RUN-TLS-001")]
    )
    record = msgspec.structs.replace(every_status(), verdicts=(), catalogue=described)
    helps = {rule["id"]: rule["help"]["text"] for rule in run_of(record)["tool"]["driver"]["rules"]}
    assert "gapcheck fix --select RUN-TLS-001 (risk: restart)" in helps["RUN-TLS-001"]
    manual = [each for each in described if described[each].remedy.why_not]  # type: ignore[union-attr] # each is described
    assert all("Remedy, by hand: " in helps[each] for each in manual)
    assert len(manual) < len(described)
