from __future__ import annotations

from typing import Any

import msgspec
import pytest
from support.certs import NOW
from support.healthy import HOST, file_fact, healthy, site, with_facts, with_file
from support.kube import judged, planned

from gapcheck.errors import CannotPlan
from gapcheck.fixtures.fact_set import FactSet
from gapcheck.fixtures.facts import Absent, Present, Unreadable
from gapcheck.model import Finding, Status, SubjectId
from gapcheck.remediations.dns.node import plan_name_on_node, plan_one_entry
from gapcheck.remediations.edits import apply_edit
from gapcheck.remediations.plan import EditBlock
from gapcheck.view import View

NODE = "node/debian"
HOSTS, NODES = "DNS-HOSTS-001", "DNS-NODE-001"
BLOCK = "# BEGIN gapcheck registry\n10.0.0.2\tregistry.local\n# END gapcheck registry\n"


def broken(text: str, *answers: str) -> FactSet:
    facts = with_file(healthy()[1], NODE, "/etc/hosts", text.encode())
    facts = with_facts(facts, NODE, resolver={HOST: Present(answers)}, dns_only={HOST: Present(())})
    return with_file(facts, NODE, "/etc/nsswitch.conf", b"hosts: files dns\n")


def repaired(check: str, facts: FactSet, text: str) -> str:
    """The hosts file after the plan of `check`."""
    (change,) = planned(check, facts, healthy()[0], NODE)
    assert isinstance(change, EditBlock)
    assert change.path == "/etc/hosts"
    assert change.in_place
    fact, _ = file_fact("/etc/hosts", text.encode())
    assert change.before_sha256 == fact.value.sha256
    after = apply_edit(change, text.encode())
    assert after is not None
    return after.decode()


@pytest.mark.parametrize(
    ("check", "before", "after"),
    [
        (NODES, "127.0.0.1 localhost\n", "127.0.0.1 localhost\n" + BLOCK),
        (NODES, "10.0.0.9 registry.local reg # by hand\n", "10.0.0.9 reg # by hand\n" + BLOCK),
        (HOSTS, "10.0.0.9 registry.local\n10.0.0.2 registry.local\n", BLOCK),
        (HOSTS, "10.0.0.2 registry.local\n10.0.0.2 registry.local\n", BLOCK),
        (HOSTS, "127.0.0.1 localhost\n10.0.0.2 \n", "127.0.0.1 localhost\n" + BLOCK),
        (HOSTS, "10.0.0.2 $REGISTRY_DOMAIN_NAME\n# end", "# end\n" + BLOCK),
        (NODES, BLOCK.replace("0.0.2", "0.0.9") + "# after\n", BLOCK + "# after\n"),
        (NODES, "10.0.0.9 registry.local\r\n1.1.1.1 a\r\n", None),
    ],
    ids=[
        "missing",
        "wrong with alias",
        "two",
        "twice",
        "nameless",
        "variable",
        "old block",
        "crlf",
    ],
)
def test_the_name_stands_in_one_marked_block_and_nowhere_else(
    check: str, before: str, after: str | None
) -> None:
    text = repaired(check, broken(before), before)
    if after is not None:
        assert text == after
    again = broken(text, "10.0.0.2")
    for each in (HOSTS, NODES):
        assert judged(each, again, healthy()[0], NODE).status is Status.PASS
        assert planned(each, again, healthy()[0], NODE) == []


def test_an_absent_hosts_file_is_made() -> None:
    facts = with_file(broken(""), NODE, "/etc/hosts", Absent())
    (change,) = planned(NODES, facts, healthy()[0], NODE)
    assert isinstance(change, EditBlock)
    assert change.before_sha256 is None
    assert apply_edit(change, None) == BLOCK.encode()


def test_a_left_over_line_goes_without_a_block_where_dns_has_the_name() -> None:
    facts = with_facts(
        broken("1.1.1.1 a\n10.0.0.2 \n", "10.0.0.2"), NODE, dns_only={HOST: Present(("10.0.0.2",))}
    )
    assert repaired(HOSTS, facts, "1.1.1.1 a\n10.0.0.2 \n") == "1.1.1.1 a\n"


def test_dns_before_files_is_put_behind_them_and_a_right_hosts_file_is_left() -> None:
    text = "passwd: files\nhosts:   dns [!UNAVAIL=return] files # odd\n"
    facts = with_file(broken("10.0.0.2 registry.local\n", "10.0.0.9"), NODE,
                      "/etc/nsswitch.conf", text.encode())  # fmt: skip
    (change,) = planned(NODES, facts, healthy()[0], NODE)
    assert isinstance(change, EditBlock)
    assert change.path == "/etc/nsswitch.conf"
    assert apply_edit(change, text.encode()) == (
        b"passwd: files\nhosts:   files dns [!UNAVAIL=return] # odd\n"
    )


def test_both_files_are_changed_where_both_are_wrong() -> None:
    facts = with_file(broken("", "10.0.0.9"), NODE, "/etc/nsswitch.conf", b"hosts: dns\n")
    changes = planned(NODES, facts, healthy()[0], NODE)
    assert [msgspec.structs.asdict(each)["path"] for each in changes] == [
        "/etc/hosts",
        "/etc/nsswitch.conf",
    ]


def test_a_right_hosts_file_that_something_else_hides_is_left_to_a_person() -> None:
    with pytest.raises(CannotPlan, match="another source is asked before"):
        planned(NODES, broken("10.0.0.2 registry.local\n", "10.0.0.9"), healthy()[0], NODE)


@pytest.mark.parametrize("check", [HOSTS, NODES])
def test_without_an_expected_address_none_is_made_up(check: str) -> None:
    unknown = site(registry={"host": HOST, "ca_file": "ca.crt"})
    text = {HOSTS: "10.0.0.9 registry.local\n10.0.0.2 registry.local\n", NODES: ""}[check]
    with pytest.raises(CannotPlan, match="which address"):
        planned(check, broken(text), unknown, NODE)


def test_an_image_root_gets_the_same_block() -> None:
    facts: Any = with_facts(broken("127.0.0.1 localhost\n"), NODE, running=False, resolver={})
    facts = with_facts(facts, "dns", resolvers={})
    assert repaired(NODES, facts, "127.0.0.1 localhost\n").endswith(BLOCK)


def test_files_that_were_not_read_are_not_written() -> None:
    finding = Finding(problem="x")
    known = healthy()[0]
    for path, plan in (("/etc/hosts", plan_one_entry), ("/etc/nsswitch.conf", plan_name_on_node)):
        facts = with_file(broken(""), NODE, path, Unreadable("permission denied"))
        view: Any = View(SubjectId(NODE), facts, known, now=NOW)
        with pytest.raises(CannotPlan, match="permission denied"):
            list(plan(finding, view))
