from __future__ import annotations

from typing import Any

import pytest
from support.healthy import NOW, ca, healthy, other_ca, site, with_facts, with_file
from support.nodes import FOLDER, drop, image, node, put, untrusting
from support.repair import failing, planned, settled

from gapcheck.errors import CannotPlan
from gapcheck.fixtures.fact_set import FactSet
from gapcheck.fixtures.facts import Absent, OsRelease, Present
from gapcheck.model import SubjectId
from gapcheck.remediations.plan import RefreshTrustStore, RestartUnit, WriteFile

BUNDLE = "/etc/ssl/certs/ca-certificates.crt"


def without_runtime(facts: FactSet, subject: str) -> FactSet:
    found: Any = facts.by_subject[SubjectId(subject)]
    facts = with_facts(facts, "cluster", nodes=Absent())
    return with_facts(
        facts,
        subject,
        units={},
        programs={"containerd": Absent(), "dockerd": Absent()},
        files={path: known for path, known in found.files.items() if "containerd" not in path},
        containerd_version=Absent(),
    )


def test_node_without_runtime_gets_the_ca_into_its_system_store() -> None:
    facts, subject = untrusting("debian", folder=False)
    facts = without_runtime(facts, subject)
    changes = planned("NODE-TRUST-001", facts, site(), subject)
    assert [type(each) for each in changes] == [WriteFile, RefreshTrustStore]


def test_store_that_only_was_not_loaded_needs_a_restart_alone() -> None:
    facts, subject, _ = node("debian")
    facts = drop(drop(facts, subject, f"{FOLDER}/hosts.toml"), subject, f"{FOLDER}/ca.crt")
    moment = NOW.timestamp() - 5
    facts = with_file(facts, subject, BUNDLE, other_ca().pem + ca().pem, mtime=moment)
    of = site(policy={"trust": "os"})
    assert [type(each) for each in planned("NODE-TRUST-001", facts, of, subject)] == [RestartUnit]


def test_unknown_distribution_is_a_persons_where_the_system_store_is_wanted() -> None:
    facts, subject = untrusting("debian", folder=False)
    facts = with_facts(facts, subject, os_release=Present(OsRelease(id="talos")))
    with pytest.raises(CannotPlan, match="trust store is not known"):
        planned("NODE-TRUST-001", facts, site(policy={"trust": "os"}), subject)
    repaired, _ = settled(facts, site(), subject)
    assert failing(repaired, site(), subject) == {}


def test_ca_file_without_certificate_cannot_be_installed() -> None:
    facts, subject = untrusting("debian", folder=False)
    facts = with_file(facts, "site", "ca.crt", ca().der)
    from support.nodes import view

    from gapcheck.remediations.runtime.settle import settle

    with pytest.raises(CannotPlan, match="CERT-FILE-001"):
        list(settle(view(facts, subject)))


def test_both_policy_writes_nothing_into_a_store_that_holds_the_ca() -> None:
    facts = drop(healthy()[1], "node/debian", f"{FOLDER}/ca.crt")
    changes = planned("RUN-HOSTS-001", facts, site(policy={"trust": "both"}), "node/debian")
    assert [each.path for each in changes if isinstance(each, WriteFile)] == [f"{FOLDER}/ca.crt"]


def test_image_root_by_policy_os_is_rebuilt_without_restart() -> None:
    _, facts, subject = image("debian", "version = 2\n", {})
    roots = [{"name": each, "target": f"rootdir://./{each}"} for each in ("debian", "rhel")]
    of = site(cluster=None, nodes=roots, policy={"trust": "os"})
    changes = planned("NODE-TRUST-001", facts, of, subject)
    assert [type(each) for each in changes] == [WriteFile, RefreshTrustStore]
    repaired, _ = settled(facts, of, subject)
    assert failing(repaired, of, subject) == {}


def test_anchor_that_is_there_already_only_needs_a_rebuild() -> None:
    facts, subject = untrusting("debian", folder=False)
    facts = put(facts, subject, "/usr/local/share/ca-certificates/registry.crt", ca().pem)
    of = site(policy={"trust": "os"})
    changes = planned("NODE-TRUST-001", facts, of, subject)
    assert [type(each) for each in changes] == [RefreshTrustStore, RestartUnit]
    assert planned("NODE-TRUST-003", facts, of, subject) == changes
