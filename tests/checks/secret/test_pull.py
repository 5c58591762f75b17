from __future__ import annotations

from typing import Any

import msgspec
from support.healthy import healthy, with_facts
from support.kube import judged

from gapcheck.fixtures.fact_set import FactSet
from gapcheck.fixtures.facts import AuthFact, Present, Unreadable
from gapcheck.fixtures.kube_facts import SecretFact, SecretKey
from gapcheck.model import Status, Verdict

CHECK = "SECRET-PULL-001"


def with_pulls(*names: str, scheme: str = "basic", entry: str | None = "registry.local") -> FactSet:
    """Every pod names the pull secrets `names`; one called `pull` exists with `entry`."""
    facts = healthy()[1]
    release: Any = facts.by_subject["release"]
    workloads = tuple(
        msgspec.structs.replace(each, pull_secrets=names) for each in release.workloads.value
    )
    keys = () if entry is None else (
        SecretKey(name=".dockerconfigjson", form="dockerconfig", registries=(entry,)),
    )  # fmt: skip
    pull = SecretFact(
        namespace="coder",
        name="pull",
        type="kubernetes.io/dockerconfigjson",
        locus="Secret/coder/pull",
        keys=keys,
    )
    secrets = Present((*release.secrets.value, *(() if entry is None else (pull,))))
    facts = with_facts(facts, "release", workloads=Present(workloads), secrets=secrets)
    return with_facts(facts, "registry", auth=Present(AuthFact(scheme=scheme)))


def verdict(facts: FactSet) -> Verdict:
    return judged(CHECK, facts, healthy()[0], "release")


def test_an_open_registry_needs_none() -> None:
    assert verdict(healthy()[1]).status is Status.NOT_APPLICABLE


def test_a_fitting_secret_passes() -> None:
    assert verdict(with_pulls("pull")).status is Status.PASS


def test_a_secret_for_another_port_fails() -> None:
    found = verdict(with_pulls("pull", entry="registry.local:5000"))
    assert found.status is Status.FAIL
    assert "they are for registry.local:5000" in found.findings[0].problem


def test_an_absent_secret_fails_where_credentials_are_asked_for() -> None:
    found = verdict(with_pulls("pull", entry=None))
    assert found.status is Status.FAIL
    assert "no basic auth credentials" in found.findings[0].consequence


def test_an_absent_secret_only_warns_where_none_are_asked_for() -> None:
    assert verdict(with_pulls("pull", entry=None, scheme="none")).status is Status.WARN


def test_no_secret_named_is_not_decided_as_service_accounts_were_not_looked_at() -> None:
    found = verdict(with_pulls())
    assert found.status is Status.ERROR
    assert "service account" in found.reason


def test_unknown_authentication_is_an_error() -> None:
    facts = with_facts(with_pulls("pull"), "registry", auth=Unreadable("timeout"))
    assert verdict(facts).status is Status.ERROR
