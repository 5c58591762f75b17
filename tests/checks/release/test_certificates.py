from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest
from support.healthy import healthy, site, with_facts
from support.kube import VALUES, Folder, judged
from support.manifests import coderd

from gapcheck.fixtures.fact_set import FactSet
from gapcheck.fixtures.facts import Present, Unreadable
from gapcheck.model import Status, Verdict

CHECK = "REL-CERT-001"


def with_mount(path: str, sub_path: str = "registry.crt") -> FactSet:
    facts = healthy()[1]
    release: Any = facts.by_subject["release"]
    workload, *others = release.workloads.value
    mount = msgspec.structs.replace(workload.containers[0].mounts[0], path=path, sub_path=sub_path)
    container = msgspec.structs.replace(workload.containers[0], mounts=(mount,))
    changed = msgspec.structs.replace(workload, containers=(container,))
    return with_facts(facts, "release", workloads=Present((changed, *others)))


def verdict(facts: FactSet) -> Verdict:
    return judged(CHECK, facts, healthy()[0], "release")


def test_the_guides_mount_passes(tmp_path: Path) -> None:
    assert verdict(healthy()[1]).status is Status.PASS
    assert Folder(tmp_path).verdict(CHECK).status is Status.PASS


@pytest.mark.parametrize("path", ["/etc/ssl/certs/any.pem", "/etc/pki/tls/certs/x"])
def test_any_file_in_a_folder_that_go_reads_will_do(path: str) -> None:
    assert verdict(with_mount(path)).status is Status.PASS


@pytest.mark.parametrize(
    "path",
    [
        "/etc/ssl/certs/coder/registry.crt",
        "/usr/local/share/ca-certificates/registry.crt",
        "/certs/registry.crt",
    ],
)
def test_a_file_elsewhere_is_not_read(path: str) -> None:
    found = verdict(with_mount(path))
    assert found.status is Status.FAIL
    assert "SSL_CERT_FILE" in found.findings[0].problem


def with_env(facts: FactSet, **variables: Any) -> FactSet:
    release: Any = facts.by_subject["release"]
    workload, *others = release.workloads.value
    container = msgspec.structs.replace(
        workload.containers[0],
        trust_env={
            name: Present(value) if isinstance(value, str) else value
            for name, value in variables.items()
        },
    )
    changed = msgspec.structs.replace(workload, containers=(container,))
    return with_facts(facts, "release", workloads=Present((changed, *others)))


UNKNOWN = Unreadable("it comes from another object")
GUIDE = "/etc/ssl/certs/registry.crt"


# Each row was measured with Go 1.26: crypto/x509.SystemCertPool under these variables.
@pytest.mark.parametrize(
    ("path", "variables", "status"),
    [
        (GUIDE, {"SSL_CERT_DIR": "/opt/ca"}, Status.FAIL),
        (GUIDE, {"SSL_CERT_DIR": "/opt/ca:/etc/ssl/certs"}, Status.PASS),
        (GUIDE, {"SSL_CERT_DIR": ""}, Status.PASS),
        (GUIDE, {"SSL_CERT_FILE": "/opt/ca.pem"}, Status.PASS),
        (GUIDE, {"SSL_CERT_FILE": GUIDE, "SSL_CERT_DIR": "/opt/ca"}, Status.PASS),
        ("/opt/ca/registry.crt", {"SSL_CERT_DIR": "/opt/ca/"}, Status.PASS),
        ("/opt/ca.pem", {"SSL_CERT_FILE": "/opt/ca.pem"}, Status.PASS),
        ("/opt/ca.pem", {"SSL_CERT_DIR": "/etc:/srv"}, Status.FAIL),
        (GUIDE, {"SSL_CERT_FILE": UNKNOWN}, Status.PASS),
        (GUIDE, {"SSL_CERT_DIR": UNKNOWN}, Status.ERROR),
        ("/opt/ca.pem", {"SSL_CERT_FILE": UNKNOWN}, Status.ERROR),
    ],
)
def test_variables_of_the_container_move_the_places_that_go_reads(
    path: str, variables: dict[str, Any], status: Status
) -> None:
    found = verdict(with_env(with_mount(path), **variables))
    assert found.status is status, found.reason
    if status is Status.FAIL:
        assert f"SSL_CERT_DIR={variables['SSL_CERT_DIR']}" in found.findings[0].problem


