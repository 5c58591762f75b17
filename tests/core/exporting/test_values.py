from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import pytest
from ruamel.yaml import YAML
from support.certs import NOW
from support.healthy import HOST, IMAGES, healthy, site, with_facts
from support.kube import GOOD_TIMESCALE, VALUES, Folder
from support.manifests import timescale

from gapcheck.engine import Evaluation
from gapcheck.errors import UsageError
from gapcheck.exits import Exit
from gapcheck.exporting.source import Export, Source
from gapcheck.exporting.values import values
from gapcheck.fixtures.fact_set import FactSet
from gapcheck.fixtures.facts import AuthFact, Present, Unreadable
from gapcheck.fixtures.kube_facts import SecretFact, SecretKey
from gapcheck.model import SubjectId
from gapcheck.registry import catalogue
from gapcheck.remediations.planner import Wanted
from gapcheck.site import Site

PUBLIC = "docker.io/coderenvs/timescale:1.44.3"


def exported(facts: FactSet, of: Site | None = None) -> Export:
    evaluation = Evaluation(of or site(), facts, catalogue(), now=NOW)
    return values(Source(evaluation=evaluation, wanted=Wanted(), asked=lambda _c, _s: True))


def read(text: str) -> Any:
    return YAML(typ="safe").load(text)


def release(facts: FactSet) -> Any:
    return facts.by_subject[SubjectId("release")]


def pulling(image: str, **values_: str) -> FactSet:
    """The healthy live release whose database pulls `image`; `values_` are further user values."""
    facts = healthy()[1]
    found = release(facts)
    first, second = found.workloads.value
    container = msgspec.structs.replace(second.containers[0], image=image)
    second = msgspec.structs.replace(second, containers=(container,))
    user = {k: v for k, v in found.record.value.user_values.items() if "postgres" not in k}
    user |= {key.replace("__", "."): value for key, value in values_.items()}
    record = msgspec.structs.replace(found.record.value, user_values=user, user_paths=tuple(user))
    return with_facts(facts, "release", workloads=Present((first, second)), record=Present(record))


def test_a_live_release_gets_the_key_of_its_chart_and_the_finding_beside_it() -> None:
    found = exported(pulling(PUBLIC), site(release={"secret": {}}))
    assert read(found.text) == {"postgres": {"default": {"image": IMAGES["timescale"]}}}
    assert "    # REL-IMAGE-001: StatefulSet timescale" in found.text
    assert (found.code, found.notes) == (Exit.OK, ())
    assert (
        "#   helm upgrade coder CHART -n coder --reuse-values -f gapcheck-values.yaml\n"
        in found.text
    )


def test_a_value_the_user_has_set_is_set_where_it_stands() -> None:
    facts = pulling(PUBLIC, db__picture=PUBLIC)
    found = exported(facts, site(release={"profile": "generic", "secret": {}}))
    assert read(found.text) == {"db": {"picture": IMAGES["timescale"]}}


def test_an_unknown_chart_gets_no_guess() -> None:
    found = exported(pulling(PUBLIC), site(release={"profile": "generic", "secret": {}}))
    assert read(found.text) == {}
    assert found.code is Exit.FAILED
    assert any(note.startswith("left: REL-IMAGE-001::release") for note in found.notes)


def test_newer_chart_gets_repository_and_tag() -> None:
    facts = healthy()[1]
    found = release(facts)
    workload = found.workloads.value[0]
    container = msgspec.structs.replace(
        workload.containers[0], image="ghcr.io/coder/coder:v2.20.0", env_images={}
    )
    workload = msgspec.structs.replace(workload, name="coder", containers=(container,))
    record = msgspec.structs.replace(found.record.value, user_values={}, user_paths=())
    facts = with_facts(facts, "release", workloads=Present((workload,)), record=Present(record))
    text = exported(facts, site(release={"profile": "coder-v2", "secret": {}})).text
    assert read(text)["coder"]["image"] == {"repo": f"{HOST}/coder/coder", "tag": "v2.20.0"}


def certificates(*more: str) -> FactSet:
    """A v2 release that names another CA secret; `more` are further paths the user set."""
    facts = healthy()[1]
    found = release(facts)
    workloads = tuple(
        msgspec.structs.replace(each, volumes=(), host_aliases=each.host_aliases)
        for each in found.workloads.value
    )
    user = {
        "coder.certs.secrets[0].name": "corp-ca",
        "coder.certs.secrets[0].key": "ca.crt",
        "coder.certs.secrets[1].name": "local-registry-cert",
        "coder.certs.secrets[1].key": "wrong.crt",
    }
    record = msgspec.structs.replace(
        found.record.value,
        user_values=user,
        user_paths=(*user, *more),
        template_paths=Present(("coder",)),
    )
    return with_facts(facts, "release", workloads=Present(workloads), record=Present(record))


