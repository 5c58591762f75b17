"""Every fault of a node's runtime and trust: repaired, and then nothing is left to plan."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from support.certs import authority
from support.healthy import (
    CONFIG_1,
    CONFIG_2,
    HOST,
    HOSTS_TOML,
    NOW,
    ca,
    other_ca,
    site,
    with_facts,
    with_file,
)
from support.nodes import (
    BARE_1,
    BARE_2,
    CONFIG,
    FOLDER,
    config,
    docker_node,
    drop,
    guide,
    guide_files,
    image,
    node,
    put,
    unit,
    untrusting,
)
from support.repair import failing, planned, settled

from gapcheck.errors import CannotPlan
from gapcheck.fixtures.fact_set import FactSet
from gapcheck.fixtures.facts import Present
from gapcheck.remediations.plan import EditToml, RestartUnit, WriteFile

Broken = Callable[[], tuple[FactSet, str]]
CONF_D = "/etc/containerd/conf.d/site.toml"
NEW = "io.containerd.cri.v1.images"


def with_config(name: str, text: str, *, folder: bool = False) -> Broken:
    def build() -> tuple[FactSet, str]:
        facts, subject = untrusting(name, folder=folder)
        return config(facts, subject, text), subject

    return build


def with_hosts(name: str, text: str, *, ca_crt: bool = False) -> Broken:
    def build() -> tuple[FactSet, str]:
        facts, subject = untrusting(name)
        facts = facts if ca_crt else drop(facts, subject, f"{FOLDER}/ca.crt")
        return put(facts, subject, f"{FOLDER}/hosts.toml", text), subject

    return build


def empty_folder() -> tuple[FactSet, str]:
    facts, subject = untrusting("rhel")
    facts = drop(drop(facts, subject, f"{FOLDER}/hosts.toml"), subject, f"{FOLDER}/ca.crt")
    _, _, found = node("rhel", facts)
    return with_facts(facts, subject, dirs={**found.dirs, FOLDER: Present(())}), subject


def drop_in(text: str, main: str) -> Broken:
    def build() -> tuple[FactSet, str]:
        facts, subject = untrusting("rhel" if "3" in main[:14] else "debian")
        return put(config(facts, subject, main), subject, CONF_D, text), subject

    return build


def replaced_section() -> tuple[FactSet, str]:
    facts, subject, _ = node("debian")
    facts = config(facts, subject, f'imports = ["{CONF_D}"]\n{CONFIG_1}')
    return put(facts, subject, CONF_D, guide()), subject


def copy_at(name: str, path: str) -> Broken:
    def build() -> tuple[FactSet, str]:
        facts, subject = untrusting(name, folder=False)
        return put(facts, subject, path, ca().pem), subject

    return build


def stale_load() -> tuple[FactSet, str]:
    facts, subject, _ = node("debian")
    facts = drop(drop(facts, subject, f"{FOLDER}/hosts.toml"), subject, f"{FOLDER}/ca.crt")
    bundle = "/etc/ssl/certs/ca-certificates.crt"
    moment = NOW.timestamp() - 5
    return with_file(facts, subject, bundle, other_ca().pem + ca().pem, mtime=moment), subject


def changed_config() -> tuple[FactSet, str]:
    facts, subject, _ = node("debian")
    return with_file(facts, subject, CONFIG, CONFIG_1.encode(), mtime=NOW.timestamp()), subject


def stopped() -> tuple[FactSet, str]:
    facts, subject, _ = node("debian")
    return unit(facts, subject, active_state="failed"), subject


def broken_anchor() -> tuple[FactSet, str]:
    facts, subject, _ = node("debian")
    path = "/usr/local/share/ca-certificates/bad.crt"
    return put(facts, subject, path, ca().pem[:200]), subject


FAULTS: dict[str, tuple[Broken, str]] = {
    "N01-debian": (lambda: untrusting("debian", folder=False), "NODE-TRUST-001"),
    "N01-rhel": (lambda: untrusting("rhel", folder=False), "NODE-TRUST-001"),
    "N02": (copy_at("debian", "/usr/local/share/ca-certificates/ca.pem"), "NODE-TRUST-002"),
    "N03": (copy_at("rhel", "/etc/pki/tls/registry.crt"), "NODE-TRUST-002"),
    "N04": (copy_at("debian", "/usr/local/share/ca-certificates/ca.crt"), "NODE-TRUST-003"),
    "N05": (stale_load, "NODE-TRUST-007"),
    "N08": (broken_anchor, "NODE-TRUST-005"),
    "K01": (with_config("debian", f"version = 2\n{guide()}{guide()}"), "RUN-CONF-001"),
    "K02": (with_config("debian", CONFIG_1 + guide()), "RUN-REG-001"),
    "K03": (with_config("debian", guide()), "RUN-CONF-002"),
    "K03-disabled": (
        with_config("debian", f'disabled_plugins = ["cri"]\n{guide()}'),
        "RUN-CRI-001",
    ),
    "K04": (with_config("rhel", BARE_2 + guide()), "RUN-CONF-002"),
    "K04-new-id": (
        with_config("rhel", BARE_2 + guide().replace("io.containerd.grpc.v1.cri", NEW)),
        "RUN-CONF-002",
    ),
    "K05": (with_config("debian", BARE_1 + guide()), "RUN-TLS-001"),
    "K05-hosts": (with_hosts("rhel", f"{HOSTS_TOML}  skip_verify = true\n"), "RUN-TLS-001"),
    "K05-top": (with_hosts("rhel", f"skip_verify = true\n{HOSTS_TOML}"), "RUN-TLS-001"),
    "K07": (with_config("debian", BARE_1 + guide("")), "RUN-CONF-002"),
    "K07-2.x": (with_config("rhel", BARE_2 + guide("")), "RUN-CONF-002"),
    "K08": (with_config("debian", CONFIG_1), "RUN-REG-001"),
    "K09": (with_hosts("debian", f'server = "https://{HOST}"\nca = "ca.pem"\n'), "RUN-HOSTS-001"),
    "K10-syntax": (with_hosts("rhel", "[host.\n"), "RUN-HOSTS-001"),
    "K10-capability": (
        with_hosts("rhel", f'[host."https://{HOST}"]\ncapabilities = ["fetch"]\n'),
        "RUN-HOSTS-001",
    ),
    "K11": (with_hosts("rhel", HOSTS_TOML), "RUN-HOSTS-001"),
    "K12": (
        with_hosts("rhel", HOSTS_TOML.replace(', "resolve"', ""), ca_crt=True),
        "RUN-HOSTS-001",
    ),
    "K13": (empty_folder, "RUN-HOSTS-001"),
    "K14": (replaced_section, "RUN-CONF-002"),
    "K15": (
        with_config("debian", f'disabled_plugins = ["io.containerd.grpc.v1.cri"]\n{CONFIG_1}'),
        "RUN-CRI-001",
    ),
    "K16": (changed_config, "RUN-LOAD-001"),
    "down": (stopped, "RUN-LOAD-001"),
    "K25": (with_config("rhel", BARE_2, folder=True), "RUN-CONF-002"),
    "K26": (with_config("rhel", CONFIG_2 + guide(), folder=True), "RUN-CONF-002"),
    "K27-registry": (
        drop_in(f'[plugins."{NEW}".registry]\nconfig_path = "/etc/containerd/certs.d"\n', BARE_2),
        "RUN-CONF-002",
    ),
    "K27-other": (drop_in("[debug]\nlevel = 'info'\n", CONFIG_2), "RUN-CONF-002"),
}  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS)
def test_fault_is_found_repaired_and_then_nothing_is_planned(fault: str) -> None:
    broken, check = FAULTS[fault]
    facts, subject = broken()
    assert check in failing(facts, site(), subject)
    repaired, rounds = settled(facts, site(), subject)
    assert failing(repaired, site(), subject) == {}
    assert 1 <= rounds <= 2
    assert settled(repaired, site(), subject)[1] == 0


@pytest.mark.parametrize("policy", ["os", "both"])
@pytest.mark.parametrize("name", ["debian", "rhel"])
def test_policy_puts_the_ca_into_the_system_store(policy: str, name: str) -> None:
    facts, subject = untrusting(name, folder=False)
    of = site(policy={"trust": policy})
    repaired, _ = settled(facts, of, subject)
    assert failing(repaired, of, subject) == {}
    found = repaired.by_subject[subject]
    anchors = [path for path in found.files if "gapcheck-" in path]
    assert len(anchors) == 1
    assert (f"{FOLDER}/ca.crt" in found.files) is (policy == "both")


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("debian", f"version = 2\n{guide()}"),
        ("debian", f"version = 2\n{guide('')}"),
        ("debian", guide()),
        ("rhel", f"version = 3\n{guide()}"),
        ("rhel", CONFIG_2 + guide()),
    ],
)
def test_image_root_that_the_guide_prepared_is_repaired_without_restarts(
    name: str, text: str
) -> None:
    of, facts, subject = image(name, text, guide_files())
    assert {"NODE-TRUST-001", "NODE-TRUST-002", "RUN-TLS-001"} <= set(failing(facts, of, subject))
    changes = planned("RUN-TLS-001", facts, of, subject)
    assert not any(isinstance(each, RestartUnit) for each in changes)
    repaired, rounds = settled(facts, of, subject)
    assert failing(repaired, of, subject) == {}
    assert rounds == 1


def test_equal_state_is_planned_from_every_finding_so_that_plans_merge() -> None:
    facts, subject = untrusting("rhel", folder=False)
    facts = config(facts, subject, CONFIG_2 + guide())
    wanted = {each.id for each in planned("NODE-TRUST-001", facts, site(), subject)}
    for check in ("RUN-CONF-002", "RUN-TLS-001"):
        assert {each.id for each in planned(check, facts, site(), subject)} == wanted


def test_folder_alone_needs_no_restart() -> None:
    facts, subject = untrusting("debian", folder=False)
    changes = planned("NODE-TRUST-001", facts, site(), subject)
    assert [type(each) for each in changes] == [WriteFile, WriteFile]
    assert [each.path for each in changes if isinstance(each, WriteFile)] == [
        f"{FOLDER}/ca.crt",
        f"{FOLDER}/hosts.toml",
    ]


def test_changed_configuration_is_followed_by_one_restart() -> None:
    facts, subject = untrusting("debian", folder=False)
    facts = config(facts, subject, BARE_1 + guide())
    changes = planned("RUN-TLS-001", facts, site(), subject)
    assert [type(each) for each in changes] == [WriteFile, WriteFile, EditToml, RestartUnit]


def test_absent_configuration_is_written_for_the_generation() -> None:
    for name, version in (("debian", 2), ("rhel", 3)):
        facts, subject = untrusting(name, folder=False)
        facts = drop(facts, subject, CONFIG)
        repaired, _ = settled(facts, site(), subject)
        assert failing(repaired, site(), subject) == {}
        found = repaired.by_subject[subject].files[CONFIG]
        assert repaired.blobs[found.value.blob].startswith(f"version = {version}\n".encode())


def test_old_ca_stays_beside_the_new_one() -> None:
    old = authority("Former CA")
    facts, subject = untrusting("rhel")
    facts = put(facts, subject, f"{FOLDER}/ca.crt", old.pem)
    change = next(iter(planned("NODE-TRUST-001", facts, site(), subject)))
    assert isinstance(change, WriteFile)
    assert change.content.data == ca().pem + old.pem


def test_mirror_of_another_host_keeps_its_entry() -> None:
    facts, subject = untrusting("rhel")
    mirror = '[host."https://mirror.local"]\n  capabilities = ["pull"]\n'
    text = f'server = "https://{HOST}"\n{mirror}'
    facts = put(facts, subject, f"{FOLDER}/hosts.toml", text)
    repaired, _ = settled(facts, site(), subject)
    assert failing(repaired, site(), subject) == {}
    found = repaired.by_subject[subject].files[f"{FOLDER}/hosts.toml"]
    assert mirror.encode() in repaired.blobs[found.value.blob]


FOREIGN = guide("other.example")
MIRROR = '\n[plugins."{}".registry.mirrors."docker.io"]\nendpoint = ["https://m"]\n'


def test_tls_of_another_registry_on_1_x_is_kept_by_the_legacy_form() -> None:
    facts, subject = untrusting("debian", folder=False)
    facts = config(facts, subject, BARE_1 + FOREIGN + guide())
    repaired, _ = settled(facts, site(), subject)
    assert failing(repaired, site(), subject) == {}
    found = repaired.by_subject[subject].files[CONFIG]
    text = repaired.blobs[found.value.blob].decode()
    assert FOREIGN.strip() in text
    assert "config_path" not in text


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("debian", CONFIG_1 + FOREIGN),
        ("debian", CONFIG_1 + MIRROR.format("io.containerd.grpc.v1.cri")),
        ("rhel", CONFIG_2 + MIRROR.format(NEW)),
    ],
)
def test_settings_of_other_registries_that_exclude_config_path_are_a_persons(
    name: str, text: str
) -> None:
    facts, subject = untrusting(name, folder=False)
    facts = config(facts, subject, text)
    with pytest.raises(CannotPlan, match="by hand"):
        planned("RUN-REG-001", facts, site(), subject)


def test_mixed_formats_of_1_x_are_a_persons() -> None:
    facts, subject = untrusting("debian", folder=False)
    facts = config(facts, subject, f'[plugins.cri]\nsandbox_image = "x"\n{guide()}')
    with pytest.raises(CannotPlan, match="two formats"):
        planned("RUN-CONF-002", facts, site(), subject)


def test_file_of_the_first_format_is_kept_in_it() -> None:
    facts, subject = untrusting("debian", folder=False)
    facts = config(facts, subject, '[plugins.cri]\nsandbox_image = "registry.local/pause:3.9"\n')
    repaired, _ = settled(facts, site(), subject)
    assert failing(repaired, site(), subject) == {}
    found = repaired.by_subject[subject].files[CONFIG]
    assert b"[plugins.cri.registry]" in repaired.blobs[found.value.blob]


def test_site_without_ca_file_cannot_be_planned() -> None:
    facts, subject = untrusting("debian", folder=False)
    of = site(registry={"host": HOST, "address": "10.0.0.2"})
    with pytest.raises(CannotPlan, match="ca_file"):
        planned("NODE-TRUST-001", facts, of, subject)


def test_docker_gets_its_folder_and_loses_the_insecure_entry() -> None:
    facts, subject = untrusting("debian", folder=False)
    text = '{"insecure-registries": ["registry.local", "other:5000"]}'
    facts = docker_node(facts, subject, text)
    changes = planned("RUN-TLS-001", facts, site(), subject)
    edited = {each.path: each for each in changes if not isinstance(each, RestartUnit)}
    assert set(edited) == {
        f"/etc/docker/certs.d/{HOST}/ca.crt",
        "/etc/docker/daemon.json",
    }
    assert edited["/etc/docker/daemon.json"].edits[0].value == ["other:5000"]


def test_network_in_insecure_registries_is_a_persons() -> None:
    facts, subject = untrusting("debian", folder=False)
    facts = docker_node(facts, subject, '{"insecure-registries": ["10.0.0.0/24"]}')
    with pytest.raises(CannotPlan, match="others may rely"):
        planned("RUN-TLS-001", facts, site(), subject)


@pytest.mark.parametrize("present", [True, False])
def test_k3s_gets_its_registries_file(present: bool) -> None:
    facts, subject = untrusting("debian", folder=False)
    _, _, found = node("debian", facts)
    facts = with_facts(
        facts,
        subject,
        units={"k3s.service": found.units["containerd.service"]},
        dirs={**found.dirs, "/etc/rancher/k3s": Present(())},
    )
    if present:
        text = 'configs:\n  "registry.local":\n    tls:\n      insecure_skip_verify: true\n'
        facts = put(facts, subject, "/etc/rancher/k3s/registries.yaml", text)
    changes = planned("NODE-TRUST-001", facts, site(), subject)
    paths = [each.path for each in changes if not isinstance(each, RestartUnit)]
    assert paths == [
        f"{FOLDER}/ca.crt",
        "/etc/rancher/k3s/registries.yaml",
    ]


def test_other_folders_skip_goes_from_its_own_file() -> None:
    facts, subject, _ = node("rhel")
    path = f"/etc/docker/certs.d/{HOST}/hosts.toml"
    facts = put(facts, subject, path, f"skip_verify = true\n{HOSTS_TOML}  skip_verify = true\n")
    repaired, rounds = settled(facts, site(), subject)
    assert failing(repaired, site(), subject) == {}
    assert rounds == 1


def test_mirrors_missing_ca_goes_so_that_pulls_work_again() -> None:
    facts, subject = untrusting("rhel")
    mirror = '\n[host."https://mirror.local"]\n  capabilities = ["pull"]\n  ca = "gone.crt"\n'
    facts = put(facts, subject, f"{FOLDER}/hosts.toml", HOSTS_TOML + mirror)
    assert "RUN-HOSTS-001" in failing(facts, site(), subject)
    repaired, _ = settled(facts, site(), subject)
    assert failing(repaired, site(), subject) == {}


def test_plain_http_entry_goes() -> None:
    facts, subject = untrusting("rhel")
    facts = put(facts, subject, f"{FOLDER}/hosts.toml", f'[host."http://{HOST}"]\n')
    repaired, _ = settled(facts, site(), subject)
    assert failing(repaired, site(), subject) == {}


def test_credentials_of_another_registry_keep_their_table_on_2_x() -> None:
    facts, subject = untrusting("rhel", folder=False)
    auth = '\n[plugins."io.containerd.grpc.v1.cri".registry.configs."other".auth]\nusername = "u"\n'
    facts = config(facts, subject, CONFIG_2 + auth + guide())
    repaired, _ = settled(facts, site(), subject)
    assert failing(repaired, site(), subject) == {}
    found = repaired.by_subject[subject].files[CONFIG]
    assert b'username = "u"' in repaired.blobs[found.value.blob]


def test_own_mirror_is_replaced_by_the_folder() -> None:
    for name, plugin, text in (
        ("debian", "io.containerd.grpc.v1.cri", BARE_1),
        ("rhel", NEW, BARE_2),
    ):
        facts, subject = untrusting(name, folder=False)
        table = f'\n[plugins."{plugin}".registry.mirrors."{HOST}"]\n'
        facts = config(facts, subject, f'{text}{table}endpoint = ["http://{HOST}"]\n')
        assert "RUN-TLS-001" in failing(facts, site(), subject)
        repaired, _ = settled(facts, site(), subject)
        assert failing(repaired, site(), subject) == {}


def test_policy_os_removes_the_skip_without_a_folder() -> None:
    of = site(policy={"trust": "os"})
    for name, text in (("debian", BARE_1 + guide()), ("rhel", BARE_2 + guide())):
        facts, subject = untrusting(name, folder=False)
        facts = config(facts, subject, text)
        repaired, _ = settled(facts, of, subject)
        assert failing(repaired, of, subject) == {}


def test_registrys_other_names_in_the_legacy_form_are_cleaned_and_kept_apart() -> None:
    facts, subject = untrusting("debian", folder=False)
    facts = with_facts(facts, subject, containerd_version=Present("1.4.13"))
    facts = config(facts, subject, BARE_1 + guide() + guide(f"{HOST}:443"))
    repaired, _ = settled(facts, site(), subject)
    assert failing(repaired, site(), subject) == {}
    found = repaired.by_subject[subject].files[CONFIG]
    text = repaired.blobs[found.value.blob].decode()
    assert "ca_file" in text
    assert "insecure" not in text
