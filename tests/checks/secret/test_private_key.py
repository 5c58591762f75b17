from __future__ import annotations

from pathlib import Path

from support.healthy import ca, healthy, with_facts
from support.kube import Folder, judged
from support.manifests import secret

from gapcheck.fixtures.facts import Present
from gapcheck.model import Severity, Status

CHECK = "SECRET-KEY-001"


def test_a_secret_with_the_ca_alone_passes(tmp_path: Path) -> None:
    site, facts = healthy()
    assert judged(CHECK, facts, site, "release").status is Status.PASS
    assert Folder(tmp_path).verdict(CHECK).status is Status.PASS


def test_the_private_key_of_the_guides_folder_is_found(tmp_path: Path) -> None:
    text = secret({"registry.crt": ca().pem, "registry.key": ca().key_pem})
    found = Folder(tmp_path, secret=text).verdict(CHECK)
    assert (found.status, found.severity) == (Status.FAIL, Severity.CRITICAL)
    assert found.findings[0].locus == "Secret/coder/local-registry-cert/registry.key"
    assert "counts as leaked" in found.findings[0].consequence


def test_a_private_key_behind_the_certificate_under_one_key_is_found(tmp_path: Path) -> None:
    text = secret({"registry.crt": ca().pem + ca().key_pem})
    assert Folder(tmp_path, secret=text).verdict(CHECK).status is Status.FAIL


def test_a_private_key_in_another_namespace_counts_too(tmp_path: Path) -> None:
    text = secret({"registry.key": ca().key_pem}).replace("namespace: coder", "namespace: x")
    assert Folder(tmp_path, secret=text).verdict(CHECK).status is Status.FAIL


def test_no_secret_is_not_applicable() -> None:
    site, facts = healthy()
    facts = with_facts(facts, "release", secrets=Present(()))
    assert judged(CHECK, facts, site, "release").status is Status.NOT_APPLICABLE
