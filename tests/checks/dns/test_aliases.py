from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest
from support.healthy import healthy, site, with_facts
from support.kube import ALIASES, Folder, judged
from support.manifests import coderd

from gapcheck.fixtures.fact_set import FactSet
from gapcheck.fixtures.facts import Present
from gapcheck.fixtures.kube_facts import HostAlias
from gapcheck.model import Status, Verdict
from gapcheck.site import Site

CHECK = "DNS-ALIAS-001"


def with_aliases(*aliases: tuple[str, tuple[str, ...]], workload: int = 0) -> FactSet:
    facts = healthy()[1]
    release: Any = facts.by_subject["release"]
    workloads = list(release.workloads.value)
    workloads[workload] = msgspec.structs.replace(
        workloads[workload],
        host_aliases=tuple(HostAlias(ip=ip, hostnames=names) for ip, names in aliases),
    )
    return with_facts(facts, "release", workloads=Present(tuple(workloads)))


def verdict(facts: FactSet, known: Site | None = None) -> Verdict:
    return judged(CHECK, facts, known or healthy()[0], "release")


def test_no_alias_and_a_right_alias_pass(tmp_path: Path) -> None:
    assert verdict(healthy()[1]).status is Status.PASS
    assert Folder(tmp_path).verdict(CHECK).status is Status.PASS


@pytest.mark.parametrize(
    "aliases",
    [
        [("10.0.0.9", ("registry.local",))],
        [("10.0.0.9", ("registry.local",)), ("10.0.0.2", ("registry.local",))],
        [("10.0.0.9", ("git.local", "registry.local"))],
    ],
)
def test_an_old_address_fails(aliases: list[tuple[str, tuple[str, ...]]]) -> None:
    found = verdict(with_aliases(*aliases))
    assert found.status is Status.FAIL
    assert "10.0.0.2 is expected" in found.findings[0].problem


def test_an_alias_of_another_host_is_no_matter() -> None:
    assert verdict(with_aliases(("10.0.0.9", ("git.local",)))).status is Status.PASS


def test_the_field_inside_a_container_is_found(tmp_path: Path) -> None:
    inside = """          hostAliases:
            - ip: 10.0.0.2
              hostnames: [registry.local]
          volumeMounts:"""
    text = coderd().replace("          volumeMounts:", inside)
    found = Folder(tmp_path, coderd=text).verdict(CHECK)
    assert found.status is Status.FAIL
    assert "stand inside the container coderd" in found.findings[0].problem


@pytest.mark.parametrize(
    ("ip", "name"),
    [
        ("10.0.0.2", "$REGISTRY_DOMAIN_NAME"),
        ("10.0.0.2", "Registry.example"),
        ("10.0.0.2", "registry.example:5000"),
        ("10.0.0.256", "registry.example"),
        ("10.0.0.02", "registry.example"),
    ],
)
def test_what_the_api_server_refuses_fails(ip: str, name: str) -> None:
    found = verdict(with_aliases((ip, (name,))))
    assert found.status is Status.FAIL
    assert "the API server refuses" in found.findings[0].problem


def test_the_variable_of_the_guide_in_a_manifest_is_found(tmp_path: Path) -> None:
    aliases = ALIASES.replace("registry.local", "$REGISTRY_DOMAIN_NAME")
    found = Folder(tmp_path, coderd=coderd(extra=aliases)).verdict(CHECK)
    assert found.status is Status.FAIL


def test_without_an_expected_address_workloads_must_agree() -> None:
    unknown = site(registry={"host": "registry.local", "ca_file": "ca.crt"})
    one = with_aliases(("10.0.0.9", ("registry.local",)))
    assert verdict(one, unknown).status is Status.PASS
    release: Any = one.by_subject["release"]
    first, second = release.workloads.value
    second = msgspec.structs.replace(
        second, host_aliases=(HostAlias(ip="10.0.0.2", hostnames=("registry.local",)),)
    )
    apart = with_facts(one, "release", workloads=Present((first, second)))
    assert verdict(apart, unknown).status is Status.FAIL
