"""The registry's own checks over facts: healthy, each way to be wrong, boundary, not measured."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from support import healthy as h

from gapcheck.fixtures.facts import (
    Absent,
    AuthFact,
    Filesystem,
    HttpFact,
    MountFact,
    Present,
    TlsFact,
    Unreadable,
)
from gapcheck.model import Status, Verdict
from gapcheck.site import Site

FAMILY = (
    "REG-NET-001", "REG-HTTP-001", "REG-API-001", "REG-AUTH-001", "REG-IMAGE-001",
    "REG-IMAGE-002", "REG-SPACE-001", "REG-RUN-001", "REG-RUN-002", "REG-VOLUME-001",
)  # fmt: skip
MACHINE = ("REG-SPACE-001", "REG-RUN-001", "REG-RUN-002", "REG-VOLUME-001")
CODERD = h.IMAGES["coderd"]


def judged(check: str, *, site: Site | None = None, **changes: Any) -> Verdict:
    """The verdict where fields of the registry's facts are replaced."""
    healthy_site, facts = h.healthy()
    facts = h.with_facts(facts, "registry", **changes)
    return h.verdict_of(check, facts, site or healthy_site, "registry")


def roots(verdict: Verdict) -> list[str]:
    return [cause.check for cause in verdict.root_causes]


def tls(**changes: Any) -> TlsFact:
    return TlsFact(
        **{"host": h.HOST, "port": 443, "stage": "done", "peer": "10.0.0.2:443", **changes}
    )


def refused() -> TlsFact:
    error = "dial tcp 10.0.0.2:443: connect: connection refused"
    return tls(stage="connect", error=error)


def answer(status: int, *, body: str = "{}", **headers: str) -> Present[HttpFact]:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Present(
        HttpFact(url="https://registry.local/v2/", status=status, body=body, headers=named)
    )


def registry_facts() -> Any:
    _, facts = h.healthy()
    return facts.by_subject["registry"]  # type: ignore[index] # a subject's name


def with_machine(**changes: Any) -> dict[str, Any]:
    machine = msgspec.structs.replace(registry_facts().machine.value, **changes)
    return {"machine": Present(machine)}


def with_container(**changes: Any) -> dict[str, Any]:
    container = registry_facts().machine.value.container.value
    return with_machine(container=Present(msgspec.structs.replace(container, **changes)))


def with_image(reference: str = CODERD, **changes: Any) -> dict[str, Any]:
    images = registry_facts().images
    changed = msgspec.structs.replace(images[reference].value, **changes)
    return {"images": {**images, reference: Present(changed)}}


def site_with(**keys: Any) -> Site:
    return h.site(registry={**h.site().registry.model_dump(), **keys})


@pytest.mark.parametrize("check", FAMILY)
def test_a_healthy_registry_passes(check: str) -> None:
    verdict = judged(check)
    assert (verdict.status, verdict.reason) == (Status.PASS, "")


@pytest.mark.parametrize("check", FAMILY)
def test_a_registry_that_was_not_measured_is_never_a_pass(check: str) -> None:
    site, facts = h.healthy()
    by_subject = {k: v for k, v in facts.by_subject.items() if k != "registry"}
    facts = msgspec.structs.replace(facts, by_subject=by_subject)
    status = h.verdict_of(check, facts, site, "registry").status
    assert status in (Status.ERROR, Status.BLOCKED)


def test_a_refused_connection_is_one_root_for_all() -> None:
    verdict = judged("REG-NET-001", tls=refused())
    assert verdict.status is Status.FAIL
    assert "connection refused" in verdict.findings[0].problem
    assert judged("REG-IMAGE-001", tls=refused()).status is Status.BLOCKED
    assert roots(judged("REG-IMAGE-001", tls=refused())) == ["REG-NET-001"]
    assert roots(judged("REG-TLS-001", tls=refused())) == ["REG-NET-001"]


def test_a_stopped_container_is_the_root_of_a_refused_connection() -> None:
    stopped = with_container(running=False, status="exited")
    assert judged("REG-RUN-002", **stopped).status is Status.FAIL
    assert roots(judged("REG-NET-001", tls=refused(), **stopped)) == ["REG-RUN-002"]


def test_a_key_of_another_pair_is_the_root_of_a_crash_loop() -> None:
    changed = with_machine(key_public_sha256=Present("0" * 64))["machine"].value
    container = msgspec.structs.replace(
        changed.container.value, running=False, status="restarting", restart_count=9
    )
    machine = Present(msgspec.structs.replace(changed, container=Present(container)))
    assert roots(judged("REG-RUN-002", machine=machine)) == ["CERT-KEY-001"]
    assert roots(judged("REG-NET-001", tls=refused(), machine=machine)) == ["CERT-KEY-001"]


