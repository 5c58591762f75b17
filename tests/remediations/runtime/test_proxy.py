from __future__ import annotations

import pytest
from support.healthy import site
from support.nodes import node, unit
from support.repair import planned

from gapcheck.errors import CannotPlan
from gapcheck.remediations.plan import RestartUnit, WriteFile

PROXY = {"HTTPS_PROXY": "http://proxy.local:3128"}


def test_registry_is_added_to_what_is_excepted_already() -> None:
    facts, subject, _ = node("debian")
    facts = unit(facts, subject, environment={**PROXY, "NO_PROXY": "localhost, .corp"})
    write, restart = planned("RUN-PROXY-001", facts, site(), subject)
    assert isinstance(write, WriteFile)
    assert write.path.startswith("/etc/systemd/system/containerd.service.d/")
    assert b'"NO_PROXY=localhost,.corp,registry.local"' in write.content.data
    assert isinstance(restart, RestartUnit)


def test_value_that_systemd_would_read_otherwise_is_a_persons() -> None:
    facts, subject, _ = node("debian")
    facts = unit(facts, subject, environment={**PROXY, "NO_PROXY": 'a"b'})
    with pytest.raises(CannotPlan, match="by hand"):
        planned("RUN-PROXY-001", facts, site(), subject)
