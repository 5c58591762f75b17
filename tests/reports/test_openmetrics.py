"""The OpenMetrics report as Prometheus' own parser reads it."""

from __future__ import annotations

import io
from datetime import timedelta
from typing import Any

import msgspec
from prometheus_client.openmetrics.parser import text_string_to_metric_families
from support.certs import NOW
from support.healthy import with_file
from support.looks import look, steady
from support.records import every_status, run_info, verdict

from gapcheck.certificate_life import certificate_lives
from gapcheck.comparison import compare
from gapcheck.model import Status
from gapcheck.record import Record
from gapcheck.reports import openmetrics


def text_of(record: Record) -> str:
    out = io.StringIO()
    openmetrics.write(record, out)
    return out.getvalue()


def samples(record: Record | None = None) -> dict[str, list[Any]]:
    """Every sample by metric family, as the parser hands them over."""
    families = text_string_to_metric_families(text_of(record or every_status()))
    return {family.name: family.samples for family in families}


def test_verdicts_are_counted_by_status_and_severity() -> None:
    found = {
        (each.labels["status"], each.labels["severity"]): each.value
        for each in samples()["gapcheck_verdicts"]
    }
    assert len(found) == len(Status) * 4  # zeros as well: an absent series alarms nobody
    assert found["fail", "critical"] == 2
    assert found["warn", "info"] == 1
    assert found["fail", "minor"] == 0


def test_each_check_and_subject_has_its_status() -> None:
    found = [each.labels for each in samples()["gapcheck_check_subjects"]]
    assert {"check": "NODE-CLOCK-001", "subject": "node/n1", "status": "error"} in found


def nodes(count: int) -> Record:
    verdicts = tuple(
        verdict("NODE-CLOCK-001", f"node/n{n}", Status.FAIL if n == 0 else Status.PASS)
        for n in range(count)
    )
    first = every_status().verdicts
    return msgspec.structs.replace(every_status(), verdicts=(*first, *verdicts))


def test_many_nodes_are_counted_together_and_single_subjects_are_not() -> None:
    found = samples(nodes(openmetrics.MOST_SUBJECTS))["gapcheck_check_subjects"]
    counted = {(each.labels["subject"], each.labels["status"]): each.value for each in found
               if each.labels["check"] == "NODE-CLOCK-001"}  # fmt: skip
    assert counted["node/*", "fail"] == 1
    assert counted["node/*", "pass"] == openmetrics.MOST_SUBJECTS - 1
    assert "registry" in {each.labels["subject"] for each in found}


def test_a_few_nodes_keep_their_names() -> None:
    found = samples(nodes(openmetrics.MOST_SUBJECTS - 2))["gapcheck_check_subjects"]
    assert "node/n7" in {each.labels["subject"] for each in found}


def test_gaps_and_root_causes_are_counted() -> None:
    found = samples()
    assert [(each.labels, each.value) for each in found["gapcheck_gaps"]] == [
        ({"subject": "node/n1", "stage": "clock"}, 1)
    ]
    assert {each.labels["check"] for each in found["gapcheck_root_causes"]} == {
        "CERT-SAN-001", "NODE-CLOCK-001",
    }  # fmt: skip


def test_certificates_say_when_they_expire_and_how_often_they_were_met() -> None:
    record = msgspec.structs.replace(every_status(), certificates=certificate_lives(steady()[1]))
    found = samples(record)
    name = "gapcheck_certificate_expiry_timestamp_seconds"
    served = [each for each in found[name] if each.labels["where"] == "served"]
    assert {each.labels["subject"] for each in served} == {"registry", "service/git.local"}
    assert all(each.value > NOW.timestamp() for each in found[name])
    assert len(found["gapcheck_certificate_places"]) == len(found[name])


def test_the_run_says_when_it_was_and_how_it_ended() -> None:
    found = samples()
    assert found["gapcheck_run_exit_code"][0].value == 1
    assert found["gapcheck_run_finished_timestamp_seconds"][0].value == NOW.timestamp()
    assert found["gapcheck_run"][0].labels["site"] == "example"


def test_drift_is_counted_where_there_was_something_to_compare_with() -> None:
    assert "gapcheck_drift" not in samples()
    later = with_file(steady()[1], "node/debian", "/etc/hosts", b"10.9.9.9 registry.local\n")
    drift = compare(look(), look(later, at=NOW + timedelta(hours=1)))
    found = samples(msgspec.structs.replace(every_status(), drift=drift))["gapcheck_drift"]
    assert {each.labels["kind"]: each.value for each in found}["facts"] == 1


def test_hostile_text_breaks_no_line() -> None:
    run = run_info(site='a "quoted\\" name\nwith # a line', front_end="\x1b[31m\ud800")
    record = msgspec.structs.replace(every_status(), run=run)
    assert samples(record)["gapcheck_run"][0].labels["site"] == run.site


def test_what_differs_between_equal_runs_stands_at_the_end() -> None:
    other = run_info(id="R2", started=NOW + timedelta(days=1), front_end="pytest")
    first = text_of(every_status())
    second = text_of(msgspec.structs.replace(every_status(), run=other))
    head = "# TYPE gapcheck_run info"
    assert first.partition(head)[0] == second.partition(head)[0]
    assert first != second
