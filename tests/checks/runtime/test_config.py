from __future__ import annotations

import pytest
from support.healthy import CONFIG_1, CONFIG_2, healthy, site, verdict_of, with_facts, with_file
from support.nodes import (
    BARE_1,
    BARE_2,
    CONFIG,
    config,
    docker_node,
    guide,
    image,
    node,
    put,
    untrusting,
)

from gapcheck.fixtures.facts import Absent, Present, Unreadable
from gapcheck.model import Severity, Status, Verdict

NEW = "io.containerd.cri.v1.images"
CONF_D = "/etc/containerd/conf.d/site.toml"


def parsed(facts: object, subject: str) -> Verdict:
    return verdict_of("RUN-CONF-001", facts, site(), subject)


def read(facts: object, subject: str) -> Verdict:
    return verdict_of("RUN-CONF-002", facts, site(), subject)


def kinds(verdict: Verdict) -> list[str]:
    return [each.data["kind"] for each in verdict.findings]


@pytest.mark.parametrize("name", ["debian", "rhel"])
def test_healthy_configuration_passes(name: str) -> None:
    facts, subject, _ = node(name)
    assert parsed(facts, subject).status is Status.PASS
    assert read(facts, subject).status is Status.PASS


def test_same_table_twice_is_told_with_both_places() -> None:
    facts, subject, _ = node("debian")
    facts = put(facts, subject, CONFIG, f"version = 2\n{guide()}{guide()}")
    verdict = parsed(facts, subject)
    assert verdict.status is Status.FAIL
    assert "stands twice, in lines 3-4 and 6-7" in verdict.findings[0].problem
    assert read(facts, subject).status is Status.BLOCKED


def test_syntax_error_is_told_with_its_line() -> None:
    facts, subject, _ = node("debian")
    facts = put(facts, subject, CONFIG, "version = 2\n[plugins\n")
    verdict = parsed(facts, subject)
    assert kinds(verdict) == ["syntax"]
    assert "line 2" in verdict.findings[0].problem


def test_unreadable_configuration_is_an_error() -> None:
    facts, subject, _ = node("debian")
    facts = with_file(facts, subject, CONFIG, Unreadable("permission denied"))
    assert parsed(facts, subject).status is Status.ERROR


def test_absent_configuration_is_the_defaults() -> None:
    facts, subject, _ = node("debian")
    facts = with_file(facts, subject, CONFIG, Absent())
    assert parsed(facts, subject).status is Status.PASS


def test_text_of_config_dump_counts() -> None:
    facts, subject, _ = node("rhel")
    facts = with_facts(
        facts, subject, containerd_valid=Present("failed to unmarshal TOML at row 4")
    )
    assert "row 4" in parsed(facts, subject).findings[0].problem


@pytest.mark.parametrize(
    ("version", "written", "status"),
    [
        ("2.4.2", 5, Status.FAIL),
        ("2.4.2", 4, Status.PASS),
        ("2.1.4", 4, Status.FAIL),
        ("2.1.4", 3, Status.PASS),
        ("1.6.20", 3, Status.PASS),
    ],
)
def test_version_newer_than_the_daemon_stops_it(version: str, written: int, status: Status) -> None:
    facts, subject, _ = node("rhel")
    facts = with_facts(facts, subject, containerd_version=Present(version))
    facts = put(facts, subject, CONFIG, f"version = {written}\n")
    assert parsed(facts, subject).status is status


def test_short_name_in_disabled_plugins_stops_a_version_2_daemon() -> None:
    facts, subject, _ = node("debian")
    facts = put(facts, subject, CONFIG, 'version = 2\ndisabled_plugins = ["cri"]\n')
    assert 'invalid disabled plugin URI "cri"' in parsed(facts, subject).findings[0].problem
    facts = put(facts, subject, CONFIG, 'disabled_plugins = ["cri"]\n')
    assert parsed(facts, subject).status is Status.PASS


def test_node_without_runtime_is_not_applicable() -> None:
    facts, subject, found = node("debian")
    facts = with_facts(
        facts,
        subject,
        units={"containerd.service": Absent(), "docker.service": Absent()},
        programs={"containerd": Absent(), "dockerd": Absent()},
        files={path: known for path, known in found.files.items() if "containerd" not in path},
        containerd_version=Absent(),
    )
    facts = with_facts(facts, "cluster", nodes=Absent())
    assert parsed(facts, subject).status is Status.NOT_APPLICABLE


