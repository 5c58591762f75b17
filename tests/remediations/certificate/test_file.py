from __future__ import annotations

import datetime as dt
from typing import Any

import pytest
from support.certs import NOW
from support.healthy import ca, healthy, leaf, other_ca, verdict_of, with_file

from gapcheck.errors import CannotPlan
from gapcheck.fixtures import pki
from gapcheck.fixtures.fact_set import FactSet
from gapcheck.model import SITE as SUBJECT
from gapcheck.model import Status
from gapcheck.registry import catalogue
from gapcheck.remediations.certificate.file import plan_plain_ca_file
from gapcheck.remediations.plan import Literal, WriteFile
from gapcheck.view import View

SITE, FACTS = healthy()
GOOD, OTHER = ca().pem, other_ca().pem


def planned(facts: FactSet, now: dt.datetime = NOW) -> WriteFile:
    assert catalogue()
    view: View[Any] = View(SUBJECT, facts, SITE, now=now)
    finding = verdict_of("CERT-FILE-001", facts, SITE, "site", now=now).findings[0]
    (change,) = plan_plain_ca_file(finding, view)
    assert isinstance(change, WriteFile)
    return change


REPAIRABLE = {
    "DER": ca().der, "joined": GOOD[:-1] + OTHER, "DER between": OTHER + ca().der + b"\n" + GOOD,
    "indented": b"".join(b"  " + line for line in GOOD.splitlines(keepends=True)),
    "byte order mark": b"\xef\xbb\xbf" + GOOD, "quoted": b'"' + GOOD + b'"\n',
    "trusted": GOOD.replace(b"CERTIFICATE", b"TRUSTED CERTIFICATE"),
    "headers": GOOD.replace(b"-----\nM", b"-----\nProc-Type: 4\n\nM", 1),
    "private key": leaf().key_pem + GOOD,
}  # fmt: skip


@pytest.mark.parametrize("content", REPAIRABLE.values(), ids=REPAIRABLE)
def test_the_rewritten_file_passes_and_holds_what_was_meant(content: bytes) -> None:
    facts = with_file(FACTS, "site", "ca.crt", content, mode=0o640)
    change = planned(facts)
    assert isinstance(change.content, Literal)
    written = change.content.data
    assert ca().der in pki.pool(written).certificates
    assert b"PRIVATE" not in written
    assert (change.target, change.path, change.mode) == ("site", "ca.crt", 0o640)
    after = with_file(facts, "site", "ca.crt", written)
    assert verdict_of("CERT-FILE-001", after, SITE, "site").status is Status.PASS


def test_the_file_must_still_be_the_measured_one() -> None:
    facts = with_file(FACTS, "site", "ca.crt", ca().der)
    observed: Any = facts.by_subject[SUBJECT]
    assert planned(facts).before_sha256 == observed.files["ca.crt"].value.sha256


def test_both_certificates_of_a_joined_file_are_kept_in_order() -> None:
    change = planned(with_file(FACTS, "site", "ca.crt", GOOD[:-1] + OTHER))
    assert change.content == Literal(GOOD + OTHER)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "no certificate can be read"),
        (GOOD[:300], "no certificate can be read"),
        (OTHER + GOOD[:300] + b"\n", f"line {len(OTHER.splitlines()) + 1} of ca.crt is damaged"),
    ],
    ids=["empty", "truncated", "half damaged"],
)
def test_what_cannot_be_read_is_left_to_a_person(content: bytes, words: str) -> None:
    with pytest.raises(CannotPlan, match=words):
        planned(with_file(FACTS, "site", "ca.crt", content))


def test_an_expired_ca_is_left_to_a_person() -> None:
    with pytest.raises(CannotPlan, match="valid today"):
        planned(FACTS, NOW + dt.timedelta(days=4000))
