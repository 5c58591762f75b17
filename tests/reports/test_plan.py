"""A plan of many nodes is read in a minute: what is equal is shown once, and all are named."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from support.places import sha

from gapcheck.model import Cause, CheckId, node_subject
from gapcheck.record import ChangeResult, Round
from gapcheck.remediations.plan import EditBlock, Plan, PlannedChange, Unplanned
from gapcheck.reports.groups import in_order, ranges
from gapcheck.reports.plan import plan_lines, result_lines

DIFF = "--- /etc/hosts\n+++ /etc/hosts\n@@ -1 +1,2 @@\n a\n+b\n"


def planned(node: str, diff: str = DIFF) -> PlannedChange:
    target = node_subject(node)
    change = EditBlock(
        target=target, path="/etc/hosts", before_sha256=sha(b"a\n"), marker="m", lines=("b",)
    )
    cause = Cause(CheckId("DNS-NODE-001"), target)
    return PlannedChange(id=change.id, change=change, stage=10, causes=(cause,), diff=diff)


def text(plan: Plan) -> str:
    return "\n".join(line.text for line in plan_lines(plan))


def test_what_is_equal_on_300_nodes_is_shown_once_and_every_node_is_named() -> None:
    changes = tuple(planned(f"node-{number}") for number in range(1, 301) if number != 17)
    odd = planned("node-17", DIFF.replace("a\n", "other\n"))

    shown = text(Plan(round=1, changes=(*changes, odd)))

    assert shown.count("+b") == 2
    assert "the same on 298 more nodes: node-2 to node-16, node-18 to node-300" in shown
    assert "2. edit block  node/node-17 /etc/hosts" in shown
    assert len(shown.splitlines()) < 25


def test_what_differs_is_never_hidden_behind_another() -> None:
    note = planned("c")
    plan = Plan(round=1, changes=(planned("a"), planned("b", DIFF + "+c\n"), note))

    shown = text(plan)

    assert "1. edit block  node/a" in shown
    assert "2. edit block  node/b" in shown
    assert "the same on 1 more node: c" in shown


def test_reasons_and_results_of_many_nodes_are_one_line_each() -> None:
    changes = tuple(planned(f"n{number}") for number in range(3))
    causes = [Cause(CheckId("NODE-TRUST-001"), node_subject(f"n{number}")) for number in range(4)]
    left = tuple(Unplanned(cause=cause, why="a person does it") for cause in causes)
    results = tuple(
        ChangeResult(id=each.id, target=each.change.target, state="applied") for each in changes
    )
    failed = ChangeResult(
        id=changes[2].id, target=changes[2].change.target, state="failed", detail="no room"
    )
    done = Round(
        plan=Plan(round=1, changes=changes, unplanned=left),
        results=(*results[:2], failed),
        repaired=tuple(causes[:2]),
    )

    shown = [line.text for line in result_lines(done)]

    assert "not planned  NODE-TRUST-001::node/ of n0 to n3: a person does it" in text(done.plan)
    assert shown == [
        "  applied    2 nodes edit block /etc/hosts",
        "     n0, n1",
        "  failed     node/n2 edit block /etc/hosts: no room",
        "  repaired   NODE-TRUST-001::node/ of n0, n1",
    ]


@given(st.sets(st.integers(0, 40), min_size=1), st.sampled_from(["n{}", "n{:03}", "{}x", "a{}.b1"]))
def test_ranges_cover_each_name_once_and_no_other(numbers: set[int], form: str) -> None:
    names = in_order(form.format(number) for number in numbers)
    covered: list[str] = []
    for part in ranges(names).split(", "):
        first, _, last = part.partition(" to ")
        at, end = names.index(first), names.index(last or first)
        assert not last or [form.format(number) for number in numbers].count(last) == 1
        covered += names[at : end + 1]
    assert covered == names
    for part in ranges(names).split(", "):
        first, _, last = part.partition(" to ")
        if last and form != "a{}.b1":
            ends = [number for number in range(41) if form.format(number) in (first, last)]
            assert set(range(ends[0], ends[1] + 1)) <= numbers
