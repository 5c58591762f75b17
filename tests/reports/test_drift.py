"""Drift as lines for a person."""

from __future__ import annotations

import io
from datetime import timedelta
from typing import Any

import msgspec
from support.certs import NOW
from support.healthy import site, with_file
from support.looks import look, steady

from gapcheck.comparison import compare
from gapcheck.drift import Drift, Moment, RepairRun
from gapcheck.fixtures.facts import Unreadable
from gapcheck.model import SubjectId
from gapcheck.reports.drift import summary, write_drift

LATER = NOW + timedelta(hours=1)
CONFLICT = b"127.0.0.1 localhost\n10.0.0.2 registry.local\n10.9.9.9 registry.local\n"


def edited(*subjects: str) -> Any:
    facts = steady()[1]
    for subject in subjects:
        facts = with_file(facts, subject, "/etc/hosts", CONFLICT)
    return look(facts, at=LATER, run="B")


def text_of(drift: Drift) -> str:
    out = io.StringIO()
    write_drift(drift, out)
    return out.getvalue()


def test_new_failures_come_with_their_cause_before_and_after() -> None:
    shown = text_of(compare(look(), edited("node/debian")))
    assert "DNS-HOSTS-001 major  node/debian: pass -> fail: /etc/hosts gives" in shown
    assert "cause  file /etc/hosts of node/debian: sha256 " in shown
    assert shown.index("\nnew\n") < shown.index("\nfacts that differ\n")
    assert shown.rstrip().splitlines()[-1].startswith("drift: ")


def test_of_a_file_only_what_differs_is_shown() -> None:
    shown = text_of(compare(look(), edited("node/debian")))
    assert "mode" not in shown
    assert "owner" not in shown


def test_no_drift_is_said() -> None:
    drift = compare(look(), look(at=LATER, run="B"))
    assert summary(drift).startswith("no drift: ")
    assert summary(drift).endswith(" unchanged")


def test_repairs_in_between_are_named_with_what_they_wrote() -> None:
    wrote = {SubjectId("node/debian"): {"/etc/hosts": "f" * 64}}
    repair = RepairRun(run="R", at=NOW, undoes="Q", wrote=wrote)
    shown = text_of(compare(look(), edited("node/debian"), repairs=[repair]))
    assert "in between, 2026-06-15 12:00:00Z: undo run R (of Q) wrote on node/debian" in shown


def test_equal_changes_of_many_nodes_stand_together() -> None:
    drift = compare(look(), edited("node/debian", "node/rhel"))
    lines = text_of(drift).splitlines()
    facts = [line for line in lines if line.startswith("  file /etc/hosts of ")]
    assert facts == ["  file /etc/hosts of node/debian, node/rhel"]


def test_a_baseline_is_named_as_the_reference() -> None:
    drift = compare(look(), look(at=LATER, run="B"))
    moment = Moment(run="A", at=NOW, version="0", baseline="accepted.json")
    shown = text_of(msgspec.structs.replace(drift, before=moment))
    assert shown.startswith("since baseline accepted.json, accepted from run A of 2026-06-15")


def test_what_a_target_says_cannot_steer_a_terminal() -> None:
    facts = with_file(steady()[1], "node/debian", "/etc/\x1b[31mred", b"x")
    shown = text_of(compare(look(), look(facts, at=LATER, run="B")))
    assert "\x1b" not in shown
    assert "red of node/debian" in shown


def nodes(*names: str) -> Any:
    """The healthy site with these nodes, all alike."""
    facts = steady()[1]
    one = facts.by_subject[SubjectId("node/debian")]
    others = {s: f for s, f in facts.by_subject.items() if not s.startswith("node/")}
    mine = {SubjectId(f"node/{name}"): one for name in names}
    of = site(nodes=[{"name": name, "target": f"ssh://{name}"} for name in names])
    return msgspec.structs.replace(facts, by_subject={**others, **mine}), of


def test_nodes_that_joined_and_left_are_named_and_many_are_counted() -> None:
    names = [f"n{number}" for number in range(5)]
    drift = compare(look(*nodes("debian")), look(*nodes(*names), at=LATER, run="B"))
    shown = text_of(drift)
    assert "joined the site: 5 subjects (node/n0, node/n1, node/n2, ...)" in shown
    assert "left the site: node/debian" in shown
    assert "5 subjects joined, 1 subject left" in shown.splitlines()[-1]


def test_another_policy_and_version_are_told_with_both_sides() -> None:
    of = site(policy={"min_days_left": 390})
    shown = text_of(compare(look(), look(None, of, at=LATER, run="B", version="9")))
    assert "site file, policy min_days_left: 30 -> 390" in shown
    assert "gapcheck's version: 0.0 -> 9" in shown


def test_what_cannot_be_compared_has_a_part_of_its_own() -> None:
    unread = with_file(steady()[1], "node/debian", "/etc/hosts", Unreadable("permission denied"))
    shown = text_of(compare(look(), look(unread, at=LATER, run="B")))
    assert "not comparable: not measured then or now" in shown
    assert "node/debian: pass -> error:" in shown
    assert shown.splitlines()[-1].startswith("no drift: ")


def test_a_long_list_of_facts_ends_with_their_number() -> None:
    facts = steady()[1]
    for number in range(25):
        facts = with_file(facts, "node/debian", f"/etc/extra-{number:02}", b"x")
    shown = text_of(compare(look(), look(facts, at=LATER, run="B")))
    assert "and 5 more; --report json:PATH holds them" in shown
