import io
import subprocess
import sys
import tarfile
from pathlib import Path

import msgspec
from junitparser import JUnitXml
from lxml import etree
from support.needs import absent
from support.records import every_status, run_info, verdict

from gapcheck.model import Gap, Status, SubjectId
from gapcheck.record import Record
from gapcheck.reports import junit

# The schema of Jenkins' xunit plugin travels in the source package of this pytest.
SCHEMA_SOURCE = "pytest==8.3.5"
SCHEMA = "pytest-8.3.5/testing/example_scripts/junit-10.xsd"


def written() -> str:
    out = io.StringIO()
    junit.write(every_status(), out)
    return out.getvalue()


def jenkins_schema(folder: Path) -> etree.XMLSchema:
    command = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--no-binary", ":all:"]
    done = subprocess.run(
        [*command, "-d", folder, SCHEMA_SOURCE], capture_output=True, text=True, check=False
    )
    if done.returncode:
        absent(f"the schema's package cannot be had: {done.stderr[-300:]}")
    with tarfile.open(next(folder.glob("*.tar.gz"))) as archive:
        member = archive.extractfile(SCHEMA)
        assert member is not None
        return etree.XMLSchema(etree.parse(member))


def test_report_is_valid_by_the_schema_of_jenkins(tmp_path: Path) -> None:
    schema = jenkins_schema(tmp_path)
    document = etree.fromstring(written().encode())
    assert schema.validate(document), schema.error_log
    document[0].set("nonsense", "1")
    assert not schema.validate(document)  # the schema does judge


def test_a_junit_reader_finds_every_outcome() -> None:
    suites = {suite.name: suite for suite in JUnitXml.fromstring(written().encode())}
    assert list(suites) == ["registry", "node/n1"]
    registry = suites["registry"]
    assert (registry.tests, registry.failures, registry.errors, registry.skipped) == (5, 2, 0, 2)
    node = suites["node/n1"]
    assert (node.tests, node.failures, node.errors, node.skipped) == (3, 0, 1, 1)


def test_each_status_has_its_element() -> None:
    tree = etree.fromstring(written().encode())
    inside = {
        case.get("name").split()[0]: [child.tag for child in case] for case in tree.iter("testcase")
    }
    assert inside == {
        "CERT-SAN-001": ["failure"],
        "REG-TLS-001": ["failure"],
        "NODE-CLOCK-001": ["error"],
        "NODE-TRUST-001": ["skipped"],
        "NODE-TRUST-006": ["system-out"],
        "CERT-CA-001": ["skipped"],
        "REG-NET-001": [],
        "REG-RUN-001": ["skipped"],
    }


def test_failure_carries_evidence_and_consequence() -> None:
    failure = etree.fromstring(written().encode()).find(".//failure")
    assert failure.get("message") == "the served certificate names no host at all (and 1 more)"
    assert "evidence: subject: CN=registry.local (handshake)" in failure.text
    assert "consequence: x509: certificate relies" in failure.text


def test_skip_says_why() -> None:
    messages = [
        each.get("message") for each in etree.fromstring(written().encode()).iter("skipped")
    ]
    assert "blocked: blocked by CERT-SAN-001::registry" in messages
    assert "waived: known (until 2026-12-31, ops)" in messages


def test_totals_of_the_whole_add_up() -> None:
    root = etree.fromstring(written().encode())
    record = every_status()
    assert root.get("tests") == str(len(record.verdicts))
    assert root.get("failures") == str(record.counts[Status.FAIL])
    assert root.get("errors") == str(record.counts[Status.ERROR])


def test_characters_that_xml_forbids_are_replaced() -> None:
    text = written()
    assert "\x00" not in text
    assert "\x1b" not in text
    assert "\ufffd" in text


def test_no_two_cases_have_the_same_name_for_a_reader_that_keeps_their_history() -> None:
    """GitLab and Jenkins know a case from run to run by its class and name together."""
    cases = [
        (each.get("classname"), each.get("name"))
        for each in etree.fromstring(written().encode()).iter("testcase")
    ]
    assert len(set(cases)) == len(cases)
    assert all(classname and name for classname, name in cases)


def test_jenkins_keeps_the_whole_name_of_a_machine_as_one_package() -> None:
    record = Record(
        run=run_info(),
        verdicts=tuple(
            verdict(check, subject, Status.PASS)
            for subject in ("node/n1.example.org", "node/n2.example.org", "node/10.0.0.1", "nodes")
            for check in ("NODE-TRUST-001", "NODE-CLOCK-001", "RUN-CONF-001")
        ),
    )
    out = io.StringIO()
    junit.write(record, out)
    packages: dict[str, set[str]] = {}
    for case in etree.fromstring(out.getvalue().encode()).iter("testcase"):
        # CaseResult.getPackageName and getSimpleName of its junit plugin: split at the last dot.
        package, _, simple = case.get("classname").rpartition(".")
        packages.setdefault(package, set()).add(simple)
    assert packages == {
        "node/n1.example.org": {"NODE", "RUN"},
        "node/n2.example.org": {"NODE", "RUN"},
        "node/10.0.0.1": {"NODE", "RUN"},
        "nodes": {"NODE", "RUN"},
    }


def test_gaps_of_many_machines_are_each_looked_at_once() -> None:
    """Ten thousand machines behind a dead switch are ten thousand gaps."""
    compared = 0

    class Counted(str):
        __slots__ = ()
        __hash__ = str.__hash__

        def __eq__(self, other: object) -> bool:
            nonlocal compared
            compared += 1
            return str.__eq__(self, other)

    many = 200
    named = [f"node/n{number}" for number in range(many)]
    record = Record(
        run=run_info(),
        verdicts=tuple(verdict("NODE-CLOCK-001", each, Status.ERROR) for each in named),
        gaps=tuple(
            Gap(subject=SubjectId(Counted(each)), stage="connect", reason="no route")
            for each in named
        ),
    )
    out = io.StringIO()
    junit.write(record, out)
    assert out.getvalue().count("not measured: connect: no route") == many
    assert compared <= 4 * many


def test_equal_facts_give_equal_bytes_whatever_the_run_is_called() -> None:
    record = every_status()
    texts = []
    for run in ("R1", "R2"):
        out = io.StringIO()
        named = msgspec.structs.replace(record.run, id=run, finished=record.run.now)
        junit.write(msgspec.structs.replace(record, run=named), out)
        texts.append(out.getvalue())
    assert texts[0] == texts[1]
