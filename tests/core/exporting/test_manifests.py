from __future__ import annotations

import base64
import json
import shlex
import subprocess
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from ruamel.yaml import YAML
from support.certs import NOW
from support.healthy import ADDRESS, COREFILE, HOST, ca, healthy, other_ca, site, with_facts
from support.kube import DNS_ENTRY, Folder, with_texts, with_upstream
from support.manifests import secret
from support.needs import program

from gapcheck.engine import Evaluation
from gapcheck.exits import Exit
from gapcheck.exporting.manifests import manifests
from gapcheck.exporting.source import Export, Source
from gapcheck.fixtures.facts import (
    Absent,
    FactSet,
    HostAlias,
    Present,
    SecretKey,
    Unreadable,
)
from gapcheck.model import SubjectId
from gapcheck.registry import catalogue
from gapcheck.remediations.planner import Wanted
from gapcheck.site import Site

BARE = COREFILE.replace(DNS_ENTRY, "")


def exported(facts: FactSet, of: Site | None = None) -> Export:
    evaluation = Evaluation(of or site(), facts, catalogue(), now=NOW)
    return manifests(Source(evaluation=evaluation, wanted=Wanted(), asked=lambda _c, _s: True))


def documents(found: Export) -> list[Any]:
    return [each for each in YAML(typ="safe").load_all(found.text) if each is not None]


def commands(found: Export) -> list[list[str]]:
    lines = [line for line in found.text.splitlines() if line.startswith("# $ ")]
    return [shlex.split(line.removeprefix("# $ ")) for line in lines]


def kubectl(folder: Path, body: Any, *words: str) -> Any:
    """What a real kubectl makes of the object `body`; no server is asked."""
    path = folder / "object.json"
    path.write_text(json.dumps(body))
    command = [program("kubectl"), "patch", "--local", "-f", path, "-o", "json", *words]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def run(folder: Path, body: Any, command: Iterable[str]) -> Any:
    """The object after one of the commands of an export."""
    words = list(command)
    at = words.index("patch")
    assert words[at + 1 : at + 3] == [body["kind"].lower(), body["metadata"]["name"]]
    return kubectl(folder, body, *words[at + 3 :])


def patched(folder: Path, body: Any, document: Any) -> Any:
    """The object after one of the documents, by a strategic merge, which lists follow by key."""
    assert document["metadata"] == {k: body["metadata"][k] for k in ("name", "namespace")}
    return kubectl(folder, body, "--type=strategic", "-p", json.dumps(document))


def without_secret() -> FactSet:
    facts = healthy()[1]
    return with_facts(facts, "release", secrets=Present(()))


def changed_secret(*keys: SecretKey) -> FactSet:
    facts = healthy()[1]
    release: Any = facts.by_subject[SubjectId("release")]
    changed = msgspec.structs.replace(release.secrets.value[0], keys=keys)
    return with_facts(facts, "release", secrets=Present((changed,)))


def leaking() -> FactSet:
    facts = healthy()[1]
    release: Any = facts.by_subject[SubjectId("release")]
    key = SecretKey(name="registry.key", form="pem", size=1704, has_private_key=True)
    return changed_secret(*release.secrets.value[0].keys, key)


def nameless(aliases: tuple[HostAlias, ...] = (), kind: str = "Deployment") -> FactSet:
    """A CoreDNS that another tool writes anew; coderd has `aliases`."""
    facts = with_texts(with_upstream(), rke2_coredns_rke2_coredns=BARE)
    release: Any = facts.by_subject[SubjectId("release")]
    first, second = release.workloads.value
    path = ("spec", "template", "spec")
    path = ("spec", "jobTemplate", *path) if kind == "CronJob" else path
    first = msgspec.structs.replace(first, host_aliases=aliases, kind=kind, pod_path=path)
    return with_facts(facts, "release", workloads=Present((first, second)))


