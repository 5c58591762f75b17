import base64
import hashlib
import io
import json
from datetime import timedelta
from typing import Any

import msgspec
import pytest
from lxml import html as parser
from support.browser import page_text
from support.certs import NOW
from support.large_sites import distinct, three_roots
from support.records import SAN, every_status, finding, run_info, verdict

from gapcheck.drift import Drift, FactChange, Item, Moment, Why
from gapcheck.exits import Exit
from gapcheck.model import Cause, CheckId, Evidence, Gap, Severity, Status, SubjectId, Verdict
from gapcheck.record import CertificateLife, ChangeResult, PastRun, Record, Round
from gapcheck.remediations.plan import Plan, PlannedChange, RemoveFile, Unplanned
from gapcheck.reports import html


def read(record: Record) -> Any:
    return parser.fromstring(page_text(record))


def text(element: Any) -> str:
    return " ".join(element.text_content().split())


def of(*verdicts: Verdict, **given: Any) -> Record:
    return Record(verdicts=verdicts, **{"run": run_info(exit=0), **given})


def heading(record: Record) -> str:
    return text(read(record).xpath("//h1/span[last()]")[0])


def test_sentence_names_the_root_cause_and_what_it_holds_up() -> None:
    page = read(every_status())
    assert heading(every_status()) == (
        "Not readyregistry: the served certificate names no host at all"
    )
    lead = text(page.xpath("//header/p[@class='lead']")[0])
    assert lead == (
        "Root cause: CERT-SAN-001, critical."
        " It stands behind 2 other verdicts: 1 failed, 1 blocked. Not everything could be measured."
    )
    assert page.xpath("//header/p[@class='lead']/a/@href") == ["#CERT-SAN-001"]
    assert "exit 1: a check failed" in text(page.xpath("//header")[0])


def test_root_of_the_sentence_is_the_first_that_every_report_names() -> None:
    record = three_roots(60)
    first = record.roots()[0].check
    assert read(record).xpath("//header/p[@class='lead']/a/text()") == [first]


def test_what_could_not_be_measured_is_undecided_and_never_ready() -> None:
    error = verdict("NODE-CLOCK-001", "node/n1", Status.ERROR, reason="no date")
    passed = verdict("NODE-CLOCK-001", "node/n2", Status.PASS)
    said = heading(of(error, passed, run=run_info(exit=6)))
    assert said == "Undecided, as not everything could be measurednode/n1: no date"
    gap = Gap(subject=SubjectId("node/n1"), stage="connect", reason="refused")
    assert heading(of(passed, gaps=(gap,), run=run_info(exit=6))).startswith("Undecided")
    blocked = verdict("RUN-TLS-001", "node/n2", Status.BLOCKED, reason="blocked")
    assert heading(of(passed, blocked, run=run_info(exit=6))).startswith("Undecided")


def test_failure_behind_what_was_not_measured_is_a_failure_and_no_root_cause() -> None:
    error = verdict("CERT-SAN-001", "registry", Status.ERROR, reason="no answer")
    failed = verdict(
        "REG-TLS-001", "registry", Status.FAIL, root_causes=(SAN,),
        findings=(finding("a Go client refuses"),),
    )  # fmt: skip
    page = read(of(error, failed, run=run_info(exit=1)))
    assert text(page.xpath("//h1/span[last()]")[0]) == "Not readyregistry: a Go client refuses"
    assert text(page.xpath("//header/p[@class='lead']")[0]).startswith("Failed: REG-TLS-001")


def test_green_run_claims_no_more_than_it_judged() -> None:
    passed = verdict("NODE-CLOCK-001", "node/n1", Status.PASS)
    skipped = verdict("REG-RUN-001", "registry", Status.NOT_APPLICABLE, reason="none named")
    assert heading(of(passed, skipped)) == "Readynothing fails in the 1 check that this run judged"
    assert heading(of(skipped, run=run_info(exit=5))) == "Nothing was checked"


@pytest.mark.parametrize(
    ("code", "said"),
    [
        (Exit.FAILED, "Not accepted: warnings fail this run"),
        (Exit.REPAIR, "Ready, but a repair failed, was refused or was rolled back"),
        (Exit.DRIFT, "Ready, but the site differs from an earlier run"),
    ],
)
def test_exit_that_is_no_success_is_not_shown_as_green(code: Exit, said: str) -> None:
    warned = verdict("NODE-TRUST-006", "node/n1", Status.WARN, findings=(finding("curl refuses"),))
    page = read(of(warned, run=run_info(exit=code)))
    assert text(page.xpath("//h1//strong")[0]).startswith(said)
    assert page.xpath("//header/@class") == ["top warn"]


