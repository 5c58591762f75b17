"""The CA of tomorrow, which nobody misses before the certificate is exchanged."""

from __future__ import annotations

import datetime as dt

import pytest
from support.certs import NOW, Pair, authority, issue
from support.healthy import ca, healthy, other_ca, site, verdict_of, with_file
from support.nodes import FOLDER, put, unit, untrusting

from gapcheck.fixtures.facts import FactSet, Unreadable
from gapcheck.model import Severity, Status, Verdict

CHECK = "NODE-TRUST-008"
BUNDLE = "/etc/ssl/certs/ca-certificates.crt"
ANCHOR = "/usr/local/share/ca-certificates/next.crt"


def given(*extra: Pair, facts: FactSet | None = None) -> FactSet:
    """The site's CA file with `extra` certificates behind today's CA."""
    pem = b"".join(each.pem for each in (ca(), *extra))
    return with_file(facts or healthy()[1], "site", "ca.crt", pem)


def verdict(facts: FactSet, subject: str = "node/debian") -> Verdict:
    return verdict_of(CHECK, facts, site(), subject)


@pytest.mark.parametrize("name", ["debian", "rhel"])
def test_a_node_without_the_ca_to_come_warns_while_pulls_still_work(name: str) -> None:
    new = authority("Example Registry CA 2027")
    facts = given(new)
    found = verdict(facts, f"node/{name}")
    assert (found.status, found.severity) == (Status.WARN, Severity.MINOR)
    assert "Example Registry CA 2027" in found.findings[0].problem
    assert "is in no store of this node" in found.findings[0].problem
    today = verdict_of("NODE-TRUST-001", facts, site(), f"node/{name}")
    assert today.status is Status.PASS


def test_a_node_that_holds_it_beside_todays_everywhere_passes() -> None:
    new = authority("Example Registry CA 2027")
    facts = put(given(new), "node/debian", f"{FOLDER}/ca.crt", ca().pem + new.pem)
    facts = put(facts, "node/debian", BUNDLE, other_ca().pem + ca().pem + new.pem)
    found = verdict(facts)
    assert found.status is Status.PASS
    assert [each.value for each in found.evidence] == [
        "the system store",
        "the per-registry store",
    ]


@pytest.mark.parametrize(
    ("path", "place"),
    [(f"{FOLDER}/ca.crt", "the system store"), (BUNDLE, "the per-registry store")],
)
def test_a_store_that_holds_todays_alone_is_named(path: str, place: str) -> None:
    new = authority("Example Registry CA 2027")
    facts = put(given(new), "node/debian", path, other_ca().pem + ca().pem + new.pem)
    found = verdict(facts)
    assert found.status is Status.WARN
    assert [(each.locus, each.severity) for each in found.findings] == [(place, Severity.INFO)]


def test_a_store_that_never_held_todays_need_not_hold_tomorrows() -> None:
    new = authority("Example Registry CA 2027")
    facts, subject = untrusting("debian")
    facts = put(given(new, facts=facts), subject, f"{FOLDER}/ca.crt", ca().pem + new.pem)
    assert verdict(facts, subject).status is Status.PASS


def test_a_store_that_the_daemon_did_not_load_is_said_to_be_so() -> None:
    new = authority("Example Registry CA 2027")
    facts = put(given(new), "node/debian", BUNDLE, other_ca().pem + ca().pem + new.pem,
                mtime=NOW.timestamp())  # fmt: skip
    (found,) = verdict(facts).findings
    assert "was not loaded by the running daemon" in found.problem


def test_one_ca_in_the_file_asks_for_nothing_more() -> None:
    assert verdict(healthy()[1]).status is Status.NOT_APPLICABLE


@pytest.mark.parametrize(
    "extra",
    [
        (issue(common_name="Issuing CA", san=None, is_ca=True, extended=None, by=ca()),),
        (authority("Gone", not_before=NOW - dt.timedelta(days=400), days=300),),
        (issue(common_name="a pinned leaf"),),
        tuple(authority(f"Public Root {number}") for number in range(9)),
    ],
    ids=["signed by another of the file", "expired", "no CA", "a whole bundle"],
)
def test_what_is_no_ca_to_come_is_not_asked_for(extra: tuple[Pair, ...]) -> None:
    assert verdict(given(*extra)).status is Status.NOT_APPLICABLE


def test_a_store_that_was_not_read_is_an_error_and_never_a_pass() -> None:
    facts, subject = untrusting("debian")
    facts = given(authority("Example Registry CA 2027"), facts=facts)
    facts = with_file(facts, subject, BUNDLE, Unreadable("permission denied"))
    found = verdict(facts, subject)
    assert found.status is Status.ERROR
    assert "permission denied" in found.reason


def test_an_unknown_environment_of_the_daemon_is_an_error() -> None:
    facts = unit(
        given(authority("Example Registry CA 2027")),
        "node/debian",
        environment_unread="permission denied",
    )
    assert verdict(facts).status is Status.ERROR


def test_where_todays_ca_is_missing_that_comes_first() -> None:
    facts, subject = untrusting("debian", folder=False)
    found = verdict(given(authority("Example Registry CA 2027"), facts=facts), subject)
    # What verifies nothing makes every CA of the file one that is wanted today.
    assert found.status is Status.BLOCKED
