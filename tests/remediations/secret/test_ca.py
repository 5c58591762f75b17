from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import msgspec
import pytest
from support.certs import authority
from support.healthy import ca, healthy, site, with_facts, with_file
from support.kube import Folder, judged, planned
from support.manifests import secret

from gapcheck.errors import CannotPlan
from gapcheck.fixtures.facts import FactSet, Present, Unreadable
from gapcheck.model import CheckId, Risk, Status
from gapcheck.registry import catalogue
from gapcheck.remediations.plan import EditYaml, PatchObject, Stage, WriteFile

RIGHT = base64.b64encode(ca().pem).decode()


def without_key(**changes: Any) -> FactSet:
    """The live secret has the CA under ca.crt alone."""
    facts = healthy()[1]
    release: Any = facts.by_subject["release"]
    (known,) = release.secrets.value
    key = msgspec.structs.replace(known.keys[0], name="ca.crt")
    changed = msgspec.structs.replace(known, keys=(key,), **changes)
    return with_facts(facts, "release", secrets=Present((changed,)))


def test_a_missing_secret_is_a_new_manifest_and_then_all_is_right(tmp_path: Path) -> None:
    folder = Folder(tmp_path, secret=None)
    (change,) = folder.repair("SECRET-CA-001")
    assert isinstance(change, WriteFile)
    assert (change.path, change.before_sha256, change.stage) == (
        "manifests/gapcheck-local-registry-cert.yaml",
        None,
        Stage.SECRET,
    )
    for check in ("SECRET-CA-001", "SECRET-CA-002", "SECRET-CA-003", "SECRET-KEY-001"):
        assert folder.verdict(check).status is Status.PASS
    assert folder.plan("SECRET-CA-001") == []


def test_a_file_of_that_name_is_not_written_over(tmp_path: Path) -> None:
    taken = {"gapcheck-local-registry-cert": "kind: ConfigMap\n", "secret": None}
    with pytest.raises(CannotPlan, match="is there and holds no such secret"):
        Folder(tmp_path, **taken).plan("SECRET-CA-001")


def test_a_missing_live_secret_is_made_whole_with_public_material_alone() -> None:
    known, facts = healthy()
    facts = with_facts(facts, "release", secrets=Present(()))
    change, pods = planned("SECRET-CA-001", facts, known, "release")
    assert isinstance(change, PatchObject)
    assert change.creates
    assert isinstance(pods, PatchObject)
    assert (pods.kind, pods.name, pods.rolls_out) == ("Deployment", "coderd", True)
    assert (change.uid, change.risk) == ("", Risk.SAFE)
    assert change.patch["data"] == {"registry.crt": RIGHT}
    assert change.patch["metadata"] == {"name": "local-registry-cert", "namespace": "coder"}


@pytest.mark.parametrize(
    ("check", "values"),
    [
        ("SECRET-CA-002", {"ca.crt": ca().pem}),
        ("SECRET-CA-002", {"registry.crt": base64.b64encode(ca().pem)}),
        ("SECRET-CA-002", {"registry.crt": ca().der}),
        ("SECRET-CA-003", {"registry.crt": authority("Example Registry CA 2026").pem}),
    ],
    ids=["wrong key", "double base64", "der", "old ca"],
)
def test_a_manifest_is_put_right_and_nothing_more_is_planned(
    tmp_path: Path, check: str, values: dict[str, bytes]
) -> None:
    folder = Folder(tmp_path, secret="# ours\n" + secret(values))
    (change,) = folder.repair(check)
    assert isinstance(change, EditYaml)
    assert [each.keys for each in change.edits] == [("data", "registry.crt")]
    assert folder.verdict("SECRET-CA-003").status is Status.PASS
    assert folder.plan(check) == []
    assert folder.text("manifests/secret.yaml").startswith("# ours\n")


def test_string_data_stays_string_data(tmp_path: Path) -> None:
    old = "\n".join(f"    {line}" for line in authority("Old").pem.decode().splitlines())
    text = secret({}).replace("\ndata:\n", f"\nstringData:\n  registry.crt: |\n{old}\n")
    folder = Folder(tmp_path, secret=text)
    (change,) = folder.repair("SECRET-CA-003")
    assert isinstance(change, EditYaml)
    assert change.edits[0].keys == ("stringData", "registry.crt")
    assert folder.verdict("SECRET-CA-003").status is Status.PASS


def test_an_item_of_a_list_is_edited_in_its_place(tmp_path: Path) -> None:
    item = "".join(f"    {line}\n" for line in secret({"ca.crt": ca().pem}).splitlines())
    text = f"apiVersion: v1\nkind: List\nitems:\n  - kind: ConfigMap\n  -\n{item}"
    folder = Folder(tmp_path, secret=text)
    (change,) = folder.repair("SECRET-CA-002")
    assert isinstance(change, EditYaml)
    assert change.edits[0].keys == ("items", 1, "data", "registry.crt")
    assert folder.verdict("SECRET-CA-003").status is Status.PASS