def test_chain_shows_every_station_and_breaks_behind_the_root_cause() -> None:
    page = read(every_status())
    labels = page.xpath("//svg[contains(@class, 'level')]/a/@aria-label")
    assert [label.partition(":")[0] for label in labels] == [
        "certificate", "registry", "node trust", "runtime", "image pull", "pod DNS", "secret",
        "release",
    ]  # fmt: skip
    assert labels[0] == "certificate: 1 failed, 1 waived; 1 root cause"
    assert labels[3] == "runtime: not judged"
    joins = page.xpath("//svg[contains(@class, 'level')]/g/@class")
    assert joins == ["join broken", "join whole", "join unknown", *["join whole"] * 4]


def test_link_in_front_of_a_broken_last_station_is_the_one_marked() -> None:
    failed = verdict("REL-IMAGE-001", "release", Status.FAIL, findings=(finding("no image"),))
    joins = read(of(failed)).xpath("//svg[contains(@class, 'upright')]/g/@class")
    assert joins == [*["join whole"] * 6, "join broken"]


def test_station_counts_a_check_that_fails_of_many_nodes_as_one_root_cause() -> None:
    many = [
        verdict("NODE-TRUST-001", f"node/n{n}", Status.FAIL, findings=(finding("no CA"),))
        for n in range(9)
    ]
    labels = read(of(*many)).xpath("//svg[contains(@class, 'level')]/a/@aria-label")
    assert labels[2] == "node trust: 9 failed; 1 root cause"


def test_every_link_leads_to_something_in_the_page() -> None:
    page = read(three_roots(60))
    ids = page.xpath("//@id")
    assert len(ids) == len(set(ids))
    assert {each[1:] for each in page.xpath("//@href")} <= set(ids)


def test_finding_tells_where_evidence_consequence_remedy_and_what_it_requires() -> None:
    card = text(read(every_status()).get_element_by_id("CERT-SAN-001"))
    for part in (
        "registry: the served certificate names no host at all",
        "subject: CN=registry.local (handshake)",
        "x509: certificate relies on legacy Common Name field",
        "reissue it",
        "gapcheck fix --site site.yaml --select CERT-SAN-001 (risk: restart)",
        "stands behind 2 verdicts of 2 checks",
        "gapcheck explain CERT-SAN-001",
        "C01",
    ):
        assert part in card


def test_findings_that_differ_from_node_to_node_are_one_card_and_all_told() -> None:
    full = [
        verdict("NODE-SPACE-001", f"node/n{n}", Status.FAIL, findings=(finding(f"{n} MB free"),))
        for n in range(30)
    ]
    card = text(read(of(*full)).get_element_by_id("NODE-SPACE-001"))
    assert "30 nodes (n0, n1, n2, n3, ...)" in card
    assert "19 MB free" in card
    assert "10 other wordings; the JSON report holds them" in card


def test_waiver_and_reason_of_not_applicable_are_told() -> None:
    page = read(every_status())
    assert "known (until 2026-12-31, ops)" in text(page.get_element_by_id("CERT-CA-001"))
    assert "no container named" in text(page.get_element_by_id("check.REG-RUN-001"))


def test_gap_is_told_once_with_the_checks_that_miss_it() -> None:
    errors = [
        verdict(check, "node/n1", Status.ERROR, reason="its files: refused")
        for check in ("NODE-TRUST-001", "NODE-TRUST-002")
    ]
    gap = Gap(subject=SubjectId("node/n1"), stage="connect", reason="refused")
    page = read(of(*errors, gaps=(gap,), run=run_info(exit=6)))
    cards = page.xpath("//article")
    assert len(cards) == 1
    assert cards[0].get("data-checks") == "NODE-TRUST-001 NODE-TRUST-002"
    assert "node/n1: refused" in text(cards[0])


