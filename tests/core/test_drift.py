"""What differs between two looks at one site, and what is said to have caused it."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

import msgspec
import pytest
from support.certs import NOW, issue
from support.healthy import ca, served, site, with_facts, with_file
from support.looks import look, steady

from gapcheck.comparison import compare
from gapcheck.drift import Drift, Item, RepairRun, Why
from gapcheck.fixtures.fact_set import FactSet
from gapcheck.fixtures.facts import Clock, Filesystem, NodeFacts, Present, UnitFact, Unreadable
from gapcheck.model import NODES, Gap, SubjectId
from gapcheck.registry import Catalogue, catalogue
from gapcheck.remembered import Finished

LATER = NOW + timedelta(hours=1)
HOSTS = "/etc/hosts"
CONFLICT = b"127.0.0.1 localhost\n10.0.0.2 registry.local\n10.9.9.9 registry.local\n"


def conflict(subject: str = "node/debian") -> FactSet:
    """The healthy site, after somebody added a second address for the registry."""
    return with_file(steady()[1], subject, HOSTS, CONFLICT)


def item(drift: Drift, check: str, subject: str) -> Item:
    found = [each for each in drift.items if (each.check, each.subject) == (check, subject)]
    assert len(found) == 1, (check, subject, drift.items)
    return found[0]


def kinds(whys: tuple[Why, ...]) -> list[str]:
    return [why.kind for why in whys]


def test_two_looks_at_an_untouched_site_show_no_drift() -> None:
    _, facts = steady()
    node: Any = facts.by_subject[SubjectId("node/debian")]
    unit = msgspec.structs.replace(
        node.units["containerd.service"].value, pid=999, started=NOW.timestamp() - 60
    )
    room = Filesystem(path="/var/lib/containerd", total_bytes=10**11, available_bytes=5 * 10**10)
    later = with_facts(
        facts,
        "node/debian",
        clock=Present(Clock(remote=5.0, sent=5.0, received=5.0)),
        units={**node.units, "containerd.service": Present(unit)},
        filesystems={"/var/lib/containerd": Present(room)},
    )
    assert isinstance(unit, UnitFact)

    drift = compare(look(facts), look(later, at=LATER, run="B"))

    assert not drift.found
    assert drift.facts == ()


def test_a_file_touched_without_a_change_is_no_drift() -> None:
    _, facts = steady()
    before = with_file(facts, "node/debian", "/etc/extra", b"same", mtime=1.0)
    after = with_file(facts, "node/debian", "/etc/extra", b"same", mtime=2.0)
    assert not compare(look(before), look(after, at=LATER)).found


def test_a_new_failure_names_the_file_that_differs() -> None:
    drift = compare(look(), look(conflict(), at=LATER, run="B"))

    found = item(drift, "DNS-HOSTS-001", "node/debian")
    assert (found.kind, found.was, found.now) == ("new", "pass", "fail")
    assert kinds(found.causes) == ["fact"]
    cause = found.causes[0]
    assert (cause.text, cause.subject) == ("file /etc/hosts", "node/debian")
    assert cause.before.startswith("sha256 ")
    assert cause.before != cause.after


def test_what_was_bad_and_is_good_again_is_resolved() -> None:
    drift = compare(look(conflict()), look(at=LATER, run="B"))
    found = item(drift, "DNS-HOSTS-001", "node/debian")
    assert (found.kind, found.was, found.now) == ("resolved", "fail", "pass")
    assert "10.9.9.9" in found.said  # what it was about


def test_an_edited_file_is_drift_although_every_verdict_is_the_same() -> None:
    _, facts = steady()
    edited = with_file(facts, "node/rhel", "/etc/nsswitch.conf", b"hosts: files dns\n\n# mine\n")

    drift = compare(look(facts), look(edited, at=LATER, run="B"))

    assert drift.found
    assert drift.counts["new"] == drift.counts["resolved"] == 0
    assert [(each.fact, each.subjects) for each in drift.facts] == [
        ("file /etc/nsswitch.conf", ("node/rhel",))
    ]


def test_a_fact_that_differs_alike_on_many_nodes_is_told_once() -> None:
    _, facts = steady()
    before = after = facts
    for subject in ("node/debian", "node/rhel"):
        before = with_file(before, subject, "/etc/extra", b"one")
        after = with_file(after, subject, "/etc/extra", b"two")
    drift = compare(look(before), look(after, at=LATER))
    assert [each.subjects for each in drift.facts] == [("node/debian", "node/rhel")]
    assert drift.counts["facts"] == 1


def test_what_is_not_measured_now_is_incomparable_and_never_unchanged() -> None:
    _, facts = steady()
    unread = with_file(facts, "node/debian", HOSTS, Unreadable("permission denied"))

    drift = compare(look(facts), look(unread, at=LATER, run="B"))

    found = item(drift, "DNS-HOSTS-001", "node/debian")
    assert (found.kind, found.now) == ("incomparable", "error")
    assert not drift.found  # nothing is known to differ
    assert drift.facts == ()


def test_a_failure_that_was_not_measured_before_is_incomparable() -> None:
    _, facts = steady()
    unread = with_file(facts, "node/debian", HOSTS, Unreadable("permission denied"))
    drift = compare(look(unread), look(conflict(), at=LATER, run="B"))
    assert item(drift, "DNS-HOSTS-001", "node/debian").kind == "incomparable"


def test_what_was_measured_neither_time_is_counted_and_not_listed() -> None:
    _, facts = steady()
    unread = with_file(facts, "node/debian", HOSTS, Unreadable("permission denied"))
    drift = compare(look(unread), look(unread, at=LATER, run="B"))
    assert drift.counts["incomparable"] > 0
    assert drift.of("incomparable") == ()


def test_what_is_still_bad_is_listed_as_unchanged_without_a_cause() -> None:
    drift = compare(look(conflict()), look(conflict(), at=LATER, run="B"))
    found = item(drift, "DNS-HOSTS-001", "node/debian")
    assert (found.kind, found.causes) == ("unchanged", ())
    assert drift.counts["still_bad"] == len(drift.of("unchanged"))
    assert not drift.found


def test_a_finding_in_another_place_is_a_change_of_what_is_bad() -> None:
    _, facts = steady()
    one = with_file(facts, "node/debian", "/usr/local/share/ca-certificates/a.crt", b"nonsense")
    two = with_file(one, "node/debian", "/usr/local/share/ca-certificates/b.crt", b"nonsense")
    drift = compare(look(one), look(two, at=LATER, run="B"))
    assert [each.kind for each in drift.items if each.check == "NODE-TRUST-005"] == ["changed"]


def test_a_consequence_points_at_the_root_that_is_new() -> None:
    _, facts = steady()
    bad = served(facts, issue(san=None, by=ca()))

    drift = compare(look(facts), look(bad, at=LATER, run="B"))

    consequence = item(drift, "REG-TLS-001", "registry")
    assert "root" in kinds(consequence.causes)
    assert "CERT-SAN-001::registry" in [why.text for why in consequence.causes]
    assert drift.of("new").index(item(drift, "CERT-SAN-001", "registry")) < drift.of("new").index(
        consequence
    )


def with_node(facts: FactSet, name: str) -> FactSet:
    node: Any = facts.by_subject[SubjectId("node/debian")]
    assert isinstance(node, NodeFacts)
    by_subject = {**facts.by_subject, SubjectId(f"node/{name}"): node}
    return msgspec.structs.replace(facts, by_subject=by_subject)


def three_nodes() -> Any:
    nodes = [{"name": name, "target": f"ssh://{name}"} for name in ("debian", "rhel", "third")]
    return site(nodes=nodes)


def test_a_failure_on_a_node_that_joined_says_so() -> None:
    _, facts = steady()
    joined = with_file(with_node(facts, "third"), "node/third", HOSTS, CONFLICT)

    drift = compare(look(facts), look(joined, three_nodes(), at=LATER, run="B"))

    assert drift.joined == ("node/third",)
    found = item(drift, "DNS-HOSTS-001", "node/third")
    assert (found.kind, found.was) == ("new", "")
    assert "node/third joined the site" in [why.text for why in found.causes]


def test_a_node_that_left_resolves_nothing() -> None:
    _, facts = steady()
    before = with_file(with_node(facts, "third"), "node/third", HOSTS, CONFLICT)

    drift = compare(look(before, three_nodes()), look(facts, at=LATER, run="B"))

    assert drift.left == ("node/third",)
    found = item(drift, "DNS-HOSTS-001", "node/third")
    assert (found.kind, found.now) == ("incomparable", "")
    assert found.causes[0].text == "node/third is no longer of the site"
    assert drift.counts["resolved"] == 0
    assert drift.found


def undiscovered(facts: FactSet) -> tuple[FactSet, Any]:
    """A look that did not find out which nodes there are."""
    others = {s: f for s, f in facts.by_subject.items() if not s.startswith("node/")}
    gap = Gap(subject=NODES, stage="discovery", reason="the nodes could not be listed")
    of = site(nodes={"from": "cluster"})
    return msgspec.structs.replace(facts, by_subject=others, gaps=(gap,)), of


def test_nodes_that_were_not_discovered_have_not_left() -> None:
    drift = compare(look(conflict()), look(*undiscovered(conflict()), at=LATER, run="B"))
    assert drift.left == ()
    assert not [each for each in drift.items if each.kind == "resolved"]
    found = item(drift, "DNS-HOSTS-001", "node/debian")
    assert found.kind == "incomparable"
    assert found.causes[0].text == "node/debian was not found now"


def test_nodes_that_are_discovered_again_have_not_joined() -> None:
    drift = compare(look(*undiscovered(conflict())), look(conflict(), at=LATER, run="B"))
    assert drift.joined == ()
    found = item(drift, "DNS-HOSTS-001", "node/debian")
    assert found.kind == "incomparable"
    assert found.causes[0].text == "node/debian was not found then"


def waived(until: date) -> Any:
    return site(waivers=[{"check": "DNS-HOSTS-001", "reason": "known", "until": until.isoformat()}])


def test_a_failure_whose_waiver_ended_says_so() -> None:
    of = waived(NOW.date())
    tomorrow = NOW + timedelta(days=1)

    drift = compare(look(conflict(), of), look(conflict(), of, at=tomorrow, run="B"))

    found = item(drift, "DNS-HOSTS-001", "node/debian")
    assert (found.kind, found.was) == ("new", "waived")
    assert kinds(found.causes) == ["waiver"]
    assert found.causes[0].before == NOW.date().isoformat()


def test_a_failure_whose_waiver_was_taken_out_says_so() -> None:
    of = waived(NOW.date())
    drift = compare(look(conflict(), of), look(conflict(), at=LATER, run="B"))
    cause = item(drift, "DNS-HOSTS-001", "node/debian").causes[0]
    assert (cause.kind, cause.after) == ("waiver", "")
    assert cause.text.startswith("waiver DNS-HOSTS-001")


def test_another_policy_is_the_cause_where_no_fact_differs() -> None:
    of = site(policy={"min_days_left": 390})
    drift = compare(look(), look(None, of, at=LATER, run="B"))
    found = item(drift, "CERT-LIFE-002", "registry")
    assert kinds(found.causes) == ["policy"]
    cause = found.causes[0]
    assert (cause.text, cause.before, cause.after) == ("policy min_days_left", "30", "390")


def test_where_nothing_differs_but_the_time_no_cause_is_made_up() -> None:
    drift = compare(look(), look(at=NOW + timedelta(days=5_000), run="B"))
    found = item(drift, "CERT-LIFE-001", "registry")
    assert found.kind == "new"
    assert kinds(found.causes) == ["unknown"]


def without(finished: Finished, check: str) -> Finished:
    finished._by_check.pop(check)  # type: ignore[arg-type] # as a version that lacks the check
    return finished


def test_a_check_that_the_other_version_lacks_is_incomparable() -> None:
    old = without(look(conflict(), version="0.1"), "DNS-HOSTS-001")
    drift = compare(old, look(conflict(), at=LATER, run="B", version="0.2"))
    found = item(drift, "DNS-HOSTS-001", "node/debian")
    assert found.kind == "incomparable"
    assert kinds(found.causes) == ["version"]
    assert ("gapcheck", "0.1", "0.2") in [
        (why.text, why.before, why.after) for why in drift.settings
    ]
    assert not drift.found


def test_an_answer_that_was_cut_off_proves_no_absence() -> None:
    _, facts = steady()
    more = with_file(facts, "node/debian", "/etc/extra", b"here")
    gap = Gap(subject=SubjectId("node/debian"), stage="probe", reason="cut off")
    cut = msgspec.structs.replace(facts, gaps=(gap,))
    assert compare(look(more), look(cut, at=LATER)).facts == ()
    assert [each.after for each in compare(look(more), look(facts, at=LATER)).facts] == [""]


def test_what_only_another_version_looks_at_is_no_change_of_the_site() -> None:
    _, facts = steady()
    more = with_file(facts, "node/debian", "/etc/newly-read", b"was always there")
    assert not compare(look(facts), look(more, at=LATER, version="0.2")).found
    assert compare(look(facts), look(more, at=LATER)).found


def repaired(sha256: str) -> RepairRun:
    wrote = {SubjectId("node/debian"): {HOSTS: sha256}}
    return RepairRun(run="R", at=NOW + timedelta(minutes=1), wrote=wrote)


def test_a_fix_that_left_the_file_as_it_is_now_is_named() -> None:
    after = conflict()
    fact: Any = after.by_subject[SubjectId("node/debian")]
    digest = fact.files[HOSTS].value.sha256

    drift = compare(look(), look(after, at=LATER, run="B"), repairs=[repaired(digest)])

    assert [each.by for each in drift.facts] == ["fix run R"]
    causes = item(drift, "DNS-HOSTS-001", "node/debian").causes
    assert [why.text for why in causes if why.kind == "repair"] == ["fix run R wrote /etc/hosts"]


def test_a_fix_is_not_blamed_for_what_was_changed_after_it() -> None:
    drift = compare(look(), look(conflict(), at=LATER, run="B"), repairs=[repaired("f" * 64)])
    assert [each.by for each in drift.facts] == [""]
    causes = item(drift, "DNS-HOSTS-001", "node/debian").causes
    assert [why.text for why in causes if why.kind == "repair"] == [
        "fix run R wrote /etc/hosts, which was changed again since"
    ]


@pytest.mark.parametrize("wrote", [{}, {SubjectId("node/rhel"): {HOSTS: "f" * 64}}])
def test_a_fix_of_something_else_is_no_cause(wrote: Any) -> None:
    repair = RepairRun(run="R", at=NOW, wrote=wrote)
    drift = compare(look(), look(conflict(), at=LATER, run="B"), repairs=[repair])
    assert "repair" not in kinds(item(drift, "DNS-HOSTS-001", "node/debian").causes)


def test_undo_is_told_from_fix() -> None:
    assert RepairRun(run="U", at=NOW, undoes="R").what == "undo run U (of R)"


def test_the_catalogue_is_part_of_what_is_judged_by() -> None:
    assert isinstance(catalogue(), Catalogue)
    sheet = look().sheet(look().measured["setting"])
    assert "check DNS-HOSTS-001" in sheet
    assert sheet["policy min_days_left"] == "30"
