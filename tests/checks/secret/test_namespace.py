from __future__ import annotations

from pathlib import Path

from support.healthy import healthy, with_facts
from support.kube import Folder, judged

from gapcheck.fixtures.facts import Present, Unreadable
from gapcheck.model import Status

CHECK = "SECRET-NS-001"


def test_an_existing_namespace_passes() -> None:
    site, facts = healthy()
    assert judged(CHECK, facts, site, "release").status is Status.PASS


def test_a_missing_namespace_fails_with_what_kubectl_says() -> None:
    site, facts = healthy()
    facts = with_facts(facts, "release", namespace_exists=Present(value=False))
    verdict = judged(CHECK, facts, site, "release")
    assert verdict.status is Status.FAIL
    assert 'namespaces "coder" not found' in verdict.findings[0].consequence


def test_an_unreadable_namespace_is_an_error() -> None:
    site, facts = healthy()
    facts = with_facts(facts, "release", namespace_exists=Unreadable("forbidden"))
    assert judged(CHECK, facts, site, "release").status is Status.ERROR


def test_a_folder_without_a_namespace_object_says_nothing(tmp_path: Path) -> None:
    found = Folder(tmp_path, namespace=None).verdict(CHECK)
    assert found.status is Status.NOT_APPLICABLE


def test_a_folder_with_the_namespace_passes(tmp_path: Path) -> None:
    assert Folder(tmp_path).verdict(CHECK).status is Status.PASS
