import io
import json
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
from jsonschema import Draft202012Validator
from support.certs import NOW
from support.command import gapcheck
from support.healthy import with_file
from support.looks import look, steady
from support.places import plan_of
from support.records import SAN, every_status

from gapcheck.comparison import compare
from gapcheck.drift import RepairRun
from gapcheck.model import SubjectId
from gapcheck.record import ChangeResult, Record, Round
from gapcheck.remediations.plan import EditBlock, RestartUnit, Unplanned
from gapcheck.reports import json as json_report
from gapcheck.reports import json_shape


def data(record: Record | None = None) -> Any:
    out = io.StringIO()
    json_report.write(record or every_status(), out)
    return json.loads(out.getvalue())


def test_schema_and_summary_come_first() -> None:
    report = data()
    assert report["schema"] == "gapcheck/1"
    assert report["summary"]["fail"] == 2
    assert report["summary"]["root_causes"] == [
        {"check": "CERT-SAN-001", "subject": "registry"},
        {"check": "NODE-CLOCK-001", "subject": "node/n1"},
    ]


def test_verdict_has_the_documented_keys() -> None:
    verdict = data()["verdicts"][1]
    assert set(verdict) == {
        "check", "title", "subject", "status", "severity", "findings", "evidence", "reason",
        "root_causes", "waived_by", "remedy", "fixed",
    }  # fmt: skip
    assert verdict["root_causes"] == [{"check": "CERT-SAN-001", "subject": "registry"}]
    assert verdict["remedy"] == {"risk": "manual", "planned": False, "why_not": "repair its root"}


def test_finding_has_the_documented_keys() -> None:
    finding = data()["verdicts"][0]["findings"][0]
    assert set(finding) == {"problem", "evidence", "consequence", "remedy_hint", "locus"}
    assert finding["evidence"] == [
        {"label": "subject", "value": "CN=registry.local", "source": "handshake"}
    ]


def test_gaps_and_notes_are_in_it() -> None:
    report = data()
    assert report["gaps"] == [{"subject": "node/n1", "stage": "clock", "reason": "no date"}]
    assert report["notes"] == ["a note"]


def test_what_differs_between_equal_runs_is_in_run_alone() -> None:
    first, second = data(), data(msgspec.structs.replace(
        every_status(), run=msgspec.structs.replace(every_status().run, id="R2", front_end="pytest")
    ))  # fmt: skip
    first.pop("run")
    second.pop("run")
    assert first == second


def judge_of_report() -> Draft202012Validator:
    schema = json_shape.schema()
    Draft202012Validator.check_schema(schema)
    return Draft202012Validator(schema)


def repaired() -> Record:
    """A round of repair: a file's edit with its diff, a restart, what was left, results."""
    edit = EditBlock(target=SubjectId("node/n1"), path="/etc/hosts", before_sha256="0" * 64,
                     marker="x", lines=("10.0.0.2 registry.local",))  # fmt: skip
    restart = RestartUnit(target=SubjectId("node/n1"), unit="containerd")
    plan = plan_of(edit, restart)
    left = (Unplanned(cause=SAN, why="signed elsewhere"),)
    results = (ChangeResult(id="1", target=SubjectId("node/n1"), state="applied"),)
    done = Round(
        plan=msgspec.structs.replace(plan, unplanned=left), results=results, repaired=(SAN,)
    )
    return msgspec.structs.replace(every_status(), rounds=(done,))


def drifted() -> Record:
    """Drift with new, resolved and changed facts, a repair in between, and nodes that left."""
    hosts = b"127.0.0.1 localhost\n10.0.0.2 registry.local\n10.9.9.9 registry.local\n"
    facts = with_file(steady()[1], "node/debian", "/etc/hosts", hosts)
    wrote = {SubjectId("node/debian"): {"/etc/hosts": "f" * 64}}
    repair = RepairRun(run="R", at=NOW, undoes="Q", wrote=wrote)
    found = compare(look(), look(facts, at=NOW + timedelta(hours=1), run="B"), repairs=[repair])
    assert found.items
    assert found.facts
    return msgspec.structs.replace(every_status(), drift=found)


@pytest.mark.parametrize(
    "record", [every_status, repaired, drifted], ids=lambda each: each.__name__
)
def test_every_kind_of_record_is_of_the_published_schema(record: Callable[[], Record]) -> None:
    assert [each.message for each in judge_of_report().iter_errors(data(record()))] == []


@pytest.mark.parametrize(
    ("path", "wrong"),
    [
        (("schema",), "gapcheck/2"),
        (("verdicts", 0, "status"), "green"),
        (("verdicts", 0, "findings", 0, "evidence"), None),
        (("rounds", 0, "changes", 0, "stage"), "first"),
        (("run", "exit"), "0"),
        (("summary", "pass"), -0.5),
    ],
    ids=lambda each: ".".join(map(str, each)) if isinstance(each, tuple) else None,
)
def test_the_schema_refuses_another_value(path: tuple[Any, ...], wrong: object) -> None:
    report = data(repaired())
    place = report
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = wrong
    assert list(judge_of_report().iter_errors(report))


@pytest.mark.parametrize(
    ("where", "key"),
    [((), "verdicts"), (("verdicts", 0), "reason"), (("rounds", 0, "changes", 0), "diff")],
)
def test_a_documented_key_may_not_be_missing(where: tuple[Any, ...], key: str) -> None:
    report = data(repaired())
    place = report
    for each in where:
        place = place[each]
    del place[key]
    assert list(judge_of_report().iter_errors(report))


def test_no_key_is_written_that_the_schema_does_not_know() -> None:
    schema = json_shape.schema()
    for each in schema["$defs"].values():
        if "properties" in each:
            each["additionalProperties"] = False
    for record in (every_status(), repaired(), drifted()):
        errors = Draft202012Validator(schema).iter_errors(data(record))
        assert [each.message for each in errors] == []


def test_the_published_file_is_the_one_the_command_prints(tmp_path: Path) -> None:
    published = (Path(__file__).parents[2] / "docs/report.schema.json").read_text()
    assert gapcheck(tmp_path, "schema", "report").out == published


def test_equal_facts_give_equal_bytes_whatever_order_a_table_came_in() -> None:
    texts = []
    for paths in (("/a", "/b"), ("/b", "/a")):
        wrote = {SubjectId("node/n1"): dict.fromkeys(paths, "f" * 64)}
        found = drifted().drift
        assert found is not None
        repair = RepairRun(run="R", at=NOW, wrote=wrote)
        record = msgspec.structs.replace(
            every_status(), drift=msgspec.structs.replace(found, repairs=(repair,))
        )
        out = io.StringIO()
        json_report.write(record, out)
        texts.append(out.getvalue())
    assert texts[0] == texts[1]
