from __future__ import annotations

from support.healthy import CONFIG_1, healthy, site, verdict_of, with_facts
from support.nodes import config, guide, image, node, plugin, unit

from gapcheck.fixtures.facts import Absent, Present, Unreadable
from gapcheck.model import Status


def test_healthy_plugin_passes() -> None:
    of, facts = healthy()
    for name in ("debian", "rhel"):
        assert verdict_of("RUN-CRI-001", facts, of, f"node/{name}").status is Status.PASS


def test_disabled_plugin_fails() -> None:
    facts, subject, _ = node("debian")
    text = f'disabled_plugins = ["io.containerd.grpc.v1.cri"]\n{CONFIG_1}'
    assert (
        verdict_of("RUN-CRI-001", config(facts, subject, text), site(), subject).status
        is Status.FAIL
    )


def test_plugin_that_did_not_load_names_the_settings_as_root() -> None:
    facts, subject, _ = node("debian")
    facts = config(facts, subject, CONFIG_1 + guide())
    error = "invalid plugin config: `configs.tls` cannot be set"
    facts = with_facts(facts, subject, containerd_plugins=Present((plugin("cri", "error", error),)))
    verdict = verdict_of("RUN-CRI-001", facts, site(), subject)
    assert verdict.status is Status.FAIL
    assert [each.check for each in verdict.root_causes] == ["RUN-REG-001"]
    assert error in verdict.findings[0].problem


def test_absent_plugin_fails() -> None:
    facts, subject, _ = node("debian")
    facts = with_facts(facts, subject, containerd_plugins=Present((plugin("images", "ok"),)))
    assert verdict_of("RUN-CRI-001", facts, site(), subject).status is Status.FAIL


def test_stopped_daemon_is_the_root_of_a_missing_plugin() -> None:
    facts, subject, _ = node("debian")
    facts = unit(facts, subject, active_state="failed")
    facts = with_facts(facts, subject, containerd_plugins=Unreadable("no socket"))
    verdict = verdict_of("RUN-CRI-001", facts, site(), subject)
    assert [each.check for each in verdict.root_causes] == ["RUN-LOAD-001"]


def test_unreadable_or_unasked_plugins_are_an_error() -> None:
    facts, subject, _ = node("debian")
    for observed in (Unreadable("denied"), Absent()):
        changed = with_facts(facts, subject, containerd_plugins=observed)
        assert verdict_of("RUN-CRI-001", changed, site(), subject).status is Status.ERROR


def test_image_root_is_judged_by_its_configuration_alone() -> None:
    of, facts, subject = image("debian", "version = 2\n", {})
    assert verdict_of("RUN-CRI-001", facts, of, subject).status is Status.PASS
