from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest
from support.healthy import healthy, site, with_facts
from support.kube import Folder, judged

from gapcheck.fixtures.fact_set import FactSet
from gapcheck.fixtures.facts import Absent, Observed, Present, Unreadable
from gapcheck.model import Status

CHECK = "REL-STATUS-001"


def with_status(status: str) -> FactSet:
    facts = healthy()[1]
    release: Any = facts.by_subject["release"]
    record = msgspec.structs.replace(release.record.value, status=status)
    return with_facts(facts, "release", record=Present(record))


def test_a_deployed_release_passes() -> None:
    known, facts = healthy()
    assert judged(CHECK, facts, known, "release").status is Status.PASS


@pytest.mark.parametrize("status", ["failed", "pending-upgrade", "pending-install", "uninstalling"])
def test_any_other_status_fails(status: str) -> None:
    found = judged(CHECK, with_status(status), healthy()[0], "release")
    assert found.status is Status.FAIL
    assert f"is {status}, not deployed" in found.findings[0].problem


def test_a_pending_one_says_what_helm_will_say() -> None:
    found = judged(CHECK, with_status("pending-upgrade"), healthy()[0], "release")
    assert "another operation (install/upgrade/rollback) is in progress" in (
        found.findings[0].consequence
    )


@pytest.mark.parametrize(
    ("phase", "record", "status"),
    [
        ("installed", Absent(), Status.FAIL),
        ("pre", Absent(), Status.NOT_APPLICABLE),
        ("installed", Unreadable("403"), Status.ERROR),
        ("pre", Unreadable("403"), Status.ERROR),
    ],
)
def test_a_release_that_is_not_installed_depends_on_the_phase(
    phase: str, record: Observed[Any], status: Status
) -> None:
    facts = with_facts(healthy()[1], "release", record=record)
    assert judged(CHECK, facts, site(phase=phase), "release").status is status


def test_a_folder_has_no_status(tmp_path: Path) -> None:
    assert Folder(tmp_path).verdict(CHECK).status is Status.NOT_APPLICABLE