def deployment(*aliases: HostAlias) -> Any:
    listed = [{"ip": each.ip, "hostnames": list(each.hostnames)} for each in aliases]
    pod = {"containers": [{"name": "c", "image": "i"}], "hostAliases": listed}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "coderd", "namespace": "coder"},
        "spec": {"template": {"spec": pod}},
    }


def aliases_of(body: Any) -> dict[str, list[str]]:
    return {e["ip"]: e["hostnames"] for e in body["spec"]["template"]["spec"]["hostAliases"]}


def test_an_absent_secret_is_a_whole_object_with_the_ca_alone() -> None:
    found = exported(without_secret())
    (made,) = [each for each in documents(found) if each["kind"] == "Secret"]
    assert made["metadata"] == {"name": "local-registry-cert", "namespace": "coder"}
    assert made["type"] == "Opaque"
    (content,) = made["data"].values()
    assert base64.b64decode(content).split() == ca().pem.split()
    assert "# SECRET-CA-001\n# It is not there yet.\n" in found.text


def test_a_wrong_ca_is_replaced_under_its_key_and_pods_start_anew(tmp_path: Path) -> None:
    facts = changed_secret(SecretKey(name="registry.crt", form="pem", blob="other"))
    facts = msgspec.structs.replace(facts, blobs={**facts.blobs, "other": other_ca().pem})
    by_kind = {each["kind"]: each for each in documents(exported(facts))}
    assert set(by_kind) == {"Secret", "Deployment"}
    old = {"registry.crt": base64.b64encode(other_ca().pem).decode(), "more": "eA=="}
    body = {"apiVersion": "v1", "kind": "Secret", "data": old,
            "metadata": {"name": "local-registry-cert", "namespace": "coder"}}  # fmt: skip
    after = patched(tmp_path, body, by_kind["Secret"])
    assert base64.b64decode(after["data"]["registry.crt"]).split() == ca().pem.split()
    assert after["data"]["more"] == "eA=="
    assert patched(tmp_path, after, by_kind["Secret"]) == after


def test_a_leaked_key_is_taken_out_by_a_command_of_its_own(tmp_path: Path) -> None:
    found = exported(leaking())
    assert documents(found) == []
    (command,) = commands(found)
    body = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {
            "name": "local-registry-cert",
            "namespace": "coder",
            "annotations": {"kubectl.kubernetes.io/last-applied-configuration": "{}", "a": "b"},
        },
        "data": {"registry.crt": "eA==", "registry.key": "eA=="},
    }
    after = run(tmp_path, body, command)
    assert after["data"] == {"registry.crt": "eA=="}
    assert after["metadata"]["annotations"] == {"a": "b"}
    assert run(tmp_path, after, command) == after


def test_aliases_are_added_beside_those_of_other_addresses(tmp_path: Path) -> None:
    other = HostAlias(ip="10.0.0.3", hostnames=("git.local",))
    (document,) = documents(exported(nameless((other,))))
    assert document["spec"]["template"]["spec"]["hostAliases"] == [
        {"ip": ADDRESS, "hostnames": [HOST]}
    ]
    after = patched(tmp_path, deployment(other), document)
    assert aliases_of(after) == {"10.0.0.3": ["git.local"], ADDRESS: [HOST]}
    assert patched(tmp_path, after, document) == after


def test_an_alias_of_an_old_address_goes_in_the_same_roll_out(tmp_path: Path) -> None:
    old = HostAlias(ip="10.0.0.9", hostnames=(HOST,))
    other = HostAlias(ip="10.0.0.3", hostnames=("git.local", HOST))
    found = exported(nameless((old, other)))
    assert documents(found) == []
    (command,) = commands(found)
    assert "--type=strategic" in command
    after = run(tmp_path, deployment(old, other), command)
    assert aliases_of(after) == {"10.0.0.3": ["git.local"], ADDRESS: [HOST]}
    assert run(tmp_path, after, command) == after