def test_a_list_is_given_whole_because_helm_replaces_lists() -> None:
    text = exported(certificates(), site(release={"profile": "coder-v2", "secret": {}})).text
    assert read(text)["coder"]["certs"]["secrets"] == [
        {"name": "corp-ca", "key": "ca.crt"},
        {"name": "local-registry-cert", "key": "registry.crt"},
    ]


def test_a_list_with_entries_that_are_not_read_is_left_to_a_person() -> None:
    facts = certificates("coder.certs.secrets[0].passphrase")
    found = exported(facts, site(release={"profile": "coder-v2", "secret": {}}))
    assert "secrets" not in found.text.replace("THIS", "")
    assert any("coder.certs.secrets is a list with entries" in note for note in found.notes)
    assert found.code is Exit.FAILED


def helm_merged(one: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, Any]:
    """Values files as Helm joins them; a null takes a value away (seen with helm 4.1.4)."""
    both = {**one, **other}
    for key, value in other.items():
        if isinstance(value, Mapping) and isinstance(one.get(key), Mapping):
            both[key] = helm_merged(one[key], value)
    return {key: value for key, value in both.items() if value is not None}


def test_the_file_does_what_the_repair_does_to_the_users_own(tmp_path: Path) -> None:
    before = VALUES.replace("postgres:\n  default:\n    image", "timescale:\n  image")
    folder = Folder(tmp_path, timescale=timescale()).values(before)
    found = exported(folder.facts(), folder.site)
    assert read(found.text)["timescale"] is None
    folder.repair("REL-VALUE-001", "REL-IMAGE-001")
    repaired = read(folder.text("values.yaml"))
    assert repaired["postgres"]["default"]["image"] == GOOD_TIMESCALE
    assert helm_merged(read(before), read(found.text)) == repaired


def test_what_follows_from_a_repaired_root_is_no_rest(tmp_path: Path) -> None:
    before = VALUES.replace("postgres:\n  default:\n    image", "timescale:\n  image")
    folder = Folder(tmp_path, timescale=timescale()).values(before)
    found = exported(folder.facts(), folder.site)
    assert not any(note.startswith("left: REL-IMAGE-001") for note in found.notes)


def test_nothing_wrong_gives_values_that_change_nothing() -> None:
    found = exported(healthy()[1])
    assert read(found.text) == {}
    assert (found.code, found.notes) == (Exit.OK, ())


def test_a_release_that_was_not_read_is_said_and_no_empty_success() -> None:
    facts = with_facts(healthy()[1], "release", record=Unreadable("forbidden"))
    found = exported(facts, site(release={"secret": {}}))
    assert (found.text, found.code) == ("", Exit.UNMEASURED)
    assert "forbidden" in found.notes[0]


def test_site_without_release_is_wrong_use() -> None:
    with pytest.raises(UsageError, match="names no release"):
        exported(healthy()[1], site(release=None))


def with_credentials(*registries: str, named: tuple[str, ...] = ()) -> FactSet:
    """A registry that asks for credentials; a pull secret `pull` for `registries`, named by all."""
    facts = with_facts(healthy()[1], "registry", auth=Present(AuthFact(scheme="basic")))
    found = release(facts)
    workloads = tuple(
        msgspec.structs.replace(each, pull_secrets=named) for each in found.workloads.value
    )
    secret = SecretFact(
        namespace="coder",
        name="pull",
        type="kubernetes.io/dockerconfigjson",
        locus="Secret/coder/pull",
        keys=(SecretKey(name=".dockerconfigjson", form="dockerconfig", registries=registries),),
    )
    secrets = (*found.secrets.value, *((secret,) if registries else ()))
    return with_facts(facts, "release", workloads=Present(workloads), secrets=Present(secrets))


def test_a_pull_secret_that_fits_is_named() -> None:
    found = exported(with_credentials(HOST))
    assert read(found.text) == {"coderd": {"imagePullSecret": "pull"}}
    assert not any("make the pull secret" in note for note in found.notes)


def test_a_pull_secret_of_another_registry_is_not_named_and_the_new_one_is_to_be_made() -> None:
    found = exported(with_credentials("registry.local:5000", named=("pull",)))
    assert read(found.text) == {"coderd": {"imagePullSecret": "registry-pull"}}
    assert any("create secret docker-registry registry-pull" in note for note in found.notes)
    assert found.code is Exit.FAILED


def test_newer_chart_takes_a_list_of_pull_secrets() -> None:
    of = site(release={"profile": "coder-v2", "secret": {}})
    text = exported(with_credentials(HOST), of).text
    assert read(text)["coder"]["image"]["pullSecrets"] == [{"name": "pull"}]


def test_pods_that_name_a_fitting_secret_need_no_value() -> None:
    assert "imagePullSecret" not in exported(with_credentials(HOST, named=("pull",))).text
