"""PolicyReport objects: of the published definition, whole, small enough, named alike each time."""

from __future__ import annotations

import io
import json
from collections import Counter
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
from jsonschema import Draft202012Validator
from support import policy_crds
from support.certs import NOW
from support.command import gapcheck
from support.healthy import with_file
from support.looks import look, steady
from support.records import every_status, finding, run_info, verdict

from gapcheck.comparison import compare
from gapcheck.model import Status
from gapcheck.record import Record
from gapcheck.reports import policyreport
from gapcheck.reports.policyreport import MOST_BYTES, MOST_RESULTS, objects, site_slug


def written(record: Record) -> Any:
    out = io.StringIO()
    policyreport.write(record, out)
    return json.loads(out.getvalue())


def with_release(**run: Any) -> Record:
    """Every status, and a secret's failure in the release's namespace."""
    record = every_status()
    more = verdict("SECRET-CA-001", "release", Status.FAIL, findings=(finding("no CA in it"),))
    return msgspec.structs.replace(
        record,
        verdicts=(*record.verdicts, more),
        run=run_info(namespace="shop", site="Plant 7", **run),
    )


def many(count: int, status: Status, words: str = "x") -> Record:
    verdicts = tuple(
        verdict("NODE-TRUST-001", f"node/n{number}", status, findings=(finding(words),))
        for number in range(count)
    )
    return msgspec.structs.replace(every_status(), verdicts=verdicts)


@pytest.mark.parametrize("kind", ["PolicyReport", "ClusterPolicyReport"])
def test_objects_are_of_the_definition_and_no_key_would_be_pruned(kind: str) -> None:
    judge = Draft202012Validator(policy_crds.schema(kind, closed=True))
    of_kind = [each for each in written(with_release())["items"] if each["kind"] == kind]
    assert len(of_kind) == 1
    metadata = {"metadata": {}}  # the definition leaves it to the API server
    assert [e.message for each in of_kind for e in judge.iter_errors({**each, **metadata})] == []
    wrong = {**of_kind[0], **metadata, "summary": {"pass": "many"}, "verdict": 1}
    assert len([*judge.iter_errors(wrong)]) == 2


def test_what_belongs_to_the_release_stands_in_its_namespace() -> None:
    cluster, shop = written(with_release())["items"]
    assert (cluster["kind"], cluster["metadata"].get("namespace")) == ("ClusterPolicyReport", None)
    assert (shop["kind"], shop["metadata"]["namespace"]) == ("PolicyReport", "shop")
    assert [each["policy"] for each in shop["results"]] == ["SECRET-CA-001"]
    assert shop["scope"] == {"apiVersion": "v1", "kind": "Namespace", "name": "shop"}
    assert "SECRET-CA-001" not in [each["policy"] for each in cluster["results"]]


def test_without_a_namespace_everything_is_the_clusters() -> None:
    (whole,) = objects(with_release(), namespace="")
    assert whole["kind"] == "ClusterPolicyReport"
    assert len(whole["results"]) == len(with_release().verdicts)


def test_each_status_has_its_result_and_the_summary_counts_them() -> None:
    (whole,) = objects(every_status(), namespace="")
    found = {each["policy"]: each["result"] for each in whole["results"]}
    assert found == {
        "CERT-SAN-001": "fail",
        "REG-TLS-001": "fail",
        "NODE-CLOCK-001": "error",
        "NODE-TRUST-006": "warn",
        "NODE-TRUST-001": "skip",
        "CERT-CA-001": "skip",
        "REG-RUN-001": "skip",
        "REG-NET-001": "pass",
    }
    assert whole["summary"] == {"pass": 1, "fail": 2, "warn": 1, "error": 1, "skip": 3}


def test_root_causes_are_listed_first_with_what_was_measured() -> None:
    (whole,) = objects(every_status(), namespace="")
    first, second = whole["results"][:2]
    assert first["message"] == "registry: the served certificate names no host at all (and 1 more)"
    assert first["properties"]["evidence"] == "subject: CN=registry.local (handshake)"
    assert first["severity"] == "critical"
    assert second["properties"]["root_causes"] == "CERT-SAN-001::registry"


def test_names_depend_on_the_site_alone() -> None:
    names = [
        [each["metadata"]["name"] for each in written(with_release(id=run))["items"]]
        for run in ("R1", "R2")
    ]
    assert names[0] == names[1]
    assert all(name.startswith("gapcheck-plant-7-") for name in names[0])
    assert site_slug("Plant 7") != site_slug("plant-7")