def test_pods_of_a_cron_job_are_reached_through_its_job() -> None:
    (document,) = documents(exported(nameless(kind="CronJob")))
    assert document["apiVersion"] == "batch/v1"
    pod = document["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    assert pod["hostAliases"] == [{"ip": ADDRESS, "hostnames": [HOST]}]


def test_coredns_gets_the_name_in_its_text() -> None:
    found = exported(with_texts(with_upstream(), coredns=BARE))
    (document,) = documents(found)
    assert (document["kind"], document["metadata"]["name"]) == ("ConfigMap", "coredns")
    assert f"{ADDRESS} {HOST}" in document["data"]["Corefile"]
    assert "fallthrough" in document["data"]["Corefile"]
    assert "# It is loaded without a restart." in found.text


def test_coredns_that_keeps_a_place_for_others_gets_a_block_there() -> None:
    text = BARE + "import /etc/coredns/custom/*.server\n"
    facts = with_texts(with_upstream(), coredns=text, coredns_custom="# own\n")
    (document,) = documents(exported(facts))
    assert document["metadata"] == {"name": "coredns-custom", "namespace": "kube-system"}
    assert list(document["data"]) == ["gapcheck.server"]


def test_a_folder_of_manifests_gives_objects_and_not_edits(tmp_path: Path) -> None:
    text = secret({"registry.crt": ca().pem, "registry.key": ca().key_pem})
    folder = Folder(tmp_path, secret=text)
    found = exported(folder.facts(), folder.site)
    (command,) = commands(found)
    assert command[:6] == ["kubectl", "-n", "coder", "patch", "secret", "local-registry-cert"]
    assert folder.text("manifests/secret.yaml") == text


def test_kubectl_reads_the_whole_stream(tmp_path: Path) -> None:
    path = tmp_path / "repair.yaml"
    path.write_text(exported(with_facts(without_secret(), "dns", coredns=Absent("none"))).text)
    command = [program("kubectl"), "label", "--local", "-f", path, "a=b", "-o", "name"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    assert "secret/local-registry-cert" in done.stdout.split()


def test_nothing_wrong_gives_no_object() -> None:
    found = exported(healthy()[1])
    assert (documents(found), commands(found)) == ([], [])
    assert (found.code, found.notes) == (Exit.OK, ())
    assert "Nothing that was judged asks for a change" in found.text


@pytest.mark.parametrize("what", ["secrets", "workloads"])
def test_objects_that_were_not_read_are_said(what: str) -> None:
    facts = with_facts(healthy()[1], "release", **{what: Unreadable("forbidden")})
    found = exported(facts)
    assert found.code is Exit.UNMEASURED
    assert any("forbidden" in note for note in found.notes)


def test_what_cannot_be_planned_is_left_to_a_person() -> None:
    facts = changed_secret(SecretKey(name="registry.crt", form="empty"))
    release: Any = facts.by_subject[SubjectId("release")]
    fixed = msgspec.structs.replace(release.secrets.value[0], immutable=True)
    found = exported(with_facts(facts, "release", secrets=Present((fixed,))))
    assert found.code is Exit.FAILED
    assert any("is immutable" in note for note in found.notes)


def test_the_head_names_no_apply_where_there_are_commands_alone() -> None:
    found = exported(leaking())
    assert (len(documents(found)), len(commands(found))) == (0, 1)
    assert "kubectl apply" not in found.text
    assert "# $" in found.text.partition("\n\n")[0]
    assert "# $" not in exported(without_secret()).text


def manager(found: Export) -> str:
    (line,) = [each for each in found.text.splitlines() if "kubectl apply" in each]
    return line.partition("--field-manager=")[2].split()[0]


def test_a_later_export_takes_nothing_of_an_earlier_one_away() -> None:
    first, later = exported(nameless()), exported(without_secret())
    assert manager(first) != manager(later)
    assert manager(first) == manager(exported(nameless()))