def test_plain_http_is_found_where_tls_gets_no_answer() -> None:
    broken = tls(stage="tls", error="first record does not look like a TLS handshake")
    verdict = judged("REG-HTTP-001", tls=broken, plain_http=answer(200))
    assert verdict.status is Status.FAIL
    assert "server gave HTTP response to HTTPS client" in verdict.findings[0].consequence
    assert judged("REG-API-001", tls=broken, plain_http=answer(200)).status is Status.BLOCKED


def test_a_tls_server_that_says_so_to_plain_http_is_not_plain() -> None:
    broken = tls(stage="tls", error="EOF")
    said = answer(400, body="Client sent an HTTP request to an HTTPS server.")
    assert judged("REG-HTTP-001", tls=broken, plain_http=said).status is Status.PASS


def test_silence_to_plain_http_is_no_pass_and_leaves_the_handshake_to_be_judged() -> None:
    broken = tls(stage="tls", error="EOF")
    silence = Unreadable("no answer within 5 s")
    verdict = judged("REG-HTTP-001", tls=broken, plain_http=silence)
    assert verdict.status is Status.NOT_APPLICABLE
    assert judged("CERT-SERVED-002", tls=broken, plain_http=silence).status is Status.FAIL
    assert judged("REG-HTTP-001", tls=broken, plain_http=Absent()).status is Status.PASS


@pytest.mark.parametrize("status", [200, 401])
def test_an_answer_with_or_without_a_login_is_an_answer(status: int) -> None:
    assert judged("REG-API-001", api=answer(status)).status is Status.PASS


@pytest.mark.parametrize("status", [204, 301, 400, 403, 404, 429, 500, 503])
def test_any_other_answer_is_none_of_a_registry(status: int) -> None:
    verdict = judged("REG-API-001", api=answer(status))
    assert verdict.status is Status.FAIL
    assert str(status) in verdict.findings[0].problem


def test_a_web_page_is_no_answer_of_a_registry() -> None:
    page = answer(200, body="<html>", content_type="text/html")
    assert "web page" in judged("REG-API-001", api=page).findings[0].problem


def test_a_redirect_says_where_to() -> None:
    moved = answer(302, location="https://login.local/")
    assert "https://login.local/" in judged("REG-API-001", api=moved).findings[0].problem


def test_an_answer_that_did_not_come_is_an_error() -> None:
    assert judged("REG-API-001", api=Unreadable("closed")).status is Status.ERROR
    assert judged("REG-IMAGE-001", api=Unreadable("closed")).status is Status.BLOCKED


def test_a_failed_handshake_is_the_root_of_a_missing_answer() -> None:
    broken = tls(stage="tls", error="remote error: tls: handshake failure")
    said = answer(400, body="an HTTP request to an HTTPS server")
    verdict = judged(
        "REG-API-001", tls=broken, plain_http=said, api=Unreadable("handshake failure")
    )
    assert (verdict.status, roots(verdict)) == (Status.FAIL, ["CERT-SERVED-002"])


def auth(**fields: Any) -> Present[AuthFact]:
    return Present(AuthFact(**{"scheme": "basic", **fields}))


def test_an_accepted_login_passes() -> None:
    assert judged("REG-AUTH-001", auth=auth(accepted="yes")).status is Status.PASS


@pytest.mark.parametrize("accepted", ["no", "not-tried"])
def test_a_login_that_is_refused_or_missing_fails_and_blocks_the_images(accepted: str) -> None:
    assert judged("REG-AUTH-001", auth=auth(accepted=accepted)).status is Status.FAIL
    assert judged("REG-IMAGE-001", auth=auth(accepted=accepted)).status is Status.BLOCKED


def test_a_login_that_could_not_be_read_is_an_error() -> None:
    assert judged("REG-AUTH-001", auth=Unreadable("X is not set")).status is Status.ERROR


def test_a_login_held_back_points_at_the_certificate() -> None:
    site = site_with(auth={"username": "robot", "password_env": "X"})
    _, facts = h.healthy()
    leaf = h.issue(by=h.ca(), san=("other.local",))
    facts = h.with_facts(h.served(facts, leaf), "registry", auth=auth(detail="not verified"))
    verdict = h.verdict_of("REG-AUTH-001", facts, site, "registry")
    assert (verdict.status, roots(verdict)) == (Status.FAIL, ["CERT-SAN-001"])


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"status": 404, "detail": "MANIFEST_UNKNOWN"}, "is not in the registry"),
        ({"status": 401}, "refused"),
        ({"status": 403}, "forbidden"),
        ({"status": 500}, "500"),
        ({"missing_blobs": ("sha256:x",)}, "1 blob that"),
        ({"trouble": "blobs are redirected to s3.local: refused"}, "s3.local"),
    ],
)
def test_an_image_that_cannot_be_pulled_is_named(changes: dict[str, Any], words: str) -> None:
    verdict = judged("REG-IMAGE-001", **with_image(**changes))
    assert verdict.status is Status.FAIL
    (finding,) = verdict.findings
    assert (finding.locus, words in finding.problem) == (CODERD, True)


