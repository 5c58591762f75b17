from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest
from support.healthy import ca, healthy, with_facts
from support.kube import Folder, planned
from support.manifests import secret

from gapcheck.errors import CannotPlan
from gapcheck.fixtures.fact_set import FactSet
from gapcheck.fixtures.facts import Present
from gapcheck.fixtures.kube_facts import SecretKey
from gapcheck.model import Status
from gapcheck.remediations.plan import EditYaml, PatchObject

CHECK = "SECRET-KEY-001"


def leaked(**changes: Any) -> FactSet:
    facts = healthy()[1]
    release: Any = facts.by_subject["release"]
    (known,) = release.secrets.value
    key = SecretKey(name="registry.key", form="other", size=241, has_private_key=True)
    changed = msgspec.structs.replace(known, keys=(*known.keys, key), **changes)
    return with_facts(facts, "release", secrets=Present((changed,)))


def test_the_key_leaves_the_manifest_for_good_and_the_certificate_stays(tmp_path: Path) -> None:
    text = secret({"registry.crt": ca().pem, "registry.key": ca().key_pem})
    folder = Folder(tmp_path, secret=text)
    (change,) = folder.repair(CHECK)
    assert isinstance(change, EditYaml)
    assert change.final
    assert folder.verdict(CHECK).status is Status.PASS
    assert folder.verdict("SECRET-CA-003").status is Status.PASS
    assert folder.text("manifests/secret.yaml") == secret({"registry.crt": ca().pem})
    assert folder.plan(CHECK) == []


def test_a_key_behind_the_certificate_leaves_the_ca_alone_there(tmp_path: Path) -> None:
    folder = Folder(tmp_path, secret=secret({"registry.crt": ca().pem + ca().key_pem}))
    (change,) = folder.repair(CHECK)
    assert isinstance(change, EditYaml)
    assert change.final
    assert folder.text("manifests/secret.yaml") == secret({"registry.crt": ca().pem})


def test_a_live_secret_loses_the_key_and_kubectls_copy_of_it() -> None:
    (change,) = planned(CHECK, leaked(), healthy()[0], "release")
    assert isinstance(change, PatchObject)
    assert change.final
    annotation = "kubectl.kubernetes.io/last-applied-configuration"
    assert change.patch == {
        "data": {"registry.key": None},
        "metadata": {"annotations": {annotation: None}},
    }


def test_no_private_key_is_in_the_plan(tmp_path: Path) -> None:
    text = secret({"registry.crt": ca().pem, "registry.key": ca().key_pem})
    changes = Folder(tmp_path, secret=text).plan(CHECK)
    assert b"PRIVATE" not in msgspec.json.encode(changes)


def test_an_immutable_secret_is_left_to_a_person() -> None:
    with pytest.raises(CannotPlan, match="immutable"):
        planned(CHECK, leaked(immutable=True), healthy()[0], "release")
