from __future__ import annotations

import pytest
from support.healthy import HOSTS_TOML, healthy, site, verdict_of, with_facts
from support.nodes import BARE_1, BARE_2, FOLDER, config, docker_node, guide, node, put

from gapcheck.model import Status


def test_healthy_nodes_verify() -> None:
    of, facts = healthy()
    for name in ("debian", "rhel"):
        assert verdict_of("RUN-TLS-001", facts, of, f"node/{name}").status is Status.PASS


def test_skip_in_the_configuration_of_1_x_is_its_own_root() -> None:
    facts, subject, _ = node("debian")
    verdict = verdict_of("RUN-TLS-001", config(facts, subject, BARE_1 + guide()), site(), subject)
    assert verdict.status is Status.FAIL
    assert verdict.root_causes == ()
    assert "may serve any image" in verdict.findings[0].consequence


@pytest.mark.parametrize(
    ("name", "text"),
    [("debian", guide()), ("rhel", BARE_2 + guide()), ("debian", BARE_1 + guide(""))],
)
def test_skip_that_is_not_read_fails_all_the_same(name: str, text: str) -> None:
    facts, subject, _ = node(name)
    verdict = verdict_of("RUN-TLS-001", config(facts, subject, text), site(), subject)
    assert verdict.status is Status.FAIL
    assert [each.check for each in verdict.root_causes] == ["RUN-CONF-002"]


def test_skip_for_another_registry_is_not_this_sites() -> None:
    facts, subject, _ = node("debian")
    text = BARE_1 + guide("other.example")
    assert (
        verdict_of("RUN-TLS-001", config(facts, subject, text), site(), subject).status
        is Status.PASS
    )


@pytest.mark.parametrize(
    "text", [f"{HOSTS_TOML}  skip_verify = true\n", f"skip_verify = true\n{HOSTS_TOML}"]
)
def test_skip_verify_in_hosts_toml_fails(text: str) -> None:
    facts, subject, _ = node("rhel")
    facts = put(facts, subject, f"{FOLDER}/hosts.toml", text)
    verdict = verdict_of("RUN-TLS-001", facts, site(), subject)
    assert verdict.status is Status.FAIL
    assert verdict.findings[0].locus == f"{FOLDER}/hosts.toml"


@pytest.mark.parametrize(
    ("entry", "status"),
    [
        ("registry.local", Status.FAIL),
        ("10.0.0.0/24", Status.FAIL),
        ("10.1.0.0/24", Status.PASS),
        ("other.local", Status.PASS),
    ],
)
def test_insecure_registries_of_docker_that_cover_the_registry_fail(
    entry: str, status: Status
) -> None:
    facts, subject, _ = node("debian")
    facts = docker_node(facts, subject, f'{{"insecure-registries": ["{entry}"]}}')
    assert verdict_of("RUN-TLS-001", facts, site(), subject).status is status


def test_plain_http_mirror_fails() -> None:
    facts, subject, _ = node("debian")
    table = '\n[plugins."io.containerd.grpc.v1.cri".registry.mirrors."registry.local"]\n'
    text = f'{BARE_1}{table}endpoint = ["http://registry.local"]\n'
    verdict = verdict_of("RUN-TLS-001", config(facts, subject, text), site(), subject)
    assert verdict.status is Status.FAIL


def test_k3s_skip_fails_and_is_repaired_in_its_own_file() -> None:
    facts, subject, found = node("debian")
    facts = with_facts(facts, subject, units={"k3s.service": found.units["containerd.service"]})
    path = "/etc/rancher/k3s/registries.yaml"
    text = "configs:\n  registry.local:\n    tls:\n      insecure_skip_verify: true\n"
    facts = put(facts, subject, path, text)
    verdict = verdict_of("RUN-TLS-001", facts, site(), subject)
    assert verdict.status is Status.FAIL
    assert "may serve any image" in verdict.findings[0].consequence


def test_hosts_file_that_does_not_parse_has_no_effect_here() -> None:
    facts, subject, _ = node("rhel")
    facts = put(facts, subject, f"{FOLDER}/hosts.toml", "skip_verify = = true\n")
    assert verdict_of("RUN-TLS-001", facts, site(), subject).status is Status.PASS
