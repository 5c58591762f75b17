from collections.abc import Callable, Iterator
from datetime import date
from typing import Any

import pytest
from support.certs import NOW
from support.healthy import healthy, site

from gapcheck.engine import Evaluation
from gapcheck.errors import CatalogueError, NotApplicable, Unmeasured
from gapcheck.model import (
    Cause,
    CheckId,
    Evidence,
    Finding,
    Risk,
    Scope,
    Severity,
    Status,
    SubjectId,
)
from gapcheck.registry import Check, Remedy, Source, make_catalogue

Judge = Callable[[Any], Iterator[Finding | Evidence]]
BAD = Finding(problem="it is broken", locus="/etc/thing")


def make(name: str, judge: Judge, scope: Scope = Scope.NODE, **given: Any) -> Check:
    defaults: dict[str, Any] = {
        "title": name, "doc": name, "severity": Severity.MAJOR, "after": (),
        "source": Source(step=1), "manual": "by hand", "file": "f", "line": 1,
    }  # fmt: skip
    return Check(id=CheckId(name), judge=judge, scope=scope, **{**defaults, **given})


def passes(view: Any) -> Iterator[Finding | Evidence]:
    del view
    yield Evidence("seen", "all well")


def fails(view: Any) -> Iterator[Finding | Evidence]:
    del view
    yield BAD


def unmeasured(view: Any) -> Iterator[Finding | Evidence]:
    raise Unmeasured("the store", "permission denied", view.subject)
    yield BAD


def irrelevant(view: Any) -> Iterator[Finding | Evidence]:
    del view
    raise NotApplicable("no such thing here")
    yield BAD


def crashes(view: Any) -> Iterator[Finding | Evidence]:
    yield Evidence("share", str(1 / (len(view.subject) - len(view.subject))))


def on(*subjects: str) -> Judge:
    """A check that fails on `subjects` only."""

    def judge(view: Any) -> Iterator[Finding | Evidence]:
        if view.subject in subjects:
            yield BAD

    return judge


def evaluation(*checks: Check, **site_keys: Any) -> Evaluation:
    _, facts = healthy()
    return Evaluation(site(**site_keys), facts, make_catalogue(checks, ()), now=NOW)


def status(of: Evaluation, check: str, subject: str = "node/debian") -> Status:
    return of.verdict(CheckId(check), SubjectId(subject)).status


@pytest.mark.parametrize(
    ("judge", "expected"),
    [
        (passes, Status.PASS),
        (fails, Status.FAIL),
        (unmeasured, Status.ERROR),
        (irrelevant, Status.NOT_APPLICABLE),
        (crashes, Status.ERROR),
    ],
)
def test_outcome_of_a_judge_becomes_the_status(judge: Judge, expected: Status) -> None:
    assert status(evaluation(make("NODE-A-001", judge)), "NODE-A-001") is expected


def test_minor_finding_only_warns() -> None:
    check = make("NODE-A-001", fails, severity=Severity.MINOR)
    assert status(evaluation(check), "NODE-A-001") is Status.WARN


def test_a_finding_before_an_unmeasured_fact_still_fails() -> None:
    def judge(view: Any) -> Iterator[Finding | Evidence]:
        yield BAD
        raise Unmeasured("the rest", "timeout", view.subject)

    verdict = evaluation(make("NODE-A-001", judge)).verdict(
        CheckId("NODE-A-001"), SubjectId("node/debian")
    )
    assert (verdict.status, verdict.findings) == (Status.FAIL, (BAD,))
    assert "timeout" in verdict.reason


def test_an_info_finding_before_an_unmeasured_fact_is_an_error() -> None:
    def judge(view: Any) -> Iterator[Finding | Evidence]:
        yield Finding(problem="small", severity=Severity.INFO)
        raise Unmeasured("the rest", "timeout", view.subject)

    assert status(evaluation(make("NODE-A-001", judge)), "NODE-A-001") is Status.ERROR


@pytest.mark.parametrize("root", [fails, unmeasured, crashes])
def test_failed_or_unmeasured_prerequisite_blocks_and_is_named(root: Judge) -> None:
    of = evaluation(
        make("NODE-A-001", root),
        make("NODE-B-001", passes, after=(CheckId("NODE-A-001"),)),
        make("NODE-C-001", passes, after=(CheckId("NODE-B-001"),)),
    )
    last = of.verdict(CheckId("NODE-C-001"), SubjectId("node/debian"))
    assert last.status is Status.BLOCKED
    assert last.root_causes == (Cause(CheckId("NODE-A-001"), SubjectId("node/debian")),)


@pytest.mark.parametrize("root", [passes, irrelevant])
def test_other_prerequisites_do_not_block(root: Judge) -> None:
    of = evaluation(
        make("NODE-A-001", root), make("NODE-B-001", passes, after=(CheckId("NODE-A-001"),))
    )
    assert status(of, "NODE-B-001") is Status.PASS


def test_a_check_over_many_is_blocked_only_when_all_are_bad() -> None:
    def run(*bad: str) -> Any:
        of = evaluation(
            make("NODE-A-001", on(*bad)),
            make("NODE-SET-001", passes, Scope.NODES, after=(CheckId("NODE-A-001"),)),
        )
        return of.verdict(CheckId("NODE-SET-001"), SubjectId("nodes"))

    partly = run("node/rhel")
    assert (partly.status, partly.reason) == (Status.PASS, "not judged: node/rhel")
    assert run("node/rhel", "node/debian").status is Status.BLOCKED


