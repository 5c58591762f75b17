from __future__ import annotations

import pytest
from support.certs import authority
from support.healthy import ca, healthy, other_ca, site, verdict_of, with_file
from support.nodes import FOLDER, put

from gapcheck.model import Status

ANCHORS = "/usr/local/share/ca-certificates"


def test_healthy_stores_pass() -> None:
    of, facts = healthy()
    for check in ("NODE-TRUST-004", "NODE-TRUST-005"):
        for name in ("debian", "rhel"):
            assert verdict_of(check, facts, of, f"node/{name}").status is Status.PASS


def test_other_ca_of_the_same_name_is_stale() -> None:
    stale = authority("Example Registry CA 2026")
    facts = put(healthy()[1], "node/debian", f"{ANCHORS}/old.crt", stale.pem)
    verdict = verdict_of("NODE-TRUST-004", facts, site(), "node/debian")
    assert verdict.status is Status.WARN
    assert [each.locus for each in verdict.findings] == [f"{ANCHORS}/old.crt"]


def test_ca_of_another_name_is_not_stale() -> None:
    facts = put(healthy()[1], "node/debian", f"{ANCHORS}/other.crt", other_ca().pem)
    assert verdict_of("NODE-TRUST-004", facts, site(), "node/debian").status is Status.PASS


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (lambda: ca().pem[:200], "END line"),
        (lambda: ca().der, "DER"),
        (lambda: ca().pem.rstrip() + other_ca().pem, "same line"),
        (lambda: b"\xef\xbb\xbf" + ca().pem, "byte order mark"),
        (lambda: b"", "no certificate"),
    ],
    ids=["truncated", "der", "joined", "bom", "empty"],
)
def test_broken_anchor_is_found_with_its_defect(content: object, words: str) -> None:
    data = content()
    facts = put(healthy()[1], "node/debian", f"{ANCHORS}/bad.crt", data)
    verdict = verdict_of("NODE-TRUST-005", facts, site(), "node/debian")
    assert verdict.status is Status.FAIL
    assert words in verdict.findings[0].problem
    assert verdict.findings[0].locus == f"{ANCHORS}/bad.crt"


def test_binary_anchor_is_fine_where_the_tool_takes_it() -> None:
    facts = put(healthy()[1], "node/rhel", "/etc/pki/ca-trust/source/anchors/b.der", ca().der)
    assert verdict_of("NODE-TRUST-005", facts, site(), "node/rhel").status is Status.PASS


def test_private_key_in_an_anchor_is_a_leak() -> None:
    facts = with_file(
        healthy()[1], "node/debian", f"{ANCHORS}/k.crt", ca().pem, has_private_key=True
    )
    verdict = verdict_of("NODE-TRUST-005", facts, site(), "node/debian")
    assert verdict.status is Status.FAIL
    assert verdict.findings[0].data["kind"] == "private-key"


def test_broken_bundle_is_reported_once_by_the_anchor_that_broke_it() -> None:
    broken = ca().pem[:200]
    facts = put(healthy()[1], "node/debian", f"{ANCHORS}/bad.crt", broken)
    bundle = "/etc/ssl/certs/ca-certificates.crt"
    facts = put(facts, "node/debian", bundle, ca().pem + broken)
    verdict = verdict_of("NODE-TRUST-005", facts, site(), "node/debian")
    assert [each.locus for each in verdict.findings] == [f"{ANCHORS}/bad.crt"]
    facts = put(facts, "node/debian", f"{ANCHORS}/bad.crt", ca().pem)
    verdict = verdict_of("NODE-TRUST-005", facts, site(), "node/debian")
    assert [each.locus for each in verdict.findings] == [bundle]


def test_certificate_in_the_registrys_folder_that_the_site_does_not_name_is_former() -> None:
    path = f"{FOLDER}/ca.crt"
    facts = put(healthy()[1], "node/debian", path, ca().pem + other_ca().pem)
    verdict = verdict_of("NODE-TRUST-004", facts, site(), "node/debian")
    assert [each.locus for each in verdict.findings] == [path]
    elsewhere = "/etc/containerd/certs.d/docker.io/ca.crt"
    facts = put(healthy()[1], "node/debian", elsewhere, other_ca().pem)
    assert verdict_of("NODE-TRUST-004", facts, site(), "node/debian").status is Status.PASS
