from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest
from support.healthy import IMAGES, healthy, site, with_facts, with_file
from support.kube import GOOD_TIMESCALE, VALUES, Folder, judged, planned
from support.manifests import coderd, timescale

from gapcheck.errors import CannotPlan
from gapcheck.fixtures.fact_set import FactSet
from gapcheck.fixtures.facts import Present, Unreadable
from gapcheck.fixtures.kube_facts import ReleaseRecord
from gapcheck.model import Status
from gapcheck.remediations.plan import EditYaml
from gapcheck.site import Site

IMAGE, NAME, VALUE = "REL-IMAGE-001", "REL-NAME-001", "REL-VALUE-001"


def right(folder: Folder) -> bool:
    return all(
        folder.verdict(each).status is Status.PASS and folder.plan(each) == []
        for each in (IMAGE, NAME, VALUE)
    )


def test_a_default_of_the_chart_is_replaced_in_manifest_and_values(tmp_path: Path) -> None:
    text = VALUES.partition("postgres:")[0]
    folder = Folder(tmp_path, timescale=timescale(image="docker.io/coderenvs/timescale:1.44.3"))
    changes = folder.values(text).repair(IMAGE)
    assert [each.path for each in changes if isinstance(each, EditYaml)] == [
        "values.yaml",
        "manifests/timescale.yaml",
    ]
    assert folder.text("values.yaml") == VALUES
    assert folder.text("manifests/timescale.yaml") == timescale(image=GOOD_TIMESCALE)
    assert right(folder)


def test_the_guides_ignored_value_is_repaired_by_both_remedies_together(tmp_path: Path) -> None:
    folder = Folder(tmp_path, timescale=timescale()).values(
        VALUES.replace("postgres:\n  default:\n    image", "timescale:\n  image")
    )
    folder.repair(VALUE, IMAGE)
    assert folder.text("values.yaml") == VALUES
    assert folder.text("manifests/timescale.yaml") == timescale(image=GOOD_TIMESCALE)
    assert right(folder)


def test_an_empty_host_is_filled_in_where_values_and_manifest_have_it(tmp_path: Path) -> None:
    folder = Folder(tmp_path, coderd=coderd(image="/coderenvs/coder-service:1.44.3"))
    folder.values(VALUES.replace("registry.local/coderenvs/coder", "/coderenvs/coder"))
    folder.repair(NAME)
    assert folder.text("values.yaml") == VALUES
    assert folder.text("manifests/coderd.yaml") == coderd()
    assert right(folder)


@pytest.mark.parametrize("host", ["$REGISTRY_DOMAIN_NAME", "${REGISTRY}", "<registry>"])
def test_an_unexpanded_host_is_filled_in(tmp_path: Path, host: str) -> None:
    folder = Folder(tmp_path, timescale=timescale(image=f'"{host}/coderenvs/timescale:1.44.3"'))
    folder.repair(NAME)
    assert f'"{GOOD_TIMESCALE}"' in folder.text("manifests/timescale.yaml")


def test_a_placeholder_for_the_version_is_filled_in_from_the_sites_list(tmp_path: Path) -> None:
    image = "registry.local/coderenvs/timescale:<version>"
    folder = Folder(tmp_path, timescale=timescale(image=image))
    folder.repair(NAME)
    assert right(folder)


def test_a_placeholder_in_an_image_nobody_lists_is_left_to_a_person(tmp_path: Path) -> None:
    text = coderd(image="registry.local/coderenvs/other:<version>")
    with pytest.raises(CannotPlan, match="which image is meant"):
        Folder(tmp_path, coderd=text).plan(NAME)


def test_the_image_that_a_variable_names_is_edited_in_its_place(tmp_path: Path) -> None:
    folder = Folder(tmp_path, coderd=coderd(envbox="docker.io/coderenvs/envbox:1.44.3"))
    (change,) = folder.repair(IMAGE)
    assert isinstance(change, EditYaml)
    assert change.edits[0].keys[-3:] == ("env", 1, "value")
    assert "value: env-s3cret" in folder.text("manifests/coderd.yaml")
    assert right(folder) or folder.verdict(IMAGE).status is Status.PASS


def test_an_init_container_and_its_container_are_two_edits(tmp_path: Path) -> None:
    folder = Folder(tmp_path, coderd=coderd(image="docker.io/coderenvs/coder-service:1.44.3"))
    changes = folder.plan(IMAGE)
    keys = [each.edits[0].keys[-3:-1] for each in changes if isinstance(each, EditYaml)]
    assert keys == [("initContainers", 0), ("containers", 0)]