@pytest.mark.parametrize("text", ["{", '{"a": 1,}', "[]", '{"insecure-registries": "x"}'])
def test_daemon_json_that_dockerd_refuses_fails(text: str) -> None:
    facts, subject, _ = node("debian")
    assert parsed(docker_node(facts, subject, text), subject).status is Status.FAIL


def test_docker_without_daemon_json_passes() -> None:
    facts, subject, _ = node("debian")
    assert parsed(docker_node(facts, subject), subject).status is Status.PASS


def test_misspelt_key_of_daemon_json_is_ignored_by_dockerd() -> None:
    facts, subject, _ = node("debian")
    facts = docker_node(facts, subject, '{"insecure-registry": ["registry.local"]}')
    assert kinds(read(facts, subject)) == ["misspelt"]


def test_1_x_skips_long_ids_without_the_version_key() -> None:
    facts, subject, _ = node("debian")
    assert kinds(read(config(facts, subject, guide()), subject)) == ["no-version"]


def test_2_x_reads_long_ids_without_the_version_key() -> None:
    facts, subject, _ = node("rhel")
    text = (
        '[plugins."io.containerd.grpc.v1.cri".registry]\nconfig_path = "/etc/containerd/certs.d"\n'
    )
    assert read(config(facts, subject, text), subject).status is Status.PASS


def test_2_x_drops_configs_tls() -> None:
    facts, subject, _ = node("rhel")
    verdict = read(config(facts, subject, BARE_2 + guide()), subject)
    assert kinds(verdict) == ["dropped-tls"]
    tls = verdict_of("RUN-TLS-001", config(facts, subject, BARE_2 + guide()), site(), subject)
    assert [each.check for each in tls.root_causes] == ["RUN-CONF-002"]


def test_old_table_beside_config_path_of_the_new_id_wipes_it() -> None:
    facts, subject, _ = node("rhel")
    verdict = read(config(facts, subject, CONFIG_2 + guide()), subject)
    assert "replaced-registry" in kinds(verdict)


def test_version_4_does_not_read_the_old_id() -> None:
    facts, subject, _ = node("rhel")
    text = (
        '[plugins."io.containerd.grpc.v1.cri".registry]\nconfig_path = "/etc/containerd/certs.d"\n'
    )
    assert "old-id" in kinds(read(config(facts, subject, f"version = 4\n{text}"), subject))
    assert read(config(facts, subject, f"version = 3\n{text}"), subject).status is Status.PASS


@pytest.mark.parametrize("name", ["debian", "rhel"])
def test_empty_registry_name_is_found(name: str) -> None:
    facts, subject, _ = node(name)
    text = (BARE_1 if name == "debian" else BARE_2) + guide("")
    assert kinds(read(config(facts, subject, text), subject)) == ["empty-name"]


def test_new_id_on_1_x_is_unknown() -> None:
    facts, subject, _ = node("debian")
    assert kinds(read(config(facts, subject, CONFIG_2), subject)) == ["new-id"]


def test_drop_in_of_1_x_replaces_the_cri_section() -> None:
    facts, subject, _ = node("debian")
    facts = config(facts, subject, f'imports = ["{CONF_D}"]\n{CONFIG_1}')
    facts = put(facts, subject, CONF_D, guide())
    verdict = read(facts, subject)
    assert kinds(verdict) == ["replaced-section"]
    assert "sandbox_image" in verdict.findings[0].problem


def test_drop_in_of_2_x_is_joined_key_by_key() -> None:
    facts, subject, _ = node("rhel")
    facts = config(facts, subject, f'imports = ["{CONF_D}"]\n{BARE_2}')
    text = f'[plugins."{NEW}".registry]\nconfig_path = "/etc/containerd/certs.d"\n'
    facts = put(facts, subject, CONF_D, text)
    assert read(facts, subject).status is Status.PASS


def test_drop_in_without_imports_line_is_unread() -> None:
    facts, subject, _ = node("rhel")
    facts = put(facts, subject, CONF_D, f'[plugins."{NEW}".registry]\nconfig_path = "/x"\n')
    assert kinds(read(facts, subject)) == ["unread-dropin"]


def test_imports_by_pattern_reads_the_drop_in() -> None:
    facts, subject, _ = node("rhel")
    facts = config(facts, subject, f'imports = ["/etc/containerd/conf.d/*.toml"]\n{CONFIG_2}')
    facts = put(facts, subject, CONF_D, "[debug]\nlevel = 'info'\n")
    assert read(facts, subject).status is Status.PASS


