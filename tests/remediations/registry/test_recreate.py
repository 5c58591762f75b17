from __future__ import annotations

from typing import Any

import msgspec
import pytest
from support import healthy as h
from support.certs import NOW

from gapcheck.engine import Evaluation
from gapcheck.errors import CannotPlan
from gapcheck.fixtures.fact_set import FactSet
from gapcheck.fixtures.facts import Absent, HttpFact, MountFact, Present, Unreadable
from gapcheck.model import REGISTRY, Cause, CheckId, Risk
from gapcheck.registry import catalogue
from gapcheck.remediations.diff import container_diff
from gapcheck.remediations.merge import Draft, merged
from gapcheck.remediations.plan import NewVolume, Plan, RecreateContainer
from gapcheck.remediations.planner import Wanted, build_plan
from gapcheck.remediations.registry.reach import _is_misspelt

CERTIFICATE, KEY = "REGISTRY_HTTP_TLS_CERTIFICATE", "REGISTRY_HTTP_TLS_KEY"
PAIR = {CERTIFICATE: "/certs/registry.crt", KEY: "/certs/registry.key"}
ANONYMOUS = "0123456789abcdef" * 4


def on_machine(facts: FactSet, **changes: Any) -> FactSet:
    old: Any = facts.by_subject[REGISTRY]
    machine = msgspec.structs.replace(old.machine.value, **changes)
    return h.with_facts(facts, "registry", machine=Present(machine))


def with_container(facts: FactSet, **changes: Any) -> FactSet:
    old: Any = facts.by_subject[REGISTRY]
    container = msgspec.structs.replace(old.machine.value.container.value, **changes)
    return on_machine(facts, container=Present(container))


def in_plain_http(**container: Any) -> FactSet:
    """The healthy site, whose registry answers plain HTTP."""
    _, facts = h.healthy()
    old: Any = facts.by_subject[REGISTRY]
    tls = msgspec.structs.replace(
        old.tls, stage="handshake", chain=(), error="wrong version number", protocol=""
    )
    answer = HttpFact(url="http://registry.local:443/v2/", status=200, headers={}, body="{}")
    facts = h.with_facts(facts, "registry", tls=tls, plain_http=Present(answer))
    return with_container(facts, **container)


def planned(check: str, facts: FactSet) -> RecreateContainer:
    evaluation = Evaluation(h.site(), facts, catalogue(), now=NOW)
    (finding,) = evaluation.verdict(CheckId(check), REGISTRY).findings
    plan = catalogue().remedies[CheckId(check)].plan
    (change,) = plan(finding, evaluation.view(REGISTRY))
    assert isinstance(change, RecreateContainer)
    return change


@pytest.mark.parametrize(
    ("environment", "variables", "asked", "taken_out"),
    [
        ({}, (), PAIR, ()),
        (
            {"REGISTRY_HTTP_TLS_CERTIFICAT": "/certs/registry.crt", KEY: PAIR[KEY]},
            ("PATH", "REGISTRY_HTTP_SECRET"),
            {CERTIFICATE: PAIR[CERTIFICATE]},
            ("REGISTRY_HTTP_TLS_CERTIFICAT",),
        ),
        ({}, ("REGISTY_HTTP_TLS_KEY",), PAIR, ("REGISTY_HTTP_TLS_KEY",)),
    ],
    ids=["neither is set", "misspelt at its end", "misspelt at its start"],
)
def test_certificate_and_key_are_set_where_they_are_mounted(
    environment: dict[str, str],
    variables: tuple[str, ...],
    asked: dict[str, str],
    taken_out: tuple[str, ...],
) -> None:
    facts = in_plain_http(environment=environment, variables=variables)
    assert planned("REG-HTTP-001", facts) == RecreateContainer(
        target=REGISTRY,
        name="registry",
        before_id="c0ffee",
        set_env=tuple(asked.items()),
        unset_env=taken_out,
    )