def test_equal_nodes_are_one_row_and_cells_say_their_status_in_words() -> None:
    verdicts = [
        verdict("NODE-CLOCK-001", f"node/n{n}", Status.FAIL if n == 3 else Status.PASS,
                findings=(finding("late"),) if n == 3 else ())
        for n in range(9)
    ]  # fmt: skip
    rows = read(of(*verdicts)).xpath("//table[@id='matrix']/tbody/tr")
    assert [text(row.xpath("th")[0]) for row in rows] == [
        "n3", "8 nodes: n0, n1, ...n0, n1, n2, n4, n5, n6, n7, n8",
    ]  # fmt: skip
    assert [text(row.xpath("td")[0]) for row in rows] == ["failed", "passed"]
    assert rows[0].xpath("td/a/@href") == ["#NODE-CLOCK-001"]


def test_node_that_a_check_was_not_judged_of_is_not_shown_as_passed() -> None:
    page = read(of(
        verdict("NODE-CLOCK-001", "node/n1", Status.PASS),
        verdict("NODE-TRUST-001", "node/n2", Status.PASS),
    ))  # fmt: skip
    cells = page.xpath("//table[@id='matrix']/tbody/tr/td")
    assert sorted(map(text, cells)) == ["not judged", "not judged", "passed", "passed"]


def test_certificates_say_when_they_expire_in_words() -> None:
    lives = tuple(
        CertificateLife(
            sha256=str(days), name=f"CN={days}", subject=SubjectId("registry"), where="served",
            not_before=NOW + timedelta(days=starts), not_after=NOW + timedelta(days=days),
        )
        for starts, days in ((-90, -3), (-90, 1), (-90, 12), (2, 300), (-90, 400))
    )  # fmt: skip
    rows = read(of(verdict("X-Y-001", "site", Status.PASS), certificates=lives)).xpath(
        "//table[@class='lives']/tbody/tr"
    )
    assert [(row.get("class"), text(row.xpath("td//span[@class='left']")[0])) for row in rows] == [
        ("expired", "\u2717 expired 3 days ago"),
        ("soon", "! 24 hours left"),
        ("soon", "! 12 days left"),
        ("early", "! valid only in 2 days"),
        ("good", "400 days left"),
    ]


def moment(run: str) -> Moment:
    return Moment(run=run, at=NOW, version="0.0")


def test_drift_is_told_with_its_cause_and_since_when() -> None:
    item = Item(
        check=CheckId("NODE-TRUST-001"), subject=SubjectId("node/n1"), kind="new",
        severity=Severity.CRITICAL, was="pass", now="fail", said="no CA", since=NOW,
        causes=(Why(kind="fact", text="/etc/hosts", subject="node/n1", before="a", after="b"),),
    )  # fmt: skip
    drift = Drift(
        before=moment("OLD"), after=moment("NEW"), counts=dict.fromkeys(
            ("new", "facts", "resolved", "changed", "still_bad", "incomparable", "unchanged",
             "joined", "left"), 0) | {"new": 1, "facts": 1, "joined": 1},
        items=(item,), joined=("node/n9",),
        facts=(FactChange(fact="/etc/hosts", before="a", after="b", subjects=("node/n1",)),),
    )  # fmt: skip
    page = read(of(verdict("X-Y-001", "site", Status.PASS), drift=drift))
    said = text(page.get_element_by_id("since"))
    for part in ("drift: 1 new", "run OLD", "NODE-TRUST-001 node/n1: pass \u2192 fail: no CA",
                 "since 2026", "/etc/hosts of node/n1: a -> b", "joined: node/n9"):  # fmt: skip
        assert part in said
    assert "Not compared" not in said


def test_trend_ends_with_this_run_and_says_its_numbers() -> None:
    past = tuple(
        PastRun(run=f"P{n}", began=NOW - timedelta(days=9 - n), exit=1, counts={"fail": n})
        for n in range(1, 4)
    )
    said = text(
        read(msgspec.structs.replace(every_status(), trend=past)).get_element_by_id("since")
    )
    assert "The last 4 runs" in said
    assert "Now: 2 failed, 2 not measured or blocked, 1 warned; before: 3, 0, 0." in said


def rounds(*, done: bool) -> Record:
    change = RemoveFile(target=SubjectId("node/n1"), path="/etc/stale.crt", before_sha256="0")
    planned = PlannedChange(
        id="RemoveFile-1", change=change, stage=99, causes=(SAN,),
        diff="--- /etc/stale.crt\n+++ /dev/null\n@@ -1 +0,0 @@\n-old\n",
    )  # fmt: skip
    left = Unplanned(cause=Cause(CheckId("REG-NET-001"), SubjectId("registry")), why="by hand")
    results = (
        ChangeResult(id="RemoveFile-1", target=change.target, state="failed", detail="full"),
    )
    plan = Plan(round=1, changes=(planned,), unplanned=(left,))
    return msgspec.structs.replace(
        every_status(), rounds=(Round(plan=plan, results=results if done else ()),),
        run=run_info(fix=done),
    )  # fmt: skip