@pytest.mark.parametrize("site", ["", "Ä", "[2001:db8::1]:5000 (/srv/site.yaml)", "x" * 300, "-a-"])
def test_any_site_gives_a_name_and_a_label_that_kubernetes_takes(site: str) -> None:
    slug = site_slug(site)
    assert len(slug) <= 63
    assert slug.strip("-") == slug
    assert set(slug) <= set("abcdefghijklmnopqrstuvwxyz0123456789-")


def test_no_object_is_larger_than_the_server_takes() -> None:
    found = [*objects(many(3000, Status.FAIL, "long words " * 200), namespace="")]
    assert len(found) > 1
    assert all(len(msgspec.json.encode(each)) < MOST_BYTES + 4096 for each in found)
    subjects = Counter(r["properties"]["subject"] for each in found for r in each["results"])
    assert (len(subjects), set(subjects.values())) == (3000, {1})
    assert sum(each["summary"]["fail"] for each in found) == 3000


def test_verdicts_beyond_the_most_are_counted_and_said_to_be() -> None:
    found = [*objects(many(MOST_RESULTS + 70, Status.PASS), namespace="")]
    assert sum(len(each["results"]) for each in found) == MOST_RESULTS
    assert sum(each["summary"]["pass"] for each in found) == MOST_RESULTS + 70
    assert found[0]["metadata"]["annotations"]["gapcheck.io/counted-only"] == "70"


def test_a_failure_is_listed_before_any_pass_however_many_there_are() -> None:
    record = many(MOST_RESULTS + 70, Status.PASS)
    last = verdict("NODE-CLOCK-001", "node/z", Status.FAIL, findings=(finding("late"),))
    record = msgspec.structs.replace(record, verdicts=(*record.verdicts, last))
    assert next(objects(record, namespace=""))["results"][0]["policy"] == "NODE-CLOCK-001"


def test_drift_is_told_with_its_cause() -> None:
    hosts = b"127.0.0.1 localhost\n10.0.0.2 registry.local\n10.9.9.9 registry.local\n"
    facts = with_file(steady()[1], "node/debian", "/etc/hosts", hosts)
    found = compare(look(), look(facts, at=NOW + timedelta(hours=1), run="B"))
    new = verdict("DNS-HOSTS-001", "node/debian", Status.FAIL, findings=(finding("two addresses"),))
    record = msgspec.structs.replace(every_status(), verdicts=(new,), drift=found)
    (whole,) = objects(record, namespace="")
    said = whole["results"][0]["properties"]
    assert said["drift"] == "new: pass -> fail"
    assert "/etc/hosts" in said["cause"]
    assert " -> " in said["cause"]


def test_equal_facts_give_equal_bytes_but_for_the_run() -> None:
    first, second = written(with_release(id="R1")), written(with_release(id="R2"))
    for each in (*first["items"], *second["items"]):
        each["metadata"].pop("annotations")
    assert first == second


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (("check", "--site", "site.yaml"), "there is no live cluster"),
        (("drift", "--site", "site.yaml"), "there is no live cluster"),
        (("check", "localhost:1"), "there is no live cluster"),
        (("check", "--site", "live.yaml", "--select", "NODE"), "the state of a whole site"),
        (("check", "--site", "live.yaml", "--now", "2026-01-01"), "the state of a whole site"),
    ],
)
def test_a_report_that_cannot_be_delivered_is_refused_before_anything_is_measured(
    words: tuple[str, ...], why: str, tmp_path: Path
) -> None:
    head = "version: 1\nregistry: {host: localhost, port: 1}\n"
    (tmp_path / "site.yaml").write_text(f"{head}cluster: {{manifests: .}}\n")
    (tmp_path / "live.yaml").write_text(f"{head}cluster: {{kubeconfig: absent}}\n")
    found = gapcheck(tmp_path, *words, "--report", "policyreport:cluster")
    assert (found.code, found.out) == (4, "")
    assert why in found.err


def test_a_file_named_cluster_is_written_as_a_path(tmp_path: Path) -> None:
    (tmp_path / "site.yaml").write_text("version: 1\nregistry: {host: localhost, port: 1}\n")
    gapcheck(tmp_path, "check", "--site", "site.yaml", "--report", "policyreport:./cluster")
    assert json.loads((tmp_path / "cluster").read_text())["kind"] == "List"
