import io

import msgspec
from support.records import every_status, finding, run_info, verdict

from gapcheck.model import Cause, CheckId, Gap, Status, SubjectId
from gapcheck.record import Record
from gapcheck.reports import terminal


def text(record: Record, **given: bool) -> str:
    out = io.StringIO()
    terminal.write(record, out, **given)
    return out.getvalue()


def test_root_cause_comes_first_with_evidence_consequence_and_remedy() -> None:
    said = text(every_status())
    block = said[said.index("1 root cause") : said.index("consequences of the above")]
    for part in (
        "CERT-SAN-001 critical  registry: the served certificate names no host at all",
        "evidence     subject: CN=registry.local (handshake)",
        "consequence  x509: certificate relies on legacy Common Name field",
        "remedy       gapcheck fix --site site.yaml --select CERT-SAN-001   (risk: restart)",
        "source       guide step 1, C01; more: gapcheck explain CERT-SAN-001",
        "explains     1 failed (REG-TLS-001), 1 not judged",
    ):
        assert part in block


def test_consequence_names_its_root() -> None:
    said = text(every_status())
    assert "REG-TLS-001  registry: a Go client refuses the registry (because of CERT-SAN" in said
    assert "1 check not judged, behind CERT-SAN-001::registry" in said


def test_unmeasured_is_told_apart_from_failed() -> None:
    said = text(every_status())
    assert "not measured, so neither passed nor failed" in said
    assert "NODE-CLOCK-001  node/n1: the clock could not be read" in said
    assert "node/n1  clock: no date" in said


def test_last_line_counts_and_names_the_exit_code() -> None:
    last = text(every_status()).splitlines()[-1]
    assert last == (
        "2 fail, 1 error, 1 blocked, 1 warn, 1 waived, 1 pass, 1 not applicable   exit 1"
    )


def test_passes_are_shown_only_when_asked_for() -> None:
    assert "connected: 10.0.0.2:443" not in text(every_status())
    assert "connected: 10.0.0.2:443" in text(every_status(), verbose=True)


def test_equal_findings_of_many_nodes_are_one_line_with_examples() -> None:
    verdicts = tuple(
        verdict("NODE-TRUST-001", f"node/n{n}", Status.FAIL, findings=(finding("no CA"),))
        for n in range(300)
    )
    said = text(Record(run=run_info(), verdicts=verdicts))
    assert "NODE-TRUST-001 critical  300 nodes (n0, n1, n2, n3, ...): no CA" in said
    assert said.count("no CA") == 1
    assert "1 root cause\n" in said


def test_nothing_but_text_without_a_terminal_and_colour_on_one() -> None:
    plain = text(every_status())
    coloured = text(every_status(), colour=True)
    assert "\x1b[" not in plain.replace("\x1b[31m]]", "")
    assert "\x1b[1;31m" in coloured


def test_control_characters_of_a_target_do_not_reach_the_terminal() -> None:
    assert "\x1b" not in text(every_status())
    assert "\x00" not in text(every_status())


def test_repaired_verdicts_are_counted() -> None:
    fixed = msgspec.structs.replace(every_status().verdicts[6], fixed=True)
    assert "1 verdict repaired" in text(Record(run=run_info(exit=0), verdicts=(fixed,)))


def test_record_without_verdicts_says_that_nothing_was_checked() -> None:
    assert text(Record(run=run_info(exit=5), verdicts=())).endswith(
        "nothing was checked   exit 5\n"
    )


def test_roots_are_ranked_by_severity() -> None:
    record = every_status()
    assert record.roots()[0] == Cause(CheckId("CERT-SAN-001"), SubjectId("registry"))


def test_gap_is_said_once_with_the_number_of_checks_it_takes_away() -> None:
    nodes = [SubjectId(f"node/n{number}") for number in range(3)]
    gaps = tuple(Gap(subject=node, stage="connect", reason="no answer") for node in nodes)
    lost = tuple(
        verdict(check, node, Status.ERROR, reason=f"anything of {node}: no answer")
        for node in nodes
        for check in ("NODE-CLOCK-001", "NODE-TRUST-001")
    )
    own = verdict("NODE-SPACE-001", "node/n9", Status.ERROR, reason="df is not there")
    said = text(Record(run=run_info(), verdicts=(*lost, own), gaps=gaps))
    assert "  3 nodes (n0, n1, n2)  connect: no answer (6 checks not judged)\n" in said
    assert "  NODE-SPACE-001  node/n9: df is not there\n" in said
    assert said.count("no answer") == 1