def test_plan_is_shown_as_a_diff_that_a_finding_leads_to() -> None:
    page = read(rounds(done=False))
    repair = page.get_element_by_id("repair")
    assert text(repair.xpath("h2")[0]) == "What a repair would change"
    assert [text(each) for each in repair.xpath(".//del")] == ["-old"]
    assert not repair.xpath(".//ins")
    assert "not planned registry: REG-NET-001: by hand" in text(repair)
    card = page.get_element_by_id("CERT-SAN-001")
    assert "#change.1.RemoveFile-1" in card.xpath(".//@href")


def test_repair_tells_what_became_of_each_change() -> None:
    repair = text(read(rounds(done=True)).get_element_by_id("repair"))
    assert "What the repair did" in repair
    assert "remove file /etc/stale.crt on node/n1" in repair
    assert "failed" in repair
    assert "full" in repair


HOSTILE = (
    "</script><script>alert(1)</script><img src=x onerror=alert(1)>\u202egnp\u2066\u200f\x1b[2J"
)


def hostile() -> Record:
    failed = verdict(
        "NODE-TRUST-001", f"node/{HOSTILE}", Status.FAIL,
        findings=(finding(HOSTILE, evidence=(Evidence(HOSTILE, "A" * 1_000_000, HOSTILE),),
                          consequence=HOSTILE, locus=HOSTILE, remedy_hint=HOSTILE),),
    )  # fmt: skip
    gap = Gap(subject=SubjectId(HOSTILE), stage=HOSTILE, reason=HOSTILE)
    return of(failed, gaps=(gap,), notes=(HOSTILE,), run=run_info(site=HOSTILE))


def test_what_targets_say_is_text_and_nothing_else() -> None:
    whole = page_text(hostile())
    page = parser.fromstring(whole)
    assert len(page.xpath("//script")) == 2
    assert not page.xpath("//img | //@onerror")
    assert not set(whole) & set("\u202e\u2066\u200f\x1b")
    assert json.loads(page.get_element_by_id("data").text)["groups"][0][1].startswith("</script>")


def test_huge_evidence_is_cut_and_says_so() -> None:
    whole = page_text(hostile())
    assert len(whole) < 200_000
    assert "characters more)" in whole


def test_policy_lets_nothing_in_but_the_page_s_own_style_and_script() -> None:
    page = read(every_status())
    policy = page.xpath("//meta[@http-equiv='Content-Security-Policy']/@content")[0]
    assert policy.startswith("default-src 'none';")
    for tag, directive in (("style", "style-src"), ("script", "script-src")):
        own = page.xpath(f"//{tag}")[-1].text.encode()
        digest = base64.b64encode(hashlib.sha256(own).digest()).decode()
        assert f"{directive} 'sha256-{digest}'" in policy
    assert not page.xpath("//@style | //@src | //link | //*[starts-with(name(), 'on')]")


def test_equal_facts_give_equal_bytes_but_for_the_run() -> None:
    other = msgspec.structs.replace(every_status(), run=run_info(id="R2"))
    assert page_text(other) == page_text(every_status()).replace(
        "<code>R1</code>", "<code>R2</code>"
    )


def test_ten_thousand_unlike_nodes_of_forty_checks_stay_small_and_are_all_in_it() -> None:
    out = Counted()
    html.write(distinct(10_000, 40), out)
    assert out.size < 15_000_000
    assert out.longest < 1_000_000  # in pieces
    page = parser.fromstring(out.getvalue())
    data = json.loads(page.get_element_by_id("data").text)
    assert sum(len(names.split("\n")) for _, names in data["groups"]) == 10_000
    assert len(page.xpath("//table[@id='matrix']/tbody/tr")) == 200
    assert "9,800" in text(page.get_element_by_id("more-rows"))


class Counted(io.StringIO):
    """A file that knows its size and its longest piece."""

    size = 0
    longest = 0

    def write(self, text: str, /) -> int:
        self.size += len(text.encode())
        self.longest = max(self.longest, len(text))
        return super().write(text)