def test_a_missing_image_comes_with_the_line_that_pushes_it() -> None:
    finding = judged("REG-IMAGE-001", **with_image(status=404)).findings[0]
    assert f"skopeo copy --all docker://SOURCE/IMAGE docker://{CODERD}" in finding.remedy_hint


def test_an_image_that_was_not_measured_is_an_error_beside_the_others() -> None:
    images = {**registry_facts().images, CODERD: Unreadable("no complete answer in time")}
    verdict = judged("REG-IMAGE-001", images=images)
    assert (verdict.status, "in time" in verdict.reason) == (Status.ERROR, True)
    assert judged("REG-IMAGE-002", images=images).status is Status.BLOCKED


def test_an_unread_image_list_is_an_error_and_an_empty_one_is_nothing_to_judge() -> None:
    verdict = judged("REG-IMAGE-001", image_list=Unreadable("the release"), images={})
    assert verdict.status is Status.ERROR
    empty = judged("REG-IMAGE-001", site=site_with(images=()), image_list=Present(()), images={})
    assert empty.status is Status.NOT_APPLICABLE


@pytest.mark.parametrize(
    "text", ["coderenvs/app:1", "https://registry.local/app", "other.local/a:1"]
)
def test_a_listed_image_of_another_place_is_found(text: str) -> None:
    verdict = judged("REG-IMAGE-001", site=site_with(images=(text,)), images={})
    assert [finding.locus for finding in verdict.findings] == [text]


def test_a_platform_that_a_node_needs_and_an_image_lacks_is_found() -> None:
    verdict = judged("REG-IMAGE-002", **with_image(platforms=("linux/arm64/v8",)))
    assert verdict.status is Status.FAIL
    assert "nodes need linux/amd64" in verdict.findings[0].problem
    assert "no match for platform" in verdict.findings[0].consequence


def test_a_single_manifest_of_another_platform_runs_into_an_exec_error() -> None:
    kind = "application/vnd.oci.image.manifest.v1+json"
    changed = with_image(platforms=("linux/arm64",), media_type=kind)
    assert "exec format error" in judged("REG-IMAGE-002", **changed).findings[0].consequence


def test_platforms_without_known_nodes_are_nothing_to_judge() -> None:
    _, facts = h.healthy()
    left = {k: v for k, v in facts.by_subject.items() if not k.startswith(("node/", "cluster"))}
    facts = msgspec.structs.replace(facts, by_subject=left)
    site = h.site(nodes=[], cluster=None, release=None)
    verdict = h.verdict_of("REG-IMAGE-002", facts, site, "registry")
    assert verdict.status is Status.NOT_APPLICABLE
    assert verdict.reason.startswith("the site file names no node and no cluster")


def test_nodes_that_are_named_and_say_no_architecture_are_not_called_unnamed() -> None:
    _, facts = h.healthy()
    for name in ("debian", "rhel"):
        facts = h.with_facts(facts, f"node/{name}", arch=Absent("image root"))
    site = h.site(cluster=None, release=None)
    verdict = h.verdict_of("REG-IMAGE-002", facts, site, "registry")
    assert verdict.reason == "none of the site's nodes says its architecture"


def test_an_unread_architecture_is_an_error() -> None:
    site, facts = h.healthy()
    facts = h.with_facts(facts, "node/rhel", arch=Unreadable("timeout"))
    assert h.verdict_of("REG-IMAGE-002", facts, site, "registry").status is Status.ERROR


def test_an_unreached_node_leaves_its_architecture_unmeasured() -> None:
    site = h.site(cluster=None, release=None)
    _, facts = h.healthy()
    left = {k: v for k, v in facts.by_subject.items() if k not in ("node/rhel", "cluster")}
    facts = msgspec.structs.replace(facts, by_subject=left)
    verdict = h.verdict_of("REG-IMAGE-002", facts, site, "registry")
    assert (verdict.status, "node/rhel" in verdict.reason) == (Status.ERROR, True)


def test_a_cluster_without_readable_nodes_is_an_error() -> None:
    site, facts = h.healthy()
    facts = h.with_facts(facts, "cluster", nodes=Unreadable("forbidden"))
    assert h.verdict_of("REG-IMAGE-002", facts, site, "registry").status is Status.ERROR


def test_an_image_that_was_never_asked_for_is_an_error() -> None:
    images = {**registry_facts().images, CODERD: Absent()}
    assert judged("REG-IMAGE-001", images=images).status is Status.ERROR


