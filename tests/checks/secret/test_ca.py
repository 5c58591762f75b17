from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import msgspec
import pytest
from support.certs import authority, issue
from support.healthy import Blobs, ca, healthy, leaf, served, site, with_facts, with_file
from support.kube import Folder, judged
from support.manifests import secret

from gapcheck.fixtures.facts import Absent, FactSet, Present, SecretKey, Unreadable
from gapcheck.model import Status, Verdict


def with_key(facts: FactSet, **changes: Any) -> FactSet:
    """The CA secret's one key changed."""
    release: Any = facts.by_subject["release"]
    (known,) = release.secrets.value
    key = msgspec.structs.replace(known.keys[0], **changes)
    return with_facts(
        facts, "release", secrets=Present((msgspec.structs.replace(known, keys=(key,)),))
    )


def with_pem(facts: FactSet, pem: bytes) -> FactSet:
    blobs = Blobs()
    facts = with_key(facts, blob=blobs.add(pem), size=len(pem))
    return with_facts(facts, "release", blobs.held)


def verdict(check: str, facts: FactSet) -> Verdict:
    return judged(check, facts, healthy()[0], "release")


@pytest.mark.parametrize("check", ["SECRET-CA-001", "SECRET-CA-002", "SECRET-CA-003"])
def test_a_healthy_secret_passes(check: str) -> None:
    assert verdict(check, healthy()[1]).status is Status.PASS


@pytest.mark.parametrize("check", ["SECRET-CA-001", "SECRET-CA-002", "SECRET-CA-003"])
def test_a_healthy_folder_passes(check: str, tmp_path: Path) -> None:
    assert Folder(tmp_path).verdict(check).status is Status.PASS


def test_a_missing_secret_fails_as_kubelet_will_say_it() -> None:
    facts = with_facts(healthy()[1], "release", secrets=Present(()))
    found = verdict("SECRET-CA-001", facts)
    assert found.status is Status.FAIL
    assert 'secret "local-registry-cert" not found' in found.findings[0].consequence


def test_unreadable_secrets_are_an_error_and_never_a_pass() -> None:
    facts = with_facts(healthy()[1], "release", secrets=Unreadable("403: cannot get secrets"))
    for check in ("SECRET-CA-001", "SECRET-KEY-001"):
        found = verdict(check, facts)
        assert found.status is Status.ERROR
        assert "403" in found.reason


def test_a_secret_in_another_namespace_is_said_to_be_there(tmp_path: Path) -> None:
    text = secret({"registry.crt": ca().pem}).replace("namespace: coder", "namespace: default")
    found = Folder(tmp_path, secret=text).verdict("SECRET-CA-001")
    assert found.status is Status.FAIL
    assert "it is in default" in found.findings[0].problem


def test_a_secret_that_may_stand_in_an_unreadable_file_is_an_error(tmp_path: Path) -> None:
    unreadable = {"secret": "kind: [Secret\n"}
    found = Folder(tmp_path, **unreadable).verdict("SECRET-CA-001")
    assert found.status is Status.ERROR
    assert "manifests/secret.yaml" in found.reason


def test_the_wrong_key_name_fails_and_the_right_ca_is_not_asked_for() -> None:
    facts = with_key(healthy()[1], name="ca.crt")
    found = verdict("SECRET-CA-002", facts)
    assert found.status is Status.FAIL
    assert found.findings[0].problem == (
        "the secret local-registry-cert has no key registry.crt; it has ca.crt"
    )
    assert verdict("SECRET-CA-003", facts).status is Status.BLOCKED


@pytest.mark.parametrize(
    ("form", "said"),
    [("der", "binary DER"), ("base64", "base64 twice over"), ("empty", "nothing")],
)
def test_another_form_than_pem_fails(form: str, said: str) -> None:
    found = verdict("SECRET-CA-002", with_key(healthy()[1], form=form, blob=""))
    assert found.status is Status.FAIL
    assert said in found.findings[0].problem


def test_pem_text_that_go_does_not_load_fails() -> None:
    found = verdict("SECRET-CA-002", with_pem(healthy()[1], b"  " + ca().pem))
    assert found.status is Status.FAIL
    assert "Go loads nothing" in found.findings[0].problem


