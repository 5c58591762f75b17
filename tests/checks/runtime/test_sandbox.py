from __future__ import annotations

import pytest
from support.healthy import CONFIG_1, healthy, site, verdict_of
from support.nodes import config, node

from gapcheck.model import Severity, Status


def test_pause_image_of_the_registry_passes() -> None:
    of, facts = healthy()
    for name in ("debian", "rhel"):
        assert verdict_of("RUN-SANDBOX-001", facts, of, f"node/{name}").status is Status.PASS


@pytest.mark.parametrize("image", ["registry.k8s.io/pause:3.9", "pause:3.9", "Registry/Bad Name"])
def test_pause_image_from_elsewhere_fails(image: str) -> None:
    facts, subject, _ = node("debian")
    text = CONFIG_1.replace("registry.local/pause:3.9", image)
    verdict = verdict_of("RUN-SANDBOX-001", config(facts, subject, text), site(), subject)
    assert verdict.status is Status.FAIL


def test_built_in_pause_image_only_warns() -> None:
    facts, subject, _ = node("rhel")
    verdict = verdict_of(
        "RUN-SANDBOX-001", config(facts, subject, "version = 3\n"), site(), subject
    )
    assert verdict.severity is Severity.MINOR
