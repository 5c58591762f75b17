from __future__ import annotations

import msgspec
from support.healthy import (
    CONFIG_1,
    NOW,
    STARTED,
    healthy,
    site,
    verdict_of,
    with_facts,
    with_file,
)
from support.nodes import CONFIG, docker_node, image, node, plugin, put, unit

from gapcheck.fixtures.facts import Absent, Present, Unreadable
from gapcheck.model import Status


def test_healthy_daemon_has_loaded_its_configuration() -> None:
    of, facts = healthy()
    for name in ("debian", "rhel"):
        assert verdict_of("RUN-LOAD-001", facts, of, f"node/{name}").status is Status.PASS


def test_configuration_changed_after_the_start_fails() -> None:
    facts, subject, _ = node("debian")
    facts = with_file(facts, subject, CONFIG, CONFIG_1.encode(), mtime=STARTED + 1)
    verdict = verdict_of("RUN-LOAD-001", facts, site(), subject)
    assert verdict.status is Status.FAIL
    assert CONFIG in verdict.findings[0].problem


def test_configuration_as_old_as_the_start_is_loaded() -> None:
    facts, subject, _ = node("debian")
    facts = with_file(facts, subject, CONFIG, CONFIG_1.encode(), mtime=STARTED)
    assert verdict_of("RUN-LOAD-001", facts, site(), subject).status is Status.PASS


def test_changed_unit_files_fail() -> None:
    facts, subject, _ = node("debian")
    facts = unit(facts, subject, need_daemon_reload=True)
    assert verdict_of("RUN-LOAD-001", facts, site(), subject).status is Status.FAIL


def test_changed_drop_in_of_the_unit_fails() -> None:
    facts, subject, _ = node("debian")
    path = "/etc/systemd/system/containerd.service.d/proxy.conf"
    facts = put(facts, subject, path, "[Service]\n", mtime=NOW.timestamp())
    assert verdict_of("RUN-LOAD-001", facts, site(), subject).status is Status.FAIL


def test_stopped_daemon_fails() -> None:
    facts, subject, _ = node("debian")
    facts = unit(facts, subject, active_state="failed")
    verdict = verdict_of("RUN-LOAD-001", facts, site(), subject)
    assert "does not run" in verdict.findings[0].problem


def test_running_folder_other_than_the_files_fails() -> None:
    facts, subject, _ = node("rhel")
    exports = {"RegistryConfigPath": "/etc/containerd/certs.d:/etc/docker/certs.d"}
    images = msgspec.structs.replace(plugin("images", "ok"), exports=exports)
    facts = with_facts(facts, subject, containerd_plugins=Present((images,)))
    verdict = verdict_of("RUN-LOAD-001", facts, site(), subject)
    assert "the file says /etc/containerd/certs.d" in verdict.findings[0].problem


def test_unknown_start_time_is_an_error() -> None:
    facts, subject, _ = node("debian")
    for observed in (Unreadable("no systemctl"), Absent()):
        changed = with_facts(facts, subject, units={"containerd.service": observed})
        assert verdict_of("RUN-LOAD-001", changed, site(), subject).status is Status.ERROR


def test_image_root_loads_nothing() -> None:
    of, facts, subject = image("debian", "version = 2\n", {})
    assert verdict_of("RUN-LOAD-001", facts, of, subject).status is Status.NOT_APPLICABLE


def test_docker_and_k3s_are_judged_by_their_own_files() -> None:
    facts, subject, found = node("debian")
    docker = docker_node(facts, subject, "{}")
    assert verdict_of("RUN-LOAD-001", docker, site(), subject).status is Status.PASS
    docker = put(docker, subject, "/etc/docker/daemon.json", "{}", mtime=NOW.timestamp())
    assert verdict_of("RUN-LOAD-001", docker, site(), subject).status is Status.FAIL
    k3s = with_facts(facts, subject, units={"k3s.service": found.units["containerd.service"]})
    path = "/etc/rancher/k3s/registries.yaml"
    k3s = put(k3s, subject, path, "{}", mtime=NOW.timestamp())
    assert verdict_of("RUN-LOAD-001", k3s, site(), subject).status is Status.FAIL


def test_plugins_that_cannot_be_asked_leave_the_times_to_judge_by() -> None:
    facts, subject, _ = node("rhel")
    facts = with_facts(facts, subject, containerd_plugins=Unreadable("denied"))
    assert verdict_of("RUN-LOAD-001", facts, site(), subject).status is Status.PASS