def test_double_base64_in_a_manifest_is_seen(tmp_path: Path) -> None:
    text = secret({"registry.crt": base64.b64encode(ca().pem)})
    found = Folder(tmp_path, secret=text).verdict("SECRET-CA-002")
    assert "base64 twice over" in found.findings[0].problem


def test_an_old_ca_of_the_same_name_is_not_the_right_one() -> None:
    old = authority("Example Registry CA 2026")
    found = verdict("SECRET-CA-003", with_pem(healthy()[1], old.pem))
    assert found.status is Status.FAIL
    assert "is not the CA of the registry" in found.findings[0].problem


def test_an_expired_ca_is_said_to_be_expired() -> None:
    old = authority("Example Registry CA 2019", days=5)
    found = verdict("SECRET-CA-003", with_pem(healthy()[1], old.pem))
    assert "expired on 2026-06-10" in found.findings[0].problem


def test_the_leaf_in_the_place_of_the_ca_fails_although_go_accepts_it_today() -> None:
    assert verdict("SECRET-CA-003", with_pem(healthy()[1], leaf().pem)).status is Status.FAIL


def test_old_and_new_ca_side_by_side_pass() -> None:
    both = authority("Example Registry CA 2019").pem + ca().pem
    assert verdict("SECRET-CA-003", with_pem(healthy()[1], both)).status is Status.PASS


def test_the_self_signed_certificate_of_the_guide_is_its_own_ca() -> None:
    own = issue(is_ca=True)
    facts = with_file(served(healthy()[1], own), "site", "ca.crt", own.pem)
    assert verdict("SECRET-CA-003", with_pem(facts, own.pem)).status is Status.PASS


def test_a_secret_that_verifies_the_registry_is_right_although_the_ca_file_is_not() -> None:
    facts = with_file(healthy()[1], "site", "ca.crt", authority("Other").pem)
    assert verdict("SECRET-CA-003", facts).status is Status.PASS


def test_without_a_served_chain_the_ca_file_decides() -> None:
    registry: Any = healthy()[1].by_subject["registry"]
    silent = msgspec.structs.replace(registry.tls, chain=(), stage="connect", error="refused")
    facts = with_facts(healthy()[1], "registry", tls=silent)
    assert verdict("SECRET-CA-003", facts).status is Status.PASS
    other = with_pem(facts, authority("Other").pem)
    assert verdict("SECRET-CA-003", other).status is Status.FAIL


def test_with_neither_ca_file_nor_chain_the_right_ca_is_not_known() -> None:
    known, facts = healthy()
    registry: Any = facts.by_subject["registry"]
    silent = msgspec.structs.replace(registry.tls, chain=(), stage="connect", error="refused")
    facts = with_facts(facts, "registry", tls=silent)
    host_alone = site(registry={"host": "registry.local"})
    assert known.release == host_alone.release
    assert judged("SECRET-CA-003", facts, host_alone, "release").status is Status.ERROR


def test_no_secret_is_asked_for_where_the_site_names_no_ca() -> None:
    facts = with_facts(healthy()[1], "release", secrets=Present(()))
    public = site(registry={"host": "registry.local"}, release={"name": "coder"})
    assert judged("SECRET-CA-001", facts, public, "release").status is Status.NOT_APPLICABLE


def test_the_secret_that_the_values_name_counts_where_the_site_names_none() -> None:
    facts = healthy()[1]
    release: Any = facts.by_subject["release"]
    (known,) = release.secrets.value
    record = msgspec.structs.replace(
        release.record.value,
        user_values={"certs.secret.name": "own-ca", "certs.secret.key": "ca.pem"},
    )
    own = msgspec.structs.replace(
        known, name="own-ca", keys=(msgspec.structs.replace(known.keys[0], name="ca.pem"),)
    )
    facts = with_facts(facts, "release", record=Present(record), secrets=Present((own,)))
    unnamed = site(release={"name": "coder"})
    assert judged("SECRET-CA-003", facts, unnamed, "release").status is Status.PASS


def test_a_second_key_is_no_matter() -> None:
    facts = healthy()[1]
    release: Any = facts.by_subject["release"]
    (known,) = release.secrets.value
    more = msgspec.structs.replace(known, keys=(SecretKey(name="a.txt", form="other"), *known.keys))
    facts = with_facts(facts, "release", secrets=Present((more,)))
    assert verdict("SECRET-CA-003", facts).status is Status.PASS