def test_a_pair_mounted_elsewhere_is_named_as_the_container_sees_it() -> None:
    mounts = (
        MountFact(type="bind", source="/", destination="/host"),
        MountFact(type="bind", source="/certs/registry.crt", destination="/tls/site.crt"),
        MountFact(type="bind", source="/certs", destination="/pair/"),
    )
    change = planned("REG-HTTP-001", in_plain_http(environment={}, mounts=mounts))
    assert dict(change.set_env) == {
        CERTIFICATE: "/tls/site.crt",
        KEY: "/pair/registry.key",
    }


@pytest.mark.parametrize(
    ("container", "why"),
    [
        ({"environment": PAIR}, "something else answers"),
        ({"environment": {}, "mounts": ()}, "is not mounted into container registry"),
        ({"environment": {}, "compose": "site"}, "compose project site makes container registry"),
    ],
    ids=["both are set", "not mounted", "compose"],
)
def test_plain_http_that_no_setting_explains_is_left_to_a_person(
    container: dict[str, Any], why: str
) -> None:
    with pytest.raises(CannotPlan, match=why):
        planned("REG-HTTP-001", in_plain_http(**container))


@pytest.mark.parametrize("gap", [Absent(), Unreadable("docker did not answer in time")])
def test_a_container_that_was_not_seen_is_not_made_anew(gap: Any) -> None:
    with pytest.raises(CannotPlan, match=r"registry\.container"):
        planned("REG-HTTP-001", on_machine(in_plain_http(), container=gap))


def test_a_key_that_is_not_there_is_not_set() -> None:
    with pytest.raises(CannotPlan, match=r"/certs/registry\.key is not there"):
        planned("REG-HTTP-001", on_machine(in_plain_http(environment={}), key=Absent()))


@pytest.mark.parametrize(
    ("name", "setting", "expected"),
    [
        ("REGISTRY_HTTP_TLS_CERTIFICAT", CERTIFICATE, True),
        ("REGISTRY_HTTPS_TLS_CERTIFICATE", CERTIFICATE, True),
        ("REGISTRY_TLS_CERTIFICATE", CERTIFICATE, True),
        ("REGISTRY_HTTP_TLS_KEYS", KEY, True),
        (CERTIFICATE, CERTIFICATE, False),
        ("REGISTRY_REDIS_TLS_CERTIFICATE", CERTIFICATE, False),
        ("REGISTRY_HTTP_TLS_CLIENTCAS", CERTIFICATE, False),
        ("REGISTRY_HTTP_SECRET", KEY, False),
        ("REGISTRY_AUTH", KEY, False),
        ("PATH", KEY, False),
    ],
)
def test_only_what_is_no_setting_of_the_registry_is_misspelt(
    name: str, setting: str, expected: bool
) -> None:
    assert _is_misspelt(name, setting) is expected


def in_volume(**mount: Any) -> FactSet:
    _, facts = h.healthy()
    fields = {"source": "/v", "destination": "/var/lib/registry", **mount}
    return with_container(facts, mounts=(MountFact(**fields),))


@pytest.mark.parametrize(
    ("facts", "place"),
    [
        (in_volume(type="volume", name=ANONYMOUS), "/var/lib/registry"),
        (in_volume(type="volume", name=ANONYMOUS, destination="/var/lib"), "/var/lib"),
        (in_volume(type="bind", destination="/other"), "/var/lib/registry"),
    ],
    ids=["anonymous volume", "anonymous volume above", "the container's own layer"],
)
def test_images_are_copied_into_a_named_volume(facts: FactSet, place: str) -> None:
    assert planned("REG-VOLUME-001", facts).volumes == (
        NewVolume(name="registry-storage-c0ffee", destination=place),
    )


@pytest.mark.parametrize(
    ("mount", "why"),
    [
        ({"type": "tmpfs"}, "are in memory and gone"),
        ({"type": "bind", "writable": False}, "a person's decision"),
    ],
)
def test_what_a_copy_would_not_help_is_left_to_a_person(mount: dict[str, Any], why: str) -> None:
    with pytest.raises(CannotPlan, match=why):
        planned("REG-VOLUME-001", in_volume(**mount))