def test_a_live_secret_is_patched_and_the_pods_that_mount_it_start_anew() -> None:
    patch, roll = planned("SECRET-CA-002", without_key(), healthy()[0], "release")
    assert isinstance(patch, PatchObject)
    assert isinstance(roll, PatchObject)
    assert (patch.kind, patch.uid, patch.resource_version) == ("Secret", "u-3", "1")
    assert patch.patch == {"data": {"registry.crt": RIGHT}}
    assert (roll.kind, roll.name, roll.risk) == ("Deployment", "coderd", Risk.RESTART)
    template = roll.patch["spec"]["template"]
    assert list(template["metadata"]["annotations"]) == ["gapcheck/registry-ca"]


def test_an_immutable_secret_is_left_to_a_person() -> None:
    with pytest.raises(CannotPlan, match="immutable"):
        planned("SECRET-CA-002", without_key(immutable=True), healthy()[0], "release")


def test_without_a_ca_file_no_ca_is_made_up() -> None:
    unknown = site(registry={"host": "registry.local"})
    with pytest.raises(CannotPlan, match=r"registry\.ca_file"):
        planned("SECRET-CA-002", without_key(), unknown, "release")


def test_the_plan_of_a_healthy_site_is_empty() -> None:
    known, facts = healthy()
    for check in ("SECRET-CA-001", "SECRET-CA-002", "SECRET-CA-003", "SECRET-KEY-001"):
        assert planned(check, facts, known, "release") == []
        assert judged(check, facts, known, "release").status is Status.PASS


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (Unreadable("permission denied"), "permission denied"),
        (b"nothing\n", "loads no certificate"),
    ],
)
def test_a_ca_file_that_gives_nothing_gives_no_secret(content: Any, why: str) -> None:
    facts = with_file(without_key(), "site", "ca.crt", content)
    with pytest.raises(CannotPlan, match=why):
        planned("SECRET-CA-002", facts, healthy()[0], "release")


def test_of_a_whole_bundle_only_what_verifies_the_registry_goes_in() -> None:
    bundle = b"".join(authority(f"Root {number}").pem for number in range(9)) + ca().pem
    facts = with_file(without_key(), "site", "ca.crt", bundle)
    patch, _ = planned("SECRET-CA-002", facts, healthy()[0], "release")
    assert isinstance(patch, PatchObject)
    assert patch.patch == {"data": {"registry.crt": RIGHT}}


def test_the_ca_to_come_goes_into_the_manifest_beside_todays(tmp_path: Path) -> None:
    new = authority("Example Registry CA 2027")
    folder = Folder(tmp_path)
    folder.rest = with_file(folder.rest, "site", "ca.crt", ca().pem + new.pem)
    (change,) = folder.repair("SECRET-CA-004")
    assert isinstance(change, EditYaml)
    assert folder.verdict("SECRET-CA-004").status is Status.PASS
    assert folder.verdict("SECRET-CA-003").status is Status.PASS
    assert folder.plan("SECRET-CA-004") == []


def test_the_ca_to_come_goes_into_the_live_secret_and_its_pods_start_anew() -> None:
    new = authority("Example Registry CA 2027")
    known, facts = healthy()
    facts = with_file(facts, "site", "ca.crt", ca().pem + new.pem)
    change, pods = planned("SECRET-CA-004", facts, known, "release")
    assert isinstance(change, PatchObject)
    both = base64.b64encode(ca().pem + new.pem).decode()
    assert change.patch["data"] == {"registry.crt": both}
    assert isinstance(pods, PatchObject)
    assert pods.rolls_out


def test_a_former_ca_goes_out_of_the_secret_as_an_outage_that_is_consented_to(
    tmp_path: Path,
) -> None:
    folder = Folder(tmp_path)
    new = authority("Example Registry CA 2027")
    folder.rest = with_file(folder.rest, "site", "ca.crt", ca().pem + new.pem)
    folder.repair("SECRET-CA-004")
    folder.rest = with_file(folder.rest, "site", "ca.crt", ca().pem)
    assert folder.verdict("SECRET-CA-005").status is Status.WARN
    (change,) = folder.repair("SECRET-CA-005")
    assert isinstance(change, EditYaml)
    assert folder.verdict("SECRET-CA-005").status is Status.PASS
    assert folder.plan("SECRET-CA-005") == []
    assert catalogue().remedies[CheckId("SECRET-CA-005")].risk is Risk.OUTAGE
