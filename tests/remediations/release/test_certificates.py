from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest
from support.healthy import healthy, with_facts
from support.kube import ALIASES, VALUES, Folder, planned
from support.manifests import coderd

from gapcheck.errors import CannotPlan
from gapcheck.fixtures.facts import Present
from gapcheck.model import Status
from gapcheck.remediations.plan import EditYaml
from gapcheck.site import Site

CHECK = "REL-CERT-001"
TYPO = "local-registry-certs"


def test_a_misspelt_name_is_put_right_in_values_and_volume(tmp_path: Path) -> None:
    text = coderd(extra=ALIASES).replace("secretName: local-registry-cert", f"secretName: {TYPO}")
    folder = Folder(tmp_path, coderd=text).values(
        VALUES.replace("name: local-registry-cert", f"name: {TYPO}")
    )
    folder.repair(CHECK)
    assert folder.text("values.yaml") == VALUES
    assert folder.text("manifests/coderd.yaml") == coderd(extra=ALIASES)
    assert folder.verdict(CHECK).status is Status.PASS
    assert folder.plan(CHECK) == []


def test_a_forgotten_values_file_is_made_good(tmp_path: Path) -> None:
    text = coderd().partition("          volumeMounts:")[0]
    folder = Folder(tmp_path, coderd=text).values(VALUES.partition("coderd:")[2])
    folder.values("coderd:" + VALUES.partition("coderd:")[2])
    folder.repair(CHECK)
    assert folder.verdict(CHECK).status is Status.PASS
    assert "  secret:\n    name: local-registry-cert\n    key: registry.crt\n" in (
        folder.text("values.yaml")
    )
    assert folder.plan(CHECK) == []


def test_other_volumes_and_mounts_stay(tmp_path: Path) -> None:
    text = (
        coderd()
        .replace("local-registry-cert", "other")
        .replace("secretName: other", "secretName: other\n            optional: true")
    )
    folder = Folder(tmp_path, coderd=text)
    folder.repair(CHECK)
    assert folder.verdict(CHECK).status is Status.PASS
    assert "secretName: other" in folder.text("manifests/coderd.yaml")
    assert "mountPath: /etc/ssl/certs/registry.crt" in folder.text("manifests/coderd.yaml")


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("mountPath: /etc/ssl/certs/registry.crt", "mountPath: /etc/ssl/certs/coder/registry.crt"),
        ("subPath: registry.crt", "subPath: ca.crt"),
        ("mountPath: /etc/ssl/certs/registry.crt", "mountPath: /etc/ssl/certs/ca-certificates.crt"),
    ],
)
def test_a_wrong_mount_is_put_right(tmp_path: Path, before: str, after: str) -> None:
    folder = Folder(tmp_path, coderd=coderd(extra=ALIASES).replace(before, after))
    folder.repair(CHECK)
    assert folder.text("manifests/coderd.yaml") == coderd(extra=ALIASES)


def test_which_workload_needs_the_ca_is_not_guessed(tmp_path: Path) -> None:
    text = coderd().partition("          volumeMounts:")[0].replace("name: coderd", "name: server")
    with pytest.raises(CannotPlan, match="not known"):
        Folder(tmp_path, coderd=text).plan(CHECK)


def of_profile(folder: Folder, profile: str) -> Folder:
    data: dict[str, Any] = folder.site.model_dump(by_alias=True)
    data["release"]["profile"] = profile
    folder.site = Site.model_validate(data)
    return folder


V2 = "coder:\n  certs:\n    secrets:\n      - name: git-ca\n        key: ca.crt\n"


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (
            "coder:\n  replicas: 1\n",
            (
                "coder:\n  replicas: 1\n  certs:\n    secrets:\n"
                "      - name: local-registry-cert\n        key: registry.crt\n"
            ),
        ),
        (
            V2 + "      - name: local-registry-cert\n        key: ca.crt\n",
            V2 + "      - name: local-registry-cert\n        key: registry.crt\n",
        ),
    ],
    ids=["no list", "wrong key in the list"],
)
def test_the_list_of_the_newer_chart_is_written(tmp_path: Path, before: str, after: str) -> None:
    text = coderd().partition("          volumeMounts:")[0].replace("name: coderd", "name: coder")
    folder = of_profile(Folder(tmp_path, coderd=text), "coder-v2").values(before)
    folder.repair(CHECK)
    assert folder.text("values.yaml") == after
    assert folder.verdict(CHECK).status is Status.PASS


def test_a_live_release_gets_its_values_and_then_needs_helm() -> None:
    known, facts = healthy()
    release: Any = facts.by_subject["release"]
    workload, *others = release.workloads.value
    bare = msgspec.structs.replace(workload, volumes=())
    record = msgspec.structs.replace(release.record.value, user_values={"a.image": "x/y:1"})
    facts = with_facts(
        facts,
        "release",
        workloads=Present((bare, *others)),
        record=Present(record),
        values={"values.yaml": Present(msgspec.structs.replace(record, user_values={}))},
    )
    (change,) = planned(CHECK, facts, known, "release")
    assert isinstance(change, EditYaml)
    assert [each.value for each in change.edits] == ["local-registry-cert", "registry.crt"]
    right = {"certs.secret.name": "local-registry-cert", "certs.secret.key": "registry.crt"}
    done = msgspec.structs.replace(record, user_values=right, user_paths=tuple(right))
    facts = with_facts(facts, "release", values={"values.yaml": Present(done)})
    with pytest.raises(CannotPlan, match="helm upgrade"):
        planned(CHECK, facts, known, "release")


def test_a_live_mount_is_left_to_helm() -> None:
    known, facts = healthy()
    release: Any = facts.by_subject["release"]
    workload, *others = release.workloads.value
    mount = msgspec.structs.replace(workload.containers[0].mounts[0], path="/certs/x")
    container = msgspec.structs.replace(workload.containers[0], mounts=(mount,))
    changed = msgspec.structs.replace(workload, containers=(container,))
    facts = with_facts(facts, "release", workloads=Present((changed, *others)))
    with pytest.raises(CannotPlan, match="helm upgrade"):
        planned(CHECK, facts, known, "release")


def test_a_projected_volume_is_left_to_a_person(tmp_path: Path) -> None:
    volume = """          projected:
            sources:
              - secret: {name: wrong-name}
              - secret: {name: other-name}
"""
    text = coderd().partition("          secret:\n")[0] + volume
    with pytest.raises(CannotPlan, match="several sources"):
        Folder(tmp_path, coderd=text).plan(CHECK)


def test_items_without_the_key_are_left_to_a_person(tmp_path: Path) -> None:
    text = coderd() + "            items: [{key: other, path: registry.crt}]\n"
    with pytest.raises(CannotPlan, match="items leave out"):
        Folder(tmp_path, coderd=text).plan(CHECK)


def test_the_bundles_name_as_key_gets_a_file_name_of_its_own(tmp_path: Path) -> None:
    key = "ca-certificates.crt"
    folder = Folder(tmp_path, coderd=coderd().replace("registry.crt", key))
    folder.values(VALUES.replace("registry.crt", key))
    data: dict[str, Any] = folder.site.model_dump(by_alias=True)
    data["release"]["secret"] = {"key": key}
    folder.site = Site.model_validate(data)
    folder.repair(CHECK)
    assert "mountPath: /etc/ssl/certs/registry-ca.crt" in folder.text("manifests/coderd.yaml")
    assert folder.verdict(CHECK).status is Status.PASS