def both_faults(risk: Risk) -> Plan:
    facts = in_plain_http(
        environment={"REGISTRY_HTTP_TLS_KEI": "/certs/registry.key"},
        variables=("REGISTRY_HTTP_TLS_CERTIFICAT",),
        mounts=(
            MountFact(type="volume", source="/v", destination="/var/lib/registry", name=ANONYMOUS),
            MountFact(type="bind", source="/certs", destination="/certs"),
        ),
    )
    evaluation = Evaluation(h.site(), facts, catalogue(), now=NOW)
    chosen = ("REG-HTTP-001", "REG-VOLUME-001")
    return build_plan(evaluation, wanted=Wanted(max_risk=risk, select=chosen))


def test_two_faults_of_one_container_make_it_anew_once() -> None:
    (change,) = both_faults(Risk.OUTAGE).changes

    assert [str(cause.check) for cause in change.causes] == ["REG-HTTP-001", "REG-VOLUME-001"]
    assert change.diff == (
        "--- container registry\n+++ container registry\n"
        "-env REGISTRY_HTTP_TLS_CERTIFICAT=***\n"
        "-env REGISTRY_HTTP_TLS_KEI=/certs/registry.key\n"
        "+env REGISTRY_HTTP_TLS_CERTIFICATE=/certs/registry.crt\n"
        "+env REGISTRY_HTTP_TLS_KEY=/certs/registry.key\n"
        f"-mount volume {ANONYMOUS} /var/lib/registry\n"
        "+mount volume registry-storage-c0ffee /var/lib/registry (with a copy of its data)\n"
    )
    assert "for as long as its data is copied" in change.note


def test_nothing_is_made_anew_unless_an_outage_is_allowed() -> None:
    plan = both_faults(Risk.RESTART)
    assert plan.changes == ()
    assert {each.why for each in plan.unplanned} == {"needs --max-risk outage"}


def test_a_site_that_names_no_pair_is_told_so() -> None:
    site = h.site()
    bare = site.model_copy(
        update={"registry": site.registry.model_copy(update={"certificate": None})}
    )
    evaluation = Evaluation(bare, in_plain_http(environment={}), catalogue(), now=NOW)
    (finding,) = evaluation.verdict(CheckId("REG-HTTP-001"), REGISTRY).findings
    plan = catalogue().remedies[CheckId("REG-HTTP-001")].plan
    with pytest.raises(CannotPlan, match=r"names no registry\.certificate"):
        list(plan(finding, evaluation.view(REGISTRY)))


def drafts(*changes: dict[str, Any]) -> list[Draft]:
    return [
        Draft(
            change=RecreateContainer(target=REGISTRY, name="registry", before_id="1", **each),
            causes=(Cause(check=CheckId("REG-HTTP-001"), subject=REGISTRY),),
            risk=Risk.OUTAGE,
        )
        for each in changes
    ]


@pytest.mark.parametrize(
    ("one", "other", "why"),
    [
        ({"set_env": (("A", "1"),)}, {"set_env": (("A", "2"),)}, "set A to two values"),
        (
            {"volumes": (NewVolume(name="a", destination="/x"),)},
            {"volumes": (NewVolume(name="b", destination="/x"),)},
            "mount two volumes at /x",
        ),
    ],
)
def test_two_remedies_that_contradict_each_other_are_not_joined(
    one: dict[str, Any], other: dict[str, Any], why: str
) -> None:
    kept, left = merged(drafts(one, other))
    assert [each.change for each in kept] == [drafts(one)[0].change]
    assert why in left[0].why


def test_two_remedies_that_ask_for_the_same_setting_are_joined() -> None:
    pairs = ({"set_env": (("A", "1"),)}, {"set_env": (("A", "1"), ("B", "2"))})
    (draft,), left = merged(drafts(*pairs))
    assert draft.change == drafts(pairs[1])[0].change
    assert left == []


def test_a_container_that_was_not_measured_has_its_values_masked() -> None:
    change = RecreateContainer(
        target=REGISTRY, name="registry", before_id="1", unset_env=("A",), restart_policy="always"
    )
    _, facts = h.healthy()
    for seen in (
        on_machine(facts, container=Absent()),
        msgspec.structs.replace(facts, by_subject={}),
    ):
        assert container_diff(change, seen) == (
            "--- container registry\n+++ container registry\n-env A=***\n+restart policy always\n"
        )