@pytest.mark.parametrize(
    ("value", "status"),
    [
        ("value: /opt/ca", Status.FAIL),
        ("value: /etc/ssl/certs", Status.PASS),
        ("valueFrom: {configMapKeyRef: {name: a, key: b}}", Status.ERROR),
        ("value: $(ROOT)/ca", Status.ERROR),
    ],
)
def test_variables_are_read_from_manifests(tmp_path: Path, value: str, status: Status) -> None:
    env = "          env:\n"
    text = coderd().replace(env, f"{env}            - {{name: SSL_CERT_DIR, {value}}}\n")
    assert Folder(tmp_path, coderd=text).verdict(CHECK).status is status


MAP = """apiVersion: v1
kind: ConfigMap
metadata: {name: settings, namespace: coder}
data:
  SSL_CERT_DIR: %s
  OTHER: settings-s3cret
"""


@pytest.mark.parametrize(
    ("source", "objects", "status"),
    [
        ("configMapRef: {name: settings}", MAP % "/opt/ca", Status.FAIL),
        ("configMapRef: {name: settings}", MAP % "/etc/ssl/certs", Status.PASS),
        ("configMapRef: {name: settings}", MAP.replace("SSL_CERT", "X") % "/x", Status.PASS),
        ("configMapRef: {name: settings}", None, Status.ERROR),
        ("configMapRef: {name: settings, optional: true}", None, Status.ERROR),
        ("secretRef: {name: elsewhere}", None, Status.ERROR),
        ("secretRef: {name: local-registry-cert}", None, Status.PASS),
        ("configMapRef: {name: settings}, prefix: APP_", None, Status.PASS),
        ("configMapRef: {name: settings}, prefix: SSL_", MAP % "/opt/ca", Status.PASS),
        (
            "configMapRef: {name: settings}, prefix: SSL_",
            MAP.replace("SSL_CERT", "CERT") % "/opt/ca",
            Status.FAIL,
        ),
        (
            "secretRef: {name: settings}",
            MAP.replace("ConfigMap", "Secret").replace("data:", "stringData:") % "/etc/ssl/certs",
            Status.ERROR,
        ),
    ],
)
def test_variables_of_whole_config_maps_and_secrets_count(
    tmp_path: Path, source: str, objects: str | None, status: Status
) -> None:
    env = "          env:\n"
    text = coderd().replace(env, f"          envFrom: [{{{source}}}]\n{env}")
    folder = Folder(tmp_path, coderd=text, settings=objects)
    found = folder.verdict(CHECK)
    assert found.status is status, found
    if status is Status.ERROR:
        assert source.split("name: ")[1].split(",", maxsplit=1)[0].rstrip("}") in found.reason


def test_what_the_container_sets_itself_counts_more_than_whole_config_maps(tmp_path: Path) -> None:
    env = "          env:\n"
    own = f"{env}            - {{name: SSL_CERT_DIR, value: /etc/ssl/certs}}\n"
    source = "          envFrom: [{configMapRef: {name: settings}}]\n"
    text = coderd().replace(env, f"{source}{own}")
    folder = Folder(tmp_path, coderd=text, settings=MAP % "/opt/ca")
    assert folder.verdict(CHECK).status is Status.PASS


def test_of_two_config_maps_the_later_one_counts(tmp_path: Path) -> None:
    env = "          env:\n"
    names = "{configMapRef: {name: settings}}, {configMapRef: {name: later}}"
    text = coderd().replace(env, f"          envFrom: [{names}]\n{env}")
    later = MAP.replace("settings,", "later,") % "/etc/ssl/certs"
    folder = Folder(tmp_path, coderd=text, settings=MAP % "/opt/ca", later=later)
    assert folder.verdict(CHECK).status is Status.PASS