def test_default_list_with_a_folder_that_transfer_pulls_never_read_fails() -> None:
    facts, subject = untrusting("rhel")
    verdict = read(config(facts, subject, BARE_2), subject)
    assert kinds(verdict) == ["list"]
    assert "(built in)" in verdict.findings[0].problem


def test_default_list_is_minor_where_the_system_store_has_the_ca() -> None:
    facts, subject, found = node("rhel")
    bundle = found.files["/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem"]
    assert isinstance(bundle, Present)
    verdict = read(config(facts, subject, BARE_2), subject)
    assert verdict.severity is Severity.MINOR


@pytest.mark.parametrize(
    "trigger",
    [
        "use_local_image_pull = true",
        "max_concurrent_downloads = 4",
        "discard_unpacked_layers = true",
        "disable_snapshot_annotations = false",
        "image_pull_with_sync_fs = true",
    ],
)
def test_local_pull_mode_reads_the_list(trigger: str) -> None:
    facts, subject = untrusting("rhel")
    text = f'{BARE_2}\n[plugins."{NEW}"]\n{trigger}\n'
    assert read(config(facts, subject, text), subject).status is Status.PASS


def test_2_1_has_no_default_list() -> None:
    facts, subject = untrusting("rhel")
    facts = with_facts(facts, subject, containerd_version=Present("2.1.4"))
    assert read(config(facts, subject, BARE_2), subject).status is Status.PASS


def test_2_0_pulls_locally_and_reads_a_list() -> None:
    facts, subject = untrusting("rhel")
    facts = with_facts(facts, subject, containerd_version=Present("2.0.5"))
    text = CONFIG_2.replace("certs.d", "certs.d:/etc/docker/certs.d")
    assert read(config(facts, subject, text), subject).status is Status.PASS


def test_image_root_is_held_to_the_generation_its_version_belongs_to() -> None:
    of, facts, subject = image("rhel", CONFIG_2 + guide(), {})
    verdict = verdict_of("RUN-CONF-002", facts, of, subject)
    assert "dropped-tls" in kinds(verdict)
    assert "assumed from version = 3" in verdict.evidence[0].value


def test_running_node_whose_version_is_unknown_is_an_error() -> None:
    facts, subject, _ = node("debian")
    facts = with_facts(facts, subject, containerd_version=Unreadable("timeout"))
    assert read(facts, subject).status is Status.BLOCKED
    assert parsed(facts, subject).status is Status.ERROR


def test_healthy_site_passes_as_a_whole() -> None:
    of, facts = healthy()
    for check in ("RUN-CONF-001", "RUN-CONF-002"):
        assert verdict_of(check, facts, of, "node/rhel").status is Status.PASS


def test_k3s_file_that_is_no_yaml_fails() -> None:
    facts, subject, found = node("debian")
    facts = with_facts(facts, subject, units={"k3s.service": found.units["containerd.service"]})
    path = "/etc/rancher/k3s/registries.yaml"
    assert parsed(put(facts, subject, path, "configs: ["), subject).status is Status.FAIL
    assert parsed(put(facts, subject, path, "configs: {}\n"), subject).status is Status.PASS
    assert read(put(facts, subject, path, "{}\n"), subject).status is Status.NOT_APPLICABLE


def test_cri_o_that_mixes_both_formats_does_not_start() -> None:
    facts, subject, found = node("debian")
    facts = with_facts(facts, "cluster", nodes=Absent())
    facts = with_facts(
        facts,
        subject,
        units={"crio.service": found.units["containerd.service"]},
        dirs={**found.dirs, "/etc/containers/registries.conf.d": Absent()},
    )
    text = "[registries.search]\nregistries = ['x']\n[[registry]]\nprefix = 'x'\n"
    facts = put(facts, subject, "/etc/containers/registries.conf", text)
    assert "sysregistry v1/v2" in parsed(facts, subject).findings[0].problem


def test_empty_drop_in_is_no_finding() -> None:
    facts, subject, _ = node("rhel")
    assert read(put(facts, subject, CONF_D, "# nothing\n"), subject).status is Status.PASS


def test_drop_in_that_repeats_the_section_loses_nothing() -> None:
    facts, subject, _ = node("debian")
    facts = config(facts, subject, f'imports = ["{CONF_D}"]\n{CONFIG_1}')
    facts = put(facts, subject, CONF_D, CONFIG_1)
    assert read(facts, subject).status is Status.PASS
