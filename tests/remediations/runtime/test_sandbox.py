from __future__ import annotations

import tomllib

import pytest
from support.healthy import CONFIG_1, site, verdict_of
from support.nodes import CONFIG, config, drop, node
from support.repair import applied, planned

from gapcheck.errors import CannotPlan
from gapcheck.model import Status
from gapcheck.remediations.edits import apply_edit

PUBLIC = CONFIG_1.replace("registry.local/pause:3.9", "registry.k8s.io/pause:3.9")


def test_pause_image_that_the_site_names_is_set() -> None:
    of = site(
        registry={
            "host": "registry.local",
            "ca_file": "ca.crt",
            "images": ["registry.local/k8s/pause:3.9"],
        }
    )
    facts, subject, _ = node("debian")
    facts = config(facts, subject, PUBLIC)
    changes = planned("RUN-SANDBOX-001", facts, of, subject)
    after = apply_edit(changes[0], PUBLIC.encode())
    assert after is not None
    plugin = tomllib.loads(after.decode())["plugins"]["io.containerd.grpc.v1.cri"]
    assert plugin["sandbox_image"] == "registry.local/k8s/pause:3.9"
    repaired = applied(facts, of, changes)
    assert verdict_of("RUN-SANDBOX-001", repaired, of, subject).status is Status.PASS


def test_site_that_names_no_pause_image_needs_a_person() -> None:
    facts, subject, _ = node("debian")
    with pytest.raises(CannotPlan, match=r"registry\.images"):
        planned("RUN-SANDBOX-001", config(facts, subject, PUBLIC), site(), subject)


def test_node_without_configuration_needs_a_person() -> None:
    registry = {"host": "registry.local", "images": ["registry.local/pause:3.9"]}
    facts, subject, _ = node("debian")
    with pytest.raises(CannotPlan, match="config default"):
        planned("RUN-SANDBOX-001", drop(facts, subject, CONFIG), site(registry=registry), subject)
