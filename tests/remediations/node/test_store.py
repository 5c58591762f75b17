from __future__ import annotations

import pytest
from support.certs import authority
from support.healthy import CHANGED, NOW, ca, healthy, other_ca, site, with_file
from support.nodes import FOLDER, put, untrusting
from support.repair import planned

from gapcheck.errors import CannotPlan
from gapcheck.remediations.plan import Literal, RefreshTrustStore, RemoveFile, WriteFile

ANCHORS = "/usr/local/share/ca-certificates"
BUNDLE = "/etc/ssl/certs/ca-certificates.crt"
DAY = 86_400


def stale(age_days: float) -> object:
    old = authority("Example Registry CA 2026")
    facts = put(healthy()[1], "node/debian", f"{ANCHORS}/old.crt", old.pem)
    moment = NOW.timestamp() - age_days * DAY
    for path in (BUNDLE, f"{FOLDER}/ca.crt"):
        facts = with_file(facts, "node/debian", path, ca().pem, mtime=moment)
    return facts


def test_stale_ca_goes_after_the_overlap() -> None:
    facts = stale(7)
    changes = planned("NODE-TRUST-004", facts, site(), "node/debian")
    assert [type(each) for each in changes] == [RemoveFile, RefreshTrustStore]
    assert changes[1].fresh


def test_stale_ca_stays_during_the_overlap() -> None:
    facts = stale(6.9)
    with pytest.raises(CannotPlan, match="less than 7 days"):
        planned("NODE-TRUST-004", facts, site(), "node/debian")


def test_file_with_other_certificates_is_a_persons() -> None:
    old = authority("Example Registry CA 2026")
    facts = put(healthy()[1], "node/debian", f"{ANCHORS}/old.crt", old.pem + ca().pem)
    for path in (BUNDLE, f"{FOLDER}/ca.crt"):
        facts = with_file(facts, "node/debian", path, ca().pem, mtime=CHANGED - 30 * DAY)
    with pytest.raises(CannotPlan, match="by hand"):
        planned("NODE-TRUST-004", facts, site(), "node/debian")


def test_broken_anchor_is_removed_and_the_store_rebuilt() -> None:
    facts = put(healthy()[1], "node/debian", f"{ANCHORS}/bad.crt", ca().pem[:99])
    changes = planned("NODE-TRUST-005", facts, site(), "node/debian")
    assert [type(each) for each in changes] == [RemoveFile, RefreshTrustStore]


def test_registrys_own_ca_file_is_written_anew() -> None:
    facts = put(healthy()[1], "node/debian", f"{FOLDER}/ca.crt", ca().pem[:99])
    change = planned("NODE-TRUST-005", facts, site(), "node/debian")[0]
    assert isinstance(change, WriteFile)
    assert change.content.data == ca().pem


def test_broken_bundle_is_a_persons() -> None:
    facts = put(healthy()[1], "node/debian", BUNDLE, ca().pem + ca().pem[:99])
    with pytest.raises(CannotPlan, match="anchors"):
        planned("NODE-TRUST-005", facts, site(), "node/debian")


def test_former_ca_leaves_the_registrys_folder_after_the_overlap() -> None:
    facts = healthy()[1]
    path = f"{FOLDER}/ca.crt"
    moment = NOW.timestamp() - 8 * DAY
    facts = with_file(facts, "node/debian", BUNDLE, ca().pem, mtime=moment)
    facts = with_file(facts, "node/debian", path, ca().pem + other_ca().pem, mtime=moment)
    change = planned("NODE-TRUST-004", facts, site(), "node/debian")[0]
    assert isinstance(change, WriteFile)
    assert change.content == Literal(ca().pem)


def test_stale_ca_stays_while_the_new_one_is_not_trusted() -> None:
    old = authority("Example Registry CA 2026")
    facts, subject = untrusting("debian", folder=False)
    facts = put(facts, subject, f"{ANCHORS}/old.crt", old.pem)
    with pytest.raises(CannotPlan, match="not trusted here yet"):
        planned("NODE-TRUST-004", facts, site(), subject)


def test_stale_ca_in_the_bundle_alone_is_a_persons() -> None:
    old = authority("Example Registry CA 2026")
    facts, moment = healthy()[1], CHANGED - 30 * DAY
    facts = with_file(facts, "node/debian", BUNDLE, ca().pem + old.pem, mtime=moment)
    facts = with_file(facts, "node/debian", f"{FOLDER}/ca.crt", ca().pem, mtime=moment)
    with pytest.raises(CannotPlan, match="made from other files"):
        planned("NODE-TRUST-004", facts, site(), "node/debian")


def test_broken_file_of_another_registry_is_removed_alone() -> None:
    path = "/etc/containerd/certs.d/docker.io/ca.crt"
    facts = put(healthy()[1], "node/debian", path, ca().pem[:99])
    changes = planned("NODE-TRUST-005", facts, site(), "node/debian")
    assert [type(each) for each in changes] == [RemoveFile]


def test_broken_file_beside_the_bundle_is_removed() -> None:
    path = "/etc/ssl/certs/registry.crt"
    facts = put(healthy()[1], "node/debian", path, ca().pem[:99])
    changes = planned("NODE-TRUST-005", facts, site(), "node/debian")
    assert [type(each) for each in changes] == [RemoveFile, RefreshTrustStore]


def test_broken_bundle_outside_the_trust_folders_is_a_persons() -> None:
    facts = put(healthy()[1], "node/rhel", "/etc/ssl/cert.pem", ca().pem[:99])
    with pytest.raises(CannotPlan, match="find the one"):
        planned("NODE-TRUST-005", facts, site(), "node/rhel")