def storage(available: int, inodes: int = -1) -> dict[str, Any]:
    room = Filesystem(
        path="/srv", total_bytes=10**11, available_bytes=available, available_inodes=inodes
    )
    return with_machine(storage=Present(room))


STORED = 3 * 200_000_000


@pytest.mark.parametrize(
    ("available", "expected"),
    [(10**10, Status.PASS), (10**10 - STORED, Status.PASS), (10**10 - STORED - 1, Status.FAIL)],
)
def test_free_and_stored_bytes_together_must_reach_10_gb(available: int, expected: Status) -> None:
    assert judged("REG-SPACE-001", **storage(available)).status is expected


def test_blobs_shared_by_images_count_once() -> None:
    images = {
        reference: Present(msgspec.structs.replace(image.value, blobs={"sha256:x": 10**9}))
        for reference, image in registry_facts().images.items()
    }
    verdict = judged("REG-SPACE-001", images=images, **storage(9 * 10**9))
    assert verdict.status is Status.PASS
    assert judged("REG-SPACE-001", images=images, **storage(9 * 10**9 - 1)).status is Status.FAIL


def test_unread_images_leave_too_little_room_unmeasured() -> None:
    images = {**registry_facts().images, CODERD: Unreadable("timeout")}
    assert judged("REG-SPACE-001", images=images, **storage(10**9)).status is Status.ERROR
    assert judged("REG-SPACE-001", images=images, **storage(10**10)).status is Status.PASS


def test_used_up_inodes_are_found() -> None:
    assert judged("REG-SPACE-001", **storage(10**11, inodes=12)).status is Status.FAIL
    assert judged("REG-SPACE-001", **storage(10**11, inodes=-1)).status is Status.PASS


@pytest.mark.parametrize("policy", ["always", "unless-stopped"])
def test_a_policy_that_survives_a_reboot_passes(policy: str) -> None:
    assert judged("REG-RUN-001", **with_container(restart_policy=policy)).status is Status.PASS


@pytest.mark.parametrize("policy", ["no", "", "on-failure"])
def test_a_policy_that_does_not_survive_a_reboot_fails(policy: str) -> None:
    assert judged("REG-RUN-001", **with_container(restart_policy=policy)).status is Status.FAIL


def test_a_container_that_starts_over_and_over_fails_while_it_seems_to_run() -> None:
    looping = with_container(running=True, status="restarting", restart_count=4)
    assert judged("REG-RUN-002", **looping).status is Status.FAIL


def mounted(**fields: Any) -> dict[str, Any]:
    mount = {"type": "bind", "source": "/srv", "destination": "/var/lib/registry", **fields}
    return with_container(mounts=(MountFact(**mount),))


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, Status.PASS),
        ({"type": "volume", "name": "registry"}, Status.PASS),
        ({"destination": "/var/lib"}, Status.PASS),
        ({"type": "volume", "name": "0123456789abcdef" * 4}, Status.FAIL),
        ({"type": "tmpfs"}, Status.FAIL),
        ({"writable": False}, Status.FAIL),
        ({"destination": "/var/lib/registry2"}, Status.FAIL),
    ],
)
def test_images_must_lie_where_they_outlive_the_container(
    fields: dict[str, Any], expected: Status
) -> None:
    assert judged("REG-VOLUME-001", **mounted(**fields)).status is expected


def test_another_storage_root_is_looked_at_where_the_container_sets_one() -> None:
    elsewhere = {"REGISTRY_STORAGE_FILESYSTEM_ROOTDIRECTORY": "/data"}
    assert judged("REG-VOLUME-001", **with_container(environment=elsewhere)).status is Status.FAIL


@pytest.mark.parametrize("check", MACHINE)
def test_without_a_target_the_machine_is_not_applicable(check: str) -> None:
    verdict = judged(check, site=site_with(target=None, container=None))
    assert (verdict.status, "registry.target" in verdict.reason) == (Status.NOT_APPLICABLE, True)


@pytest.mark.parametrize("check", MACHINE)
@pytest.mark.parametrize("machine", [Unreadable("ssh: timed out"), Absent()])
def test_a_machine_that_was_not_measured_is_an_error(check: str, machine: Any) -> None:
    assert judged(check, machine=machine).status is Status.ERROR


@pytest.mark.parametrize("check", MACHINE)
def test_a_site_that_names_no_part_of_the_machine_is_not_applicable(check: str) -> None:
    verdict = judged(check, site=site_with(container=None, storage=None, reload="none"))
    assert verdict.status is Status.NOT_APPLICABLE


@pytest.mark.parametrize("check", MACHINE)
def test_an_unread_part_of_the_machine_is_an_error(check: str) -> None:
    gap = Unreadable("permission denied")
    assert judged(check, **with_machine(storage=gap, container=gap)).status is Status.ERROR