def test_a_generic_chart_needs_no_secret_that_nobody_named() -> None:
    facts = with_facts(healthy()[1], "release", secrets=Present(()))
    generic = site(release={"profile": "generic"})
    assert judged("SECRET-CA-001", facts, generic, "release").status is Status.NOT_APPLICABLE
    named = site(release={"profile": "generic", "secret": {}})
    assert judged("SECRET-CA-001", facts, named, "release").status is Status.FAIL


def test_the_guides_secret_counts_where_neither_site_nor_values_name_one() -> None:
    facts = with_facts(healthy()[1], "release", record=Absent())
    unnamed = site(release={"name": "coder"})
    assert judged("SECRET-CA-003", facts, unnamed, "release").status is Status.PASS


def test_without_a_ca_file_the_served_chain_decides() -> None:
    host_alone = site(registry={"host": "registry.local"})
    assert judged("SECRET-CA-003", healthy()[1], host_alone, "release").status is Status.PASS
    other = with_pem(healthy()[1], authority("Other").pem)
    found = judged("SECRET-CA-003", other, host_alone, "release")
    assert "does not verify what the registry serves" in found.findings[0].problem


def test_one_of_two_secrets_of_the_same_name_is_not_enough(tmp_path: Path) -> None:
    folder = Folder(tmp_path, second=secret({"ca.crt": ca().pem}))
    assert folder.verdict("SECRET-CA-002").status is Status.FAIL
    assert folder.verdict("SECRET-CA-003").status is Status.BLOCKED


def test_a_secret_without_the_ca_to_come_warns_while_calls_still_work() -> None:
    new = authority("Example Registry CA 2027")
    facts = with_file(healthy()[1], "site", "ca.crt", ca().pem + new.pem)
    found = verdict("SECRET-CA-004", facts)
    assert found.status is Status.WARN
    assert "Example Registry CA 2027" in found.findings[0].problem
    assert verdict("SECRET-CA-003", facts).status is Status.PASS


def test_a_secret_with_every_ca_of_the_file_passes() -> None:
    new = authority("Example Registry CA 2027")
    facts = with_file(healthy()[1], "site", "ca.crt", ca().pem + new.pem)
    assert verdict("SECRET-CA-004", with_pem(facts, ca().pem + new.pem)).status is Status.PASS


def test_one_ca_in_the_file_asks_nothing_more_of_the_secret() -> None:
    assert verdict("SECRET-CA-004", healthy()[1]).status is Status.NOT_APPLICABLE


def test_unreadable_secrets_leave_the_ca_to_come_unmeasured() -> None:
    new = authority("Example Registry CA 2027")
    facts = with_file(healthy()[1], "site", "ca.crt", ca().pem + new.pem)
    facts = with_facts(facts, "release", secrets=Unreadable("403: cannot get secrets"))
    assert verdict("SECRET-CA-004", facts).status in (Status.BLOCKED, Status.ERROR)


def test_a_former_ca_in_the_secret_is_a_warning() -> None:
    old = authority("Example Registry CA 2019")
    found = verdict("SECRET-CA-005", with_pem(healthy()[1], old.pem + ca().pem))
    assert found.status is Status.WARN
    assert "still holds" in found.findings[0].problem
    assert "Example Registry CA 2019" in found.findings[0].problem


def test_a_secret_with_the_files_own_cas_holds_no_former_one() -> None:
    new = authority("Example Registry CA 2027")
    facts = with_file(healthy()[1], "site", "ca.crt", ca().pem + new.pem)
    assert verdict("SECRET-CA-005", facts).status is Status.PASS
    assert verdict("SECRET-CA-005", with_pem(facts, new.pem + ca().pem)).status is Status.PASS


def test_a_secret_with_a_bundle_is_meant_for_more_than_the_registry() -> None:
    others = b"".join(authority(f"Root {number}").pem for number in range(9))
    facts = with_pem(healthy()[1], ca().pem + others)
    found = verdict("SECRET-CA-005", facts)
    assert (found.status, found.evidence[0].label) == (Status.PASS, "holds a bundle")


def test_a_secret_that_was_not_read_is_never_free_of_former_cas() -> None:
    facts = with_facts(healthy()[1], "release", secrets=Unreadable("403: cannot get secrets"))
    assert verdict("SECRET-CA-005", facts).status in (Status.BLOCKED, Status.ERROR)