def live(values: dict[str, str], image: str) -> FactSet:
    """A live release whose timescale pulls `image`; the values file gives `values`."""
    facts = healthy()[1]
    release: Any = facts.by_subject["release"]
    workload = release.workloads.value[1]
    container = msgspec.structs.replace(workload.containers[0], image=image)
    workloads = (
        release.workloads.value[0],
        msgspec.structs.replace(workload, containers=(container,)),
    )
    record = msgspec.structs.replace(
        release.record.value, user_values=values, user_paths=tuple(values)
    )
    file = ReleaseRecord(
        name="values.yaml",
        namespace="coder",
        revision=0,
        status="values",
        chart="",
        chart_version="",
        user_values=values,
        user_paths=tuple(values),
    )
    return with_facts(
        facts,
        "release",
        record=Present(record),
        workloads=Present(workloads),
        values={"values.yaml": Present(file)},
    )


def test_a_live_release_gets_a_corrected_values_file_and_no_patched_object() -> None:
    facts = live({"certs.secret.name": "x"}, "docker.io/coderenvs/timescale:1.44.3")
    (change,) = planned(IMAGE, facts, healthy()[0], "release")
    assert isinstance(change, EditYaml)
    assert change.path == "values.yaml"
    assert [(each.keys, each.value) for each in change.edits] == [
        (("postgres", "default", "image"), IMAGES["timescale"])
    ]


def test_once_the_values_are_right_helm_is_left_to_a_person() -> None:
    facts = live(
        {"postgres.default.image": IMAGES["timescale"]}, "docker.io/coderenvs/timescale:1.44.3"
    )
    with pytest.raises(CannotPlan, match="helm upgrade coder"):
        planned(IMAGE, facts, healthy()[0], "release")


def test_without_a_values_file_nothing_is_written() -> None:
    facts = with_facts(live({}, "docker.io/coderenvs/timescale:1.44.3"), "release", values={})
    without = site(release={"secret": {}})
    with pytest.raises(CannotPlan, match="helm upgrade"):
        planned(IMAGE, facts, without, "release")


def test_a_file_that_was_not_measured_is_not_written_to(tmp_path: Path) -> None:
    folder = Folder(tmp_path, timescale=timescale(image="docker.io/coderenvs/timescale:1.44.3"))
    facts = folder.facts()
    release: Any = facts.by_subject["release"]
    files = {path: each for path, each in release.files.items() if "timescale" not in path}
    facts = with_facts(facts, "release", files=files)
    facts = with_facts(facts, "cluster", files=files)
    assert judged(IMAGE, facts, folder.site, "release").status is Status.FAIL
    with pytest.raises(CannotPlan, match="was not read"):
        planned(IMAGE, facts, folder.site, "release")


@pytest.mark.parametrize("content", [Unreadable("permission denied"), b"a: [\n"])
def test_a_manifest_whose_text_is_not_at_hand_is_left_to_a_person(
    tmp_path: Path, content: Any
) -> None:
    folder = Folder(tmp_path, coderd=coderd(envbox="docker.io/coderenvs/envbox:1.44.3"))
    facts = with_file(folder.facts(), "release", "manifests/coderd.yaml", content)
    with pytest.raises(CannotPlan, match=r"manifests/coderd\.yaml"):
        planned(IMAGE, facts, folder.site, "release")


def test_without_values_files_a_manifest_is_edited_alone(tmp_path: Path) -> None:
    folder = Folder(tmp_path, timescale=timescale(image="docker.io/coderenvs/timescale:1.44.3"))
    data: dict[str, Any] = folder.site.model_dump(by_alias=True)
    data["release"]["values"] = []
    folder.site = Site.model_validate(data)
    (change,) = folder.repair(IMAGE)
    assert isinstance(change, EditYaml)
    assert change.path == "manifests/timescale.yaml"
    assert folder.verdict(IMAGE).status is Status.PASS


def test_an_image_whose_value_key_is_not_known_is_edited_in_the_manifest_alone(
    tmp_path: Path,
) -> None:
    folder = Folder(tmp_path, timescale=timescale(image="docker.io/other/thing:1"))
    (change,) = folder.values("a: 1\n").repair(IMAGE)
    assert isinstance(change, EditYaml)
    assert change.edits[0].value == "registry.local/other/thing:1"


def test_an_image_that_the_registry_was_seen_to_hold_goes_before_a_guess(tmp_path: Path) -> None:
    folder = Folder(tmp_path, timescale=timescale(image="docker.io/other/pg:16"))
    known: Any = folder.rest.by_subject["registry"]
    held = msgspec.structs.replace(
        next(iter(known.images.values())).value, reference="registry.local/mirror/pg:16"
    )
    missing = msgspec.structs.replace(held, status=404)
    images = {
        "registry.local/absent/pg:16": Present(missing),
        "registry.local/mirror/pg:16": Present(held),
    }
    folder.rest = with_facts(folder.rest, "registry", images=images)
    (change,) = folder.values("a: 1\n").plan(IMAGE)
    assert isinstance(change, EditYaml)
    assert change.edits[0].value == "registry.local/mirror/pg:16"
