from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest
from support.healthy import IMAGES, healthy, site, with_facts
from support.kube import GOOD_TIMESCALE, Folder, judged
from support.manifests import coderd, timescale

from gapcheck.fixtures.fact_set import FactSet
from gapcheck.fixtures.facts import Absent, Present, Unreadable
from gapcheck.model import Cause, Status


def with_image(image: str, *, env: str | None = None) -> FactSet:
    """The coderd container pulls `image`, or hands `env` on as envbox's."""
    facts = healthy()[1]
    release: Any = facts.by_subject["release"]
    workload, *others = release.workloads.value
    container = msgspec.structs.replace(
        workload.containers[0], image=image, env_images={"ENVBOX_IMAGE": env or IMAGES["envbox"]}
    )
    changed = msgspec.structs.replace(workload, containers=(container,))
    return with_facts(facts, "release", workloads=Present((changed, *others)))


@pytest.mark.parametrize("check", ["REL-IMAGE-001", "REL-NAME-001"])
def test_images_of_the_registry_pass(check: str, tmp_path: Path) -> None:
    known, facts = healthy()
    assert judged(check, facts, known, "release").status is Status.PASS
    assert Folder(tmp_path).verdict(check).status is Status.PASS


@pytest.mark.parametrize(
    ("image", "domain"),
    [
        ("docker.io/coderenvs/coder-service:1.44.3", "docker.io"),
        ("registry/coder-service:1.44.3", "docker.io"),
        ("coder-service", "docker.io"),
        ("registry.local:5000/coderenvs/coder-service:1.44.3", "registry.local:5000"),
        ("quay.io/coderenvs/coder-service:1.44.3", "quay.io"),
    ],
)
def test_an_image_from_elsewhere_fails_and_is_named(image: str, domain: str) -> None:
    found = judged("REL-IMAGE-001", with_image(image), healthy()[0], "release")
    assert found.status is Status.FAIL
    assert found.findings[0].problem == (
        f"Deployment coderd, container coderd: {image} comes from {domain}, not from registry.local"
    )
    assert found.findings[0].locus == "Deployment/coder/coderd/coderd"


@pytest.mark.parametrize(
    "image",
    [
        "registry.local:443/coderenvs/coder-service:1.44.3",
        "10.0.0.2/coderenvs/coder-service:1.44.3",
    ],
)
def test_the_registry_by_its_port_or_address_is_the_registry(image: str) -> None:
    assert judged("REL-IMAGE-001", with_image(image), healthy()[0], "release").status is Status.PASS


def test_a_registry_on_another_port_is_named_with_it() -> None:
    other = site(registry={"host": "registry.local:5000", "ca_file": "ca.crt"})
    facts = with_image("registry.local:5000/coderenvs/coder-service:1.44.3")
    found = judged("REL-IMAGE-001", facts, other, "release")
    assert [each.locus for each in found.findings] == [
        "Deployment/coder/coderd/coderd/ENVBOX_IMAGE",
        "StatefulSet/coder/timescale/timescale",
    ]


def test_an_image_that_a_variable_names_counts() -> None:
    facts = with_image(IMAGES["coderd"], env="docker.io/coderenvs/envbox:1.44.3")
    found = judged("REL-IMAGE-001", facts, healthy()[0], "release")
    assert found.status is Status.FAIL
    assert "when the first workspace starts" in found.findings[0].consequence


def test_an_init_container_counts(tmp_path: Path) -> None:
    text = coderd().replace(f"image: {IMAGES['coderd']}", "image: docker.io/coder/migrate:1", 1)
    found = Folder(tmp_path, coderd=text).verdict("REL-IMAGE-001")
    assert [each.locus for each in found.findings] == ["Deployment/coder/coderd/migrations"]


@pytest.mark.parametrize("image", ["", "registry.local/Coder:1", "https://registry.local/a:1"])
def test_what_is_no_image_reference_fails(image: str) -> None:
    found = judged("REL-IMAGE-001", with_image(image), healthy()[0], "release")
    assert found.status is Status.FAIL


@pytest.mark.parametrize(
    "image",
    [
        "/coderenvs/coder-service:1.44.3",
        ":5000/coderenvs/coder-service:1.44.3",
        "$REGISTRY_DOMAIN_NAME/coderenvs/coder-service:1.44.3",
        "registry.local/coderenvs/coder-service:<version>",
        "{{ .Values.registry }}/coderenvs/coder-service:1.44.3",
    ],
)
def test_an_unfilled_name_is_one_root_and_not_two(image: str) -> None:
    facts, known = with_image(image), healthy()[0]
    found = judged("REL-NAME-001", facts, known, "release")
    assert found.status is Status.FAIL
    assert "invalid reference format" in found.findings[0].consequence
    assert judged("REL-IMAGE-001", facts, known, "release").status is Status.PASS


def test_the_ignored_value_is_the_root_of_the_chart_default(tmp_path: Path) -> None:
    folder = Folder(tmp_path, timescale=timescale()).values(
        f"timescale:\n  image: {GOOD_TIMESCALE}\n"
    )
    found = folder.verdict("REL-IMAGE-001")
    assert found.status is Status.FAIL
    assert found.root_causes == (Cause("REL-VALUE-001", "release"),)


def test_another_ignored_value_is_not_taken_for_the_root(tmp_path: Path) -> None:
    folder = Folder(tmp_path, timescale=timescale()).values("x:\n  image: registry.local/x:1\n")
    assert folder.verdict("REL-IMAGE-001").root_causes == ()


@pytest.mark.parametrize("check", ["REL-IMAGE-001", "REL-NAME-001", "REL-CERT-001"])
def test_unreadable_workloads_are_an_error_and_never_a_pass(check: str) -> None:
    for observed in (Unreadable("403"), Absent()):
        facts = with_facts(healthy()[1], "release", workloads=observed)
        assert judged(check, facts, healthy()[0], "release").status is Status.ERROR


@pytest.mark.parametrize("check", ["REL-IMAGE-001", "REL-NAME-001", "REL-CERT-001"])
def test_nothing_installed_is_not_applicable(check: str) -> None:
    facts = with_facts(healthy()[1], "release", workloads=Present(()))
    assert judged(check, facts, healthy()[0], "release").status is Status.NOT_APPLICABLE


def test_chart_that_nobody_rendered_says_how_to_render_it() -> None:
    chart = {"name": "x", "namespace": "y", "secret": {}, "chart": "charts/x", "values": ["v.yaml"]}
    of = site(cluster=None, release=chart)
    facts = with_facts(healthy()[1], "release", source="none", workloads=Absent("no cluster"))
    found = judged("REL-IMAGE-001", facts, of, "release")
    assert found.status is Status.NOT_APPLICABLE
    assert "helm template x charts/x -n y -f v.yaml --output-dir rendered" in found.reason
    assert "cluster.manifests" in found.reason