def test_repair_puts_the_ca_where_the_variables_say(tmp_path: Path) -> None:
    env = "          env:\n"
    text = coderd().replace(env, f"{env}            - {{name: SSL_CERT_DIR, value: /opt/ca}}\n")
    folder = Folder(tmp_path, coderd=text)
    assert folder.verdict(CHECK).status is Status.FAIL
    folder.repair(CHECK)
    assert "mountPath: /opt/ca/registry.crt" in folder.text("manifests/coderd.yaml")
    assert folder.verdict(CHECK).status is Status.PASS


def test_a_file_elsewhere_only_warns_for_a_chart_that_is_not_known() -> None:
    generic = site(release={"profile": "generic", "secret": {}})
    found = judged(CHECK, with_mount("/certs/registry.crt"), generic, "release")
    assert found.status is Status.WARN


def test_the_place_of_the_bundle_would_hide_the_bundle() -> None:
    found = verdict(with_mount("/etc/ssl/certs/ca-certificates.crt"))
    assert found.status is Status.FAIL
    assert "takes the place of the image's bundle" in found.findings[0].problem


def test_the_whole_folder_hides_what_the_image_trusts() -> None:
    found = verdict(with_mount("/etc/ssl/certs", ""))
    assert found.status is Status.WARN
    assert "covers the image's whole folder" in found.findings[0].problem


def test_another_key_by_subpath_is_not_the_ca() -> None:
    found = verdict(with_mount("/etc/ssl/certs/registry.crt", "ca.crt"))
    assert found.status is Status.FAIL
    assert "subPath is ca.crt, the CA is registry.crt" in found.findings[0].problem


def test_a_misspelt_name_in_values_and_volume_is_found(tmp_path: Path) -> None:
    typo = "local-registry-certs"
    text = coderd().replace("secretName: local-registry-cert", f"secretName: {typo}")
    folder = Folder(tmp_path, coderd=text).values(
        VALUES.replace("name: local-registry-cert", f"name: {typo}")
    )
    found = folder.verdict(CHECK)
    assert found.status is Status.FAIL
    assert [each.locus for each in found.findings] == ["values", "local-registry-cert"]
    assert found.findings[0].problem == (
        f"the values give {typo} as the name of the certificate secret; it is local-registry-cert"
    )


def test_another_key_in_the_values_is_found(tmp_path: Path) -> None:
    folder = Folder(tmp_path).values(VALUES.replace("key: registry.crt", "key: ca.crt"))
    found = folder.verdict(CHECK)
    assert "give ca.crt as the key" in found.findings[0].problem


def test_no_mount_at_all_is_found(tmp_path: Path) -> None:
    text = coderd().partition("          volumeMounts:")[0]
    found = Folder(tmp_path, coderd=text).verdict(CHECK)
    assert found.status is Status.FAIL
    assert found.findings[0].problem == "no container mounts the secret local-registry-cert"


def test_items_that_leave_the_key_out_are_found() -> None:
    facts = healthy()[1]
    release: Any = facts.by_subject["release"]
    workload, *others = release.workloads.value
    volume = msgspec.structs.replace(workload.volumes[0], items={"other": "registry.crt"})
    changed = msgspec.structs.replace(workload, volumes=(volume,))
    facts = with_facts(facts, "release", workloads=Present((changed, *others)))
    assert "the volume's items leave out registry.crt" in verdict(facts).findings[0].problem


def test_a_list_of_certificate_secrets_is_read_too() -> None:
    facts = healthy()[1]
    release: Any = facts.by_subject["release"]
    named = {
        "coder.certs.secrets[0].name": "git-ca",
        "coder.certs.secrets[0].key": "ca.crt",
        "coder.certs.secrets[1].name": "local-registry-cert",
        "coder.certs.secrets[1].key": "registry.crt",
    }
    record = msgspec.structs.replace(release.record.value, user_values=named)
    facts = with_facts(facts, "release", record=Present(record))
    assert verdict(facts).status is Status.PASS
