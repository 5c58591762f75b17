from __future__ import annotations

import datetime as dt

import pytest
from support.certs import NOW
from support.healthy import ca, healthy, leaf, other_ca, verdict_of, with_file

from gapcheck.fixtures.fact_set import FactSet
from gapcheck.fixtures.facts import Absent, Unreadable
from gapcheck.model import Severity, Status, Verdict

SITE, FACTS = healthy()
GOOD, OTHER = ca().pem, other_ca().pem
INDENTED = b"".join(b"  " + line for line in GOOD.splitlines(keepends=True))


def judged(facts: FactSet, *, now: dt.datetime = NOW) -> Verdict:
    return verdict_of("CERT-FILE-001", facts, SITE, "site", now=now)


def of_file(content: bytes, **stat: object) -> Verdict:
    return judged(with_file(FACTS, "site", "ca.crt", content, **stat))


@pytest.mark.parametrize(
    "content",
    [GOOD, GOOD[:-1], GOOD.replace(b"\n", b"\r\n"), b"# root\n" + GOOD + b"text\n" + OTHER],
    ids=["plain", "no final newline", "CRLF", "with text"],
)
def test_what_go_loads_whole_passes(content: bytes) -> None:
    assert of_file(content).status is Status.PASS


UNLOADED = {
    "empty": (b"", "empty"), "text": (b"hello\n", "empty"), "DER": (ca().der, "der"),
    "joined": (GOOD[:-1] + OTHER, "joined,unparsable"), "indented": (INDENTED, "indented"),
    "byte order mark": (b"\xef\xbb\xbf" + GOOD, "bom"),
    "trusted": (GOOD.replace(b"CERTIFICATE", b"TRUSTED CERTIFICATE"), "trusted"),
    "truncated": (GOOD[:300], "unparsable"), "quoted": (b'"' + GOOD, "indented"),
}  # fmt: skip


@pytest.mark.parametrize(("content", "kind"), UNLOADED.values(), ids=UNLOADED)
def test_a_file_that_go_loads_nothing_from_is_critical(content: bytes, kind: str) -> None:
    verdict = of_file(content)
    assert (verdict.status, verdict.severity) == (Status.FAIL, Severity.CRITICAL)
    assert verdict.findings[0].data == {"path": "ca.crt", "kind": kind}


def test_a_file_that_loses_a_part_fails_with_the_line_of_the_part() -> None:
    verdict = of_file(OTHER + GOOD[:300] + b"\n")
    assert (verdict.status, verdict.severity) == (Status.FAIL, Severity.MAJOR)
    assert verdict.findings[0].evidence[0].source == f"ca.crt:{len(OTHER.splitlines()) + 1}"


@pytest.mark.parametrize("taken", [GOOD + leaf().key_pem, GOOD], ids=["seen", "taken out"])
def test_a_private_key_in_the_file_is_a_critical_leak(taken: bytes) -> None:
    verdict = of_file(taken, has_private_key=True)
    assert (verdict.status, verdict.severity) == (Status.FAIL, Severity.CRITICAL)
    assert [finding.data["kind"] for finding in verdict.findings] == ["private-key"]


def test_a_file_whose_certificates_have_all_expired_fails() -> None:
    verdict = judged(FACTS, now=NOW + dt.timedelta(days=4000))
    assert verdict.status is Status.FAIL
    assert verdict.findings[0].data["kind"] == "expired"


def test_one_certificate_that_is_valid_is_enough() -> None:
    facts = with_file(FACTS, "site", "ca.crt", leaf().pem + GOOD)
    assert judged(facts, now=NOW + dt.timedelta(days=400)).status is Status.PASS


@pytest.mark.parametrize("missing", [Absent(), Unreadable("permission denied")])
def test_a_file_that_was_not_read_is_an_error(missing: Absent | Unreadable) -> None:
    assert judged(with_file(FACTS, "site", "ca.crt", missing)).status is Status.ERROR


def test_a_site_without_a_ca_file_is_not_judged() -> None:
    registry = SITE.registry.model_copy(update={"ca_file": None})
    site = SITE.model_copy(update={"registry": registry})
    assert verdict_of("CERT-FILE-001", FACTS, site, "site").status is Status.NOT_APPLICABLE
