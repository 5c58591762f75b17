from __future__ import annotations

import pytest
from support.healthy import CONFIG_1, CONFIG_2, ca, site, verdict_of, with_facts, with_file
from support.nodes import BARE_1, FOLDER, config, guide, node, put, untrusting

from gapcheck.fixtures.facts import Absent, Present, Unreadable
from gapcheck.model import Severity, Status

GENERATED = "/var/lib/rancher/k3s/agent/etc/containerd/config.toml"
PORT = site(registry={"host": "registry.local:5000", "address": "10.0.0.2", "ca_file": "ca.crt"})


@pytest.mark.parametrize("name", ["debian", "rhel"])
def test_healthy_settings_are_effective(name: str) -> None:
    facts, subject, _ = node(name)
    verdict = verdict_of("RUN-REG-001", facts, site(), subject)
    assert verdict.status is Status.PASS
    assert verdict.evidence[-1].value == FOLDER


def test_configs_tls_beside_config_path_switches_1_x_off() -> None:
    facts, subject, _ = node("debian")
    verdict = verdict_of("RUN-REG-001", config(facts, subject, CONFIG_1 + guide()), site(), subject)
    assert verdict.severity is Severity.CRITICAL
    assert "`configs.tls` cannot be set when `config_path`" in verdict.findings[0].problem


@pytest.mark.parametrize(("name", "text"), [("debian", CONFIG_1), ("rhel", CONFIG_2)])
def test_mirrors_beside_config_path_switch_every_generation_off(name: str, text: str) -> None:
    plugin = "io.containerd.grpc.v1.cri" if name == "debian" else "io.containerd.cri.v1.images"
    facts, subject, _ = node(name)
    table = f'\n[plugins."{plugin}".registry.mirrors."docker.io"]\nendpoint = ["https://x"]\n'
    verdict = verdict_of("RUN-REG-001", config(facts, subject, text + table), site(), subject)
    assert verdict.severity is Severity.CRITICAL
    assert "`mirrors` cannot be set when `config_path`" in verdict.findings[0].problem


@pytest.mark.parametrize("name", ["debian", "rhel"])
def test_folder_without_the_port_is_not_used(name: str) -> None:
    facts, subject = untrusting(name)
    verdict = verdict_of("RUN-REG-001", facts, PORT, subject)
    assert [each.locus for each in verdict.findings] == [FOLDER]
    trust = verdict_of("NODE-TRUST-001", facts, PORT, subject)
    assert [each.check for each in trust.root_causes] == ["RUN-REG-001"]


@pytest.mark.parametrize("folder", ["registry.local:5000", "registry.local_5000_"])
def test_both_spellings_with_the_port_are_used(folder: str) -> None:
    facts, subject = untrusting("rhel")
    facts = put(facts, subject, f"/etc/containerd/certs.d/{folder}/ca.crt", ca().pem)
    assert verdict_of("RUN-REG-001", facts, PORT, subject).status is Status.PASS
    assert verdict_of("NODE-TRUST-001", facts, PORT, subject).status is Status.PASS


def test_key_without_the_port_is_not_used() -> None:
    facts, subject = untrusting("debian", folder=False)
    facts = config(facts, subject, BARE_1 + guide("registry.local"))
    verdict = verdict_of("RUN-REG-001", facts, PORT, subject)
    assert 'registry.configs."registry.local"' in verdict.findings[0].problem


def test_config_path_that_does_not_exist_fails() -> None:
    facts, subject = untrusting("debian", folder=False)
    verdict = verdict_of("RUN-REG-001", facts, site(), subject)
    assert verdict.findings[0].data["kind"] == "absent"
    trust = verdict_of("NODE-TRUST-001", facts, site(), subject)
    assert [each.check for each in trust.root_causes] == ["RUN-REG-001"]


def test_config_path_that_does_not_exist_is_harmless_with_system_trust() -> None:
    facts, subject, found = node("debian")
    files = {path: known for path, known in found.files.items() if "certs.d" not in path}
    dirs = {**found.dirs, "/etc/containerd/certs.d": Absent()}
    dirs.pop(FOLDER)
    facts = with_facts(facts, subject, files=files, dirs=dirs)
    assert verdict_of("RUN-REG-001", facts, site(), subject).status is Status.PASS


def test_folder_that_cannot_be_listed_is_an_error() -> None:
    facts, subject, found = node("debian")
    dirs = {**found.dirs, "/etc/containerd/certs.d": Unreadable("denied")}
    dirs.pop(FOLDER)
    facts = with_facts(facts, subject, dirs=dirs)
    assert verdict_of("RUN-REG-001", facts, site(), subject).status is Status.ERROR


def test_k3s_key_without_the_port_is_not_used() -> None:
    facts, subject = untrusting("debian", folder=False)
    _, _, found = node("debian", facts)
    unit = found.units["containerd.service"]
    facts = with_facts(facts, subject, units={"k3s.service": unit})
    text = 'configs:\n  "registry.local":\n    tls:\n      ca_file: /etc/ca.pem\n'
    facts = put(facts, subject, "/etc/rancher/k3s/registries.yaml", text)
    facts = put(facts, subject, "/etc/ca.pem", ca().pem)
    facts = with_file(facts, subject, GENERATED, Absent())
    assert isinstance(unit, Present)
    assert verdict_of("RUN-REG-001", facts, site(), subject).status is Status.PASS
    assert verdict_of("NODE-TRUST-001", facts, site(), subject).status is Status.PASS
    verdict = verdict_of("RUN-REG-001", facts, PORT, subject)
    assert 'configs."registry.local"' in verdict.findings[0].problem


def test_settings_in_the_generated_file_of_k3s_alone_are_lost() -> None:
    facts, subject = untrusting("debian", folder=False)
    _, _, found = node("debian", facts)
    facts = with_facts(facts, subject, units={"k3s.service": found.units["containerd.service"]})
    facts = put(facts, subject, "/etc/rancher/k3s/registries.yaml", "mirrors: {}\n")
    facts = put(facts, subject, GENERATED, guide())
    verdict = verdict_of("RUN-REG-001", facts, site(), subject)
    assert [each.data["kind"] for each in verdict.findings] == ["generated"]
    assert verdict.status is Status.FAIL