def test_peers_that_are_blocked_are_not_shown_to_a_check_over_many() -> None:
    seen: list[str] = []

    def judge(view: Any) -> Iterator[Finding | Evidence]:
        seen.extend(view.peers)
        yield Evidence("peers", str(len(view.peers)))

    of = evaluation(
        make("NODE-A-001", on("node/rhel")),
        make("NODE-SET-001", judge, Scope.NODES, after=(CheckId("NODE-A-001"),)),
    )
    of.verdict(CheckId("NODE-SET-001"), SubjectId("nodes"))
    assert seen == ["node/debian"]


def test_a_finding_points_at_the_failing_check_behind_it() -> None:
    def judge(view: Any) -> Iterator[Finding | Evidence]:
        del view
        yield Finding(problem="handshake fails", because=(CheckId("REG-B-001"),))

    def run(of_root: Judge) -> tuple[Cause, ...]:
        of = evaluation(
            make("REG-A-001", judge, Scope.REGISTRY), make("REG-B-001", of_root, Scope.REGISTRY)
        )
        return of.verdict(CheckId("REG-A-001"), SubjectId("registry")).root_causes

    assert run(fails) == (Cause(CheckId("REG-B-001"), SubjectId("registry")),)
    assert run(passes) == ()


def test_a_finding_that_points_at_a_check_waiting_for_it_has_no_root() -> None:
    def judge(view: Any) -> Iterator[Finding | Evidence]:
        del view
        yield Finding(problem="handshake fails", because=(CheckId("REG-B-001"),))

    of = evaluation(
        make("REG-A-001", judge, Scope.REGISTRY),
        make("REG-B-001", fails, Scope.REGISTRY, after=(CheckId("REG-A-001"),)),
    )
    waiting = of.verdict(CheckId("REG-B-001"), SubjectId("registry"))
    assert waiting.root_causes == (Cause(CheckId("REG-A-001"), SubjectId("registry")),)
    assert of.verdict(CheckId("REG-A-001"), SubjectId("registry")).root_causes == ()


WAIVER = {"check": "NODE-A-001", "reason": "known", "until": NOW.date()}


def test_waiver_counts_on_its_last_day_and_not_after() -> None:
    check = make("NODE-A-001", fails)
    assert status(evaluation(check, waivers=[WAIVER]), "NODE-A-001") is Status.WAIVED
    expired = {**WAIVER, "until": date(NOW.year, NOW.month, NOW.day - 1)}
    assert status(evaluation(check, waivers=[expired]), "NODE-A-001") is Status.FAIL


@pytest.mark.parametrize(
    ("narrow", "expected"),
    [
        ({"subject": "node/deb*"}, Status.WAIVED),
        ({"subject": "node/rhel"}, Status.FAIL),
        ({"locus": "/etc/*"}, Status.WAIVED),
        ({"locus": "/usr/*"}, Status.FAIL),
    ],
)
def test_waiver_reaches_only_what_it_names(narrow: dict[str, str], expected: Status) -> None:
    of = evaluation(make("NODE-A-001", fails), waivers=[{**WAIVER, **narrow}])
    assert status(of, "NODE-A-001") is expected


def test_waived_prerequisite_does_not_block() -> None:
    of = evaluation(
        make("NODE-A-001", fails),
        make("NODE-B-001", passes, after=(CheckId("NODE-A-001"),)),
        waivers=[WAIVER],
    )
    assert status(of, "NODE-B-001") is Status.PASS


def test_each_verdict_is_judged_once() -> None:
    judged: list[str] = []

    def judge(view: Any) -> Iterator[Finding | Evidence]:
        judged.append(view.subject)
        yield Evidence("seen", "once")

    of = evaluation(
        make("NODE-A-001", judge), make("NODE-B-001", passes, after=(CheckId("NODE-A-001"),))
    )
    list(of.all())
    list(of.all())
    assert judged == ["node/debian", "node/rhel"]


@pytest.mark.parametrize(
    ("checks", "why"),
    [
        ([make("NODE-A-001", passes, after=(CheckId("NODE-B-001"),))], "does not exist"),
        ([make("NODE-A-001", passes, after=(CheckId("NODE-A-001"),))], "depends on itself"),
        ([make("NODE-A-001", passes, manual="")], "exactly one of"),
        ([make("NODE-A-001", passes, doc="", title="")], "docstring"),
        ([make("ODD-A-001", passes)], "family"),
        (
            [
                make("REG-A-001", passes, Scope.REGISTRY, after=(CheckId("NODE-A-001"),)),
                make("NODE-A-001", passes),
            ],
            "not related",
        ),
    ],
)
def test_a_catalogue_that_contradicts_itself_is_refused(checks: list[Check], why: str) -> None:
    with pytest.raises(CatalogueError, match=why):
        make_catalogue(checks, ())


def test_a_remedy_of_no_check_is_refused() -> None:
    lost = Remedy(repairs=CheckId("NODE-Z-001"), risk=Risk.SAFE, doc="", plan=lambda *_: ())
    with pytest.raises(CatalogueError, match="does not exist"):
        make_catalogue([], [lost])
