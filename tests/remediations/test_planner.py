"""A plan holds what repairs the failures, once each, in an order that breaks nothing."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.certs import NOW
from support.healthy import file_fact, healthy, with_facts

from gapcheck.engine import Evaluation
from gapcheck.errors import CannotPlan
from gapcheck.fixtures.fact_set import FactSet
from gapcheck.fixtures.facts import Present, UnitFact
from gapcheck.fixtures.kube_facts import PodFact
from gapcheck.model import (
    CLUSTER,
    REGISTRY,
    SITE,
    CheckId,
    Finding,
    Risk,
    Scope,
    Severity,
    SubjectId,
)
from gapcheck.registry import Check, Remedy, Source, catalogue, make_catalogue
from gapcheck.remediations.edits import apply_edit
from gapcheck.remediations.merge import Draft, merged
from gapcheck.remediations.plan import (
    Change,
    EditBlock,
    EditToml,
    EditYaml,
    IssueCertificate,
    KeyEdit,
    LineEdit,
    Literal,
    Output,
    PatchObject,
    Plan,
    ReadFile,
    RefreshTrustStore,
    RestartUnit,
    SetMode,
    Stage,
    SwitchCertificate,
    UpgradeRelease,
    WriteFile,
)
from gapcheck.remediations.planner import Wanted, build_plan, measured_file, stage_of

NODE = SubjectId("node/debian")
CONFIG = "/etc/containerd/config.toml"


class Fake:
    """A catalogue of checks that fail with what a test plans for them."""

    def __init__(self) -> None:
        self.checks: list[Check] = []
        self.remedies: list[Remedy] = []

    def failing(
        self,
        check_id: str,
        *changes: Change,
        severity: Severity = Severity.MAJOR,
        risk: Risk = Risk.RESTART,
        because: tuple[str, ...] = (),
        cannot: str = "",
    ) -> None:
        def judge(_: Any) -> Iterator[Finding]:
            yield Finding(problem="p", because=tuple(map(CheckId, because)))

        def plan(*_: Any) -> Iterator[Change]:
            if cannot:
                raise CannotPlan(cannot)
            yield from changes

        known = CheckId(check_id)
        manual = "" if changes or cannot else "a person does it"
        self.checks.append(
            Check(
                id=known, title=check_id, doc=check_id, scope=Scope.NODE, severity=severity,
                after=(), source=Source(step=1), manual=manual, judge=judge, file=check_id, line=1,
            )
        )  # fmt: skip
        if not manual:
            self.remedies.append(Remedy(repairs=known, risk=risk, doc="d", plan=plan))

    def plan(self, facts: FactSet | None = None, **wanted: Any) -> Plan:
        site, measured = healthy()
        catalogue = make_catalogue(self.checks, self.remedies)
        evaluation = Evaluation(site, facts or measured, catalogue, now=NOW)
        return build_plan(evaluation, round=1, wanted=Wanted(targets=("debian",), **wanted))


def toml(keys: str, value: Any = 1, before: str = "0") -> EditToml:
    edits = (KeyEdit(op="set", keys=tuple(keys.split(".")), value=value),)
    return EditToml(target=NODE, path="/etc/x.toml", before_sha256=before, edits=edits)


def write(path: str, content: bytes = b"x", **more: Any) -> WriteFile:
    return WriteFile(target=NODE, path=path, before_sha256=None, content=Literal(content), **more)


RESTART = RestartUnit(target=NODE, unit="containerd.service")


@pytest.mark.parametrize(
    ("state", "down"),
    [("active", False), ("reloading", False), ("activating", True), ("failed", True)],
)
def test_a_restart_knows_whether_its_unit_ran_when_it_was_measured(state: str, down: bool) -> None:
    fake = Fake()
    fake.failing("NODE-A-001", RESTART)
    unit = UnitFact(name=RESTART.unit, load_state="loaded", active_state=state)
    facts = with_facts(healthy()[1], "node/debian", units={RESTART.unit: Present(value=unit)})
    (planned,) = fake.plan(facts).changes
    assert planned.was_down is down


def whys(plan: Plan) -> dict[str, str]:
    return {each.cause.check: each.why for each in plan.unplanned}


def test_equal_changes_are_one_and_know_all_their_causes() -> None:
    fake = Fake()
    fake.failing("NODE-A-001", write("/etc/a"), RESTART)
    fake.failing("NODE-B-001", write("/etc/b"), RESTART)

    plan = fake.plan()

    assert [type(each.change).__name__ for each in plan.changes] == [
        "WriteFile", "WriteFile", "RestartUnit",
    ]  # fmt: skip
    assert [each.check for each in plan.changes[-1].causes] == ["NODE-A-001", "NODE-B-001"]
    assert plan.changes[-1].id == RESTART.id


def test_edits_of_one_file_are_one_change() -> None:
    site, facts = healthy()
    measured = measured_file(facts, NODE, CONFIG)
    assert measured is not None
    changes = [
        msgspec.structs.replace(toml(keys), path=CONFIG, before_sha256=measured.sha256)
        for keys in ("a.b", "a.c")
    ]
    fake = Fake()
    fake.failing("RUN-A-001", changes[0])
    fake.failing("RUN-B-001", changes[1])

    (planned,) = fake.plan(facts).changes

    assert [each.keys for each in planned.change.edits] == [("a", "b"), ("a", "c")]  # type: ignore[union-attr] # an EditToml
    assert "+[a]" in planned.diff
    assert "+b = 1" in planned.diff
    assert "+c = 1" in planned.diff
    assert site.registry.host


def test_contradicting_edits_are_both_left_out_and_say_why() -> None:
    fake = Fake()
    fake.failing("RUN-A-001", toml("a.b", 1))
    fake.failing("RUN-B-001", toml("a.b", 2))
    fake.failing("RUN-C-001", write("/etc/c"))

    plan = fake.plan()

    assert [each.change for each in plan.changes] == [write("/etc/c")]
    why = "two remedies contradict each other in /etc/x.toml of node/debian: a.b and a.b overlap"
    assert whys(plan) == {"RUN-A-001": why, "RUN-B-001": why}


@pytest.mark.parametrize(
    ("one", "other", "why"),
    [
        (toml("a", before="1"), toml("b", before="2"), "they saw different contents"),
        (write("/etc/f", b"1"), write("/etc/f", b"2"), "they write different contents"),
        (toml("a.b"), toml("a.b.c"), "a.b and a.b.c overlap"),
        (
            write("/etc/x.toml"),
            SetMode(target=NODE, path="/etc/x.toml", before_sha256=None, mode=1, before_mode=2),
            "one replaces the whole file",
        ),
        (
            toml("a"),
            EditBlock(target=NODE, path="/etc/x.toml", before_sha256="0", marker="m", lines=()),
            "they read it as different formats",
        ),
    ],
    ids=["digest", "contents", "nested", "whole", "format"],
)
def test_what_contradicts_is_found(one: Change, other: Change, why: str) -> None:
    fake = Fake()
    fake.failing("NODE-A-001", one)
    fake.failing("NODE-B-001", other)

    plan = fake.plan()

    assert plan.changes == ()
    assert set(whys(plan)) == {"NODE-A-001", "NODE-B-001"}
    assert why in whys(plan)["NODE-A-001"]


def test_blocks_of_one_marker_are_joined() -> None:
    def hosts(*lines: str, drop: str = "") -> EditBlock:
        edits = (LineEdit(before=drop),) if drop else ()
        return EditBlock(
            target=NODE, path="/h", before_sha256="0", marker="m", lines=lines, line_edits=edits
        )

    def both(one: EditBlock, other: EditBlock) -> tuple[list[Draft], Any]:
        return merged([Draft(change=c, causes=(), risk=Risk.SAFE) for c in (one, other)])

    kept, _ = both(hosts("a"), hosts(drop="x"))
    assert [each.change for each in kept] == [hosts("a", drop="x")]
    kept, left = both(hosts("a"), hosts("b"))
    assert kept == []
    assert left == []


def test_what_is_removed_for_good_goes_before_other_edits_of_its_file() -> None:
    def edit(key: str, *, final: bool) -> EditYaml:
        gone = (KeyEdit(op="delete", keys=("data", key)),)
        return EditYaml(target=NODE, path="/s", before_sha256="0", edits=gone, final=final)

    drafts = [
        Draft(change=edit(key, final=final), causes=(), risk=Risk.SAFE)
        for key, final in (("a", False), ("key", True), ("b", False))
    ]
    kept, _ = merged(drafts)

    assert [getattr(each.change, "final", None) for each in kept] == [True, False]


def test_the_order_is_that_in_which_nothing_breaks() -> None:
    issue = IssueCertificate(
        target=REGISTRY, certificate_path="/c", key_path="/k", names=("r",), addresses=(), days=9,
        issuer_certificate="ca", issuer_key="key", not_before="",
    )  # fmt: skip
    switch = SwitchCertificate(
        target=REGISTRY, issue=issue.id, certificate_path="/c", key_path="/k",
        certificate_before_sha256=None, key_before_sha256=None,
    )  # fmt: skip
    hosts = EditBlock(target=NODE, path="/h", before_sha256=None, marker="m", lines=("a",))
    ca = WriteFile(target=NODE, path="/ca", before_sha256=None, content=Output(issue.id, "ca.crt"))
    refresh = RefreshTrustStore(target=NODE, family="debian")
    registry = RestartUnit(target=REGISTRY, unit="registry.service")
    wanted = [hosts, issue, ca, refresh, toml("a"), RESTART, switch, registry]
    fake = Fake()
    fake.failing("NODE-A-001", *reversed(wanted))

    plan = fake.plan()

    assert [each.change for each in plan.changes] == wanted
    assert "certificate for r, 9 days" in plan.changes[1].note
    assert plan.changes[2].diff.endswith(f"+(ca.crt made by {issue.id})\n")


def test_the_thorough_refresh_includes_the_plain_one() -> None:
    plain, fresh = (RefreshTrustStore(target=NODE, family="debian", fresh=f) for f in (False, True))
    fake = Fake()
    fake.failing("NODE-A-001", plain)
    fake.failing("NODE-B-001", fresh)

    assert [each.change for each in fake.plan().changes] == [fresh]


def test_a_finding_that_costs_more_than_is_allowed_is_left_whole_and_says_so() -> None:
    fake = Fake()
    fake.failing("NODE-A-001", write("/etc/a"), RESTART)
    fake.failing("NODE-B-001", write("/etc/b"))

    plan = fake.plan(max_risk=Risk.SAFE)

    assert [each.change for each in plan.changes] == [write("/etc/b")]
    assert whys(plan) == {"NODE-A-001": "needs --max-risk restart"}
    assert len(fake.plan(max_risk=Risk.RESTART).changes) == 3


def test_a_change_whose_certificate_is_not_made_in_this_plan_waits() -> None:
    late = WriteFile(target=NODE, path="/ca", before_sha256=None, content=Output("X-1", "ca.crt"))
    fake = Fake()
    fake.failing("NODE-A-001", late)

    assert whys(fake.plan()) == {"NODE-A-001": "apply X-1 first"}


def test_what_was_done_in_this_run_is_not_planned_again() -> None:
    fake = Fake()
    fake.failing("NODE-A-001", RESTART)

    plan = fake.plan(done=(RESTART.id,))

    assert plan.changes == ()
    assert "did not help" in whys(plan)["NODE-A-001"]


def test_a_read_only_target_is_said() -> None:
    fake = Fake()
    fake.failing("NODE-A-001", RESTART)

    plan = fake.plan(read_only={NODE: "a backend without files"})

    assert whys(plan) == {"NODE-A-001": "node/debian is read-only: a backend without files"}


def test_what_a_person_must_do_is_said() -> None:
    fake = Fake()
    fake.failing("NODE-A-001", cannot="the key is not there")
    fake.failing("NODE-B-001")

    assert whys(fake.plan()) == {
        "NODE-A-001": "the key is not there",
        "NODE-B-001": "a person does it",
    }


def test_a_warning_is_repaired_only_where_it_is_asked_for() -> None:
    fake = Fake()
    fake.failing("NODE-A-001", write("/etc/a"), severity=Severity.MINOR, risk=Risk.SAFE)

    assert fake.plan().changes == ()
    asked = fake.plan(select=("NODE-A-001",))
    assert [each.change for each in asked.changes] == [write("/etc/a")]


def test_only_what_is_selected_is_planned_and_its_roots_where_asked() -> None:
    fake = Fake()
    fake.failing("NODE-A-001", RESTART, because=("NODE-B-001",))
    fake.failing("NODE-B-001", write("/etc/b"))

    assert [each.change for each in fake.plan(select=("NODE-A",)).changes] == [RESTART]
    with_roots = fake.plan(select=("NODE-A",), with_roots=True)
    assert [each.change for each in with_roots.changes] == [write("/etc/b"), RESTART]


def test_the_diff_is_of_what_was_taken_and_a_redacted_file_shows_no_secret() -> None:
    site, facts = healthy()
    fact, blobs = file_fact("/etc/x.toml", b"a = 1\n", redacted=True)
    node = facts.by_subject[NODE]
    files = {**node.files, "/etc/x.toml": fact}  # type: ignore[union-attr] # a node
    facts = msgspec.structs.replace(
        facts,
        by_subject={**facts.by_subject, NODE: msgspec.structs.replace(node, files=files)},
        blobs={**facts.blobs, **blobs},
    )
    fake = Fake()
    fake.failing("RUN-A-001", toml("b"))
    fake.failing("RUN-B-001", write("/etc/new", b"one\n"))

    plan = fake.plan(facts)

    shown = {getattr(each.change, "path", ""): each.diff for each in plan.changes}
    assert shown["/etc/x.toml"] == (
        "--- /etc/x.toml\n+++ /etc/x.toml\n@@ -1 +1,2 @@\n a = 1\n+b = 1\n"
    )
    assert shown["/etc/new"] == "--- /dev/null\n+++ /etc/new\n@@ -0,0 +1 @@\n+one\n"
    assert site.registry.host


def test_every_kind_of_change_has_its_place_in_the_order() -> None:
    patches = {
        "ConfigMap": Stage.NAMES, "Secret": Stage.SECRET, "Deployment": Stage.RELEASE,
    }  # fmt: skip
    for kind, stage in patches.items():
        change = PatchObject(
            target=SubjectId("cluster"), api_version="v1", kind=kind, namespace="n", name="n",
            uid="u", resource_version="1", patch={},
        )  # fmt: skip
        assert stage_of(change) is stage
        assert stage_of(msgspec.structs.replace(change, rolls_out=True)) is Stage.ROLLOUT


def put(keys: tuple[str, ...], value: int) -> KeyEdit:
    return KeyEdit(op="set", keys=keys, value=value)


KEYS = st.lists(st.sampled_from("abc"), min_size=1, max_size=3).map(tuple)
EDITS = st.builds(put, KEYS, st.integers(0, 2))


@settings(max_examples=100, deadline=None)
@given(st.lists(st.lists(EDITS, min_size=1, max_size=2), min_size=1, max_size=4))
def test_a_merge_does_what_its_parts_do_in_any_order_or_is_a_contradiction(
    parts: list[list[KeyEdit]],
) -> None:
    def change(edits: list[KeyEdit]) -> EditToml:
        return EditToml(target=NODE, path="/f", before_sha256="0", edits=tuple(edits))

    def drafts(order: list[list[KeyEdit]]) -> list[Draft]:
        return [Draft(change=change(each), causes=(), risk=Risk.SAFE) for each in order]

    for part in parts:  # a planner does not contradict itself
        if not merged(drafts([[each] for each in part]))[0]:
            return
    forward, _ = merged(drafts(parts))
    backward, _ = merged(drafts(parts[::-1]))
    assert bool(forward) == bool(backward)
    if forward:
        content: bytes | None = None
        for each in parts:
            content = apply_edit(change(each), content)
        together = apply_edit(forward[0].change, None)  # type: ignore[arg-type] # an EditToml
        import tomllib

        assert len(forward) == 1
        assert tomllib.loads((together or b"").decode()) == tomllib.loads((content or b"").decode())


def test_a_restart_is_made_again_where_something_new_has_to_be_loaded() -> None:
    fake = Fake()
    fake.failing("NODE-A-001", write("/etc/a"), RESTART)

    again = fake.plan(done=(RESTART.id,))
    assert [each.change for each in again.changes] == [write("/etc/a"), RESTART]
    useless = fake.plan(done=(RESTART.id, write("/etc/a").id))
    assert useless.changes == ()


def test_what_only_its_roots_explain_waits_for_them() -> None:
    known, facts = healthy()
    pod = PodFact(
        name="coderd-1", workload="Deployment/coder/coderd", node="debian", ready=False,
        image="docker.io/coderenvs/coder-service:1", waits="ImagePullBackOff: no such host",
    )  # fmt: skip
    release: Any = facts.by_subject["release"]
    coderd, *rest = release.workloads.value
    (main, *others) = coderd.containers
    foreign = msgspec.structs.replace(main, image=pod.image)
    coderd = msgspec.structs.replace(coderd, containers=(foreign, *others))
    broken = with_facts(
        facts, "release", running=Present((pod,)), workloads=Present((coderd, *rest))
    )
    plan = build_plan(Evaluation(known, broken, catalogue(), now=NOW))
    whys = {each.cause.check: each.why for each in plan.unplanned}
    assert whys["REL-POD-001"].startswith("once its root is repaired: REL-IMAGE-001::release")
    assert not [each for each in plan.changes if "REL-POD-001" in {c.check for c in each.causes}]


def test_an_upgrade_waits_for_the_round_that_edits_its_values_or_rolls_out_its_pods() -> None:
    upgrade = UpgradeRelease(
        target=CLUSTER, name="coder", namespace="shop", revision=3,
        chart=ReadFile(path="chart", sha256=""), values=(ReadFile(path="a.yaml", sha256=""),),
    )  # fmt: skip
    edit = EditYaml(target=SITE, path="a.yaml", before_sha256="0", edits=())
    other = EditYaml(target=SITE, path="z.yaml", before_sha256="0", edits=())
    pods = PatchObject(
        target=CLUSTER, api_version="apps/v1", kind="Deployment", namespace="shop", name="d",
        uid="u", resource_version="", patch={}, generation=1, rolls_out=True,
    )  # fmt: skip
    elsewhere = msgspec.structs.replace(pods, namespace="kube-system")
    assert kinds(upgrade, edit) == ["EditYaml"]
    assert kinds(upgrade, pods) == ["PatchObject"]
    assert kinds(upgrade, other, elsewhere) == ["UpgradeRelease", "EditYaml", "PatchObject"]


def kinds(*changes: Change) -> list[str]:
    """The changes that one round holds, where each is the repair of a check of its own."""
    fake = Fake()
    for number, change in enumerate(changes):
        fake.failing(f"NODE-X-00{number}", change)
    made = fake.plan(helm=True, max_risk=Risk.OUTAGE)
    later = [each for each in made.unplanned if "left for a later round" in each.why]
    assert len(made.changes) + len(later) == len(changes)
    return [type(each.change).__name__ for each in made.changes]
