from __future__ import annotations

from typing import Any

import msgspec
import pytest
from support import healthy as h
from support.certs import NOW

from gapcheck.engine import Evaluation
from gapcheck.errors import CannotPlan
from gapcheck.fixtures.fact_set import FactSet
from gapcheck.fixtures.facts import Present
from gapcheck.model import CheckId, Status, SubjectId
from gapcheck.registry import catalogue
from gapcheck.remediations.plan import Change, RestartContainer, SetContainer

REGISTRY = SubjectId("registry")


def with_container(**changes: Any) -> FactSet:
    _, facts = h.healthy()
    old: Any = facts.by_subject[REGISTRY]
    container = msgspec.structs.replace(old.machine.value.container.value, **changes)
    machine = msgspec.structs.replace(old.machine.value, container=Present(container))
    return h.with_facts(facts, "registry", machine=Present(machine))


def planned(check: str, facts: FactSet) -> list[Change]:
    evaluation = Evaluation(h.site(), facts, catalogue(), now=NOW)
    (finding,) = evaluation.verdict(CheckId(check), REGISTRY).findings
    view = evaluation.view(REGISTRY)
    return list(catalogue().remedies[CheckId(check)].plan(finding, view))


def test_a_container_without_a_policy_is_given_one_that_survives_a_reboot() -> None:
    facts = with_container(restart_policy="no")
    assert planned("REG-RUN-001", facts) == [
        SetContainer(
            target=REGISTRY, name="registry", restart_policy="always", before_restart_policy="no"
        )
    ]
    done = with_container(restart_policy="always")
    assert h.verdict_of("REG-RUN-001", done, h.site(), "registry").status is Status.PASS


def test_a_stopped_container_is_started() -> None:
    stopped = with_container(running=False, status="exited")
    assert planned("REG-RUN-002", stopped) == [RestartContainer(target=REGISTRY, name="registry")]


def test_a_container_that_ends_at_every_start_is_left_to_its_log() -> None:
    looping = with_container(running=False, status="restarting", restart_count=7)
    with pytest.raises(CannotPlan, match="docker logs registry"):
        planned("REG-RUN-002", looping)
