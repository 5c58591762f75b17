from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
from support.healthy import IMAGES, NOW, healthy, site, with_facts
from support.kube import GOOD_TIMESCALE, VALUES, Folder, judged, no_cluster
from support.manifests import timescale, write

from gapcheck.fixtures.fact_set import FactSet
from gapcheck.fixtures.facts import Absent, Present, Unreadable
from gapcheck.fixtures.helm_values import user_paths, user_values
from gapcheck.fixtures.probes.release import probe_release
from gapcheck.model import Severity, Status, SubjectId, Verdict
from gapcheck.site import Site
from gapcheck.view import ReleaseView, View

CHECK = "REL-VALUE-001"


def with_record(**changes: Any) -> FactSet:
    facts = healthy()[1]
    release: Any = facts.by_subject["release"]
    record = msgspec.structs.replace(release.record.value, **changes)
    return with_facts(facts, "release", record=Present(record))


def verdict(facts: FactSet) -> Verdict:
    return judged(CHECK, facts, healthy()[0], "release")


def test_values_that_are_all_used_pass(tmp_path: Path) -> None:
    assert verdict(healthy()[1]).status is Status.PASS
    assert Folder(tmp_path).verdict(CHECK).status is Status.PASS


def test_the_guides_timescale_image_on_a_newer_chart_is_found(tmp_path: Path) -> None:
    folder = Folder(tmp_path, timescale=timescale()).values(
        VALUES.replace("postgres:\n  default:\n    image", "timescale:\n    image")
    )
    found = folder.verdict(CHECK)
    assert found.status is Status.FAIL
    assert [each.locus for each in found.findings] == ["timescale.image"]
    assert found.findings[0].data["instead"] == "postgres.default.image"


def test_a_live_record_is_judged_by_its_own_values() -> None:
    found = verdict(
        with_record(
            user_values={"timescale.image": "registry.local/coderenvs/timescale:1.27.0"},
            user_paths=("timescale.image",),
            template_paths=Absent(),
        )
    )
    assert found.status is Status.FAIL
    assert "coder 1.44.3" in found.findings[0].problem


def test_on_a_chart_before_1_21_the_new_keys_are_the_wrong_ones() -> None:
    found = verdict(
        with_record(
            chart_version="1.20.5",
            user_values={"coderd.image": "registry.local/coderenvs/coder-service:1.20.5"},
            user_paths=("coderd.image",),
            template_paths=Absent(),
        )
    )
    assert found.findings[0].data["instead"] == "cemanager.image"


def test_a_repository_whose_tag_is_elsewhere_is_used() -> None:
    repository = IMAGES["coderd"].rpartition(":")[0]
    found = verdict(with_record(user_values={"coder.image.repo": repository}))
    assert found.status is Status.PASS


def test_a_longer_repository_is_not_taken_for_the_same() -> None:
    found = verdict(with_record(user_values={"coder.image.repo": "registry.local/coderenvs/coder"}))
    assert found.status is Status.FAIL


def test_names_of_secrets_are_not_images() -> None:
    found = verdict(with_record(user_values={"certs.secret.name": "anything", "x.y": "a/b"}))
    assert found.status is Status.PASS


def test_a_key_that_no_template_names_only_warns() -> None:
    found = verdict(with_record(user_paths=("coderd.image", "coderd.imagge", "certs.secret.name")))
    assert found.status is Status.WARN
    assert [each.locus for each in found.findings] == ["coderd.imagge"]


def test_a_key_below_a_named_one_and_one_above_count_as_named() -> None:
    found = verdict(
        with_record(
            user_paths=("coderd.resources.limits.cpu", "postgres", "global.x", "env[0].name"),
            template_paths=Present(("coderd.resources", "postgres.default.image", "env")),
        )
    )
    assert found.status is Status.PASS


def test_templates_that_read_everything_leave_no_key_unread() -> None:
    unknown = Unreadable("_helpers.tpl hands on all values at once")
    assert verdict(with_record(user_paths=("what",), template_paths=unknown)).status is Status.PASS


def test_an_unreadable_record_is_an_error() -> None:
    facts = with_facts(healthy()[1], "release", record=Unreadable("403"))
    assert verdict(facts).status is Status.ERROR


def test_an_unreadable_values_file_is_an_error(tmp_path: Path) -> None:
    assert Folder(tmp_path).values("a: [\n").verdict(CHECK).status is Status.ERROR


def test_with_no_values_at_all_there_is_nothing_to_judge() -> None:
    facts = with_facts(healthy()[1], "release", record=Absent())
    found = judged(CHECK, facts, site(release={"name": "coder"}), "release")
    assert found.status is Status.NOT_APPLICABLE


def with_chart(folder: Folder, version: str, template: str) -> Folder:
    write(
        folder.base / "chart",
        {
            "Chart.yaml": f"name: coder\nversion: {version}\n",
            "values.yaml": "coderd:\n  image: docker.io/coderenvs/coder-service:1\n",
            "templates/coderd.yaml": template,
        },
    )
    data: dict[str, Any] = folder.site.model_dump(by_alias=True)
    data["release"]["chart"] = "chart"
    folder.site = Site.model_validate(data)
    return folder


def test_an_unpacked_chart_tells_which_keys_are_read(tmp_path: Path) -> None:
    template = "image: {{ .Values.coderd.image }} {{ .Values.postgres.default.image }}"
    folder = with_chart(Folder(tmp_path), "1.27.0", template).values(
        "timescale:\n  image: registry.local/coderenvs/timescale:1.27.0\ncoderd:\n  replicas: 2\n"
    )
    found = folder.verdict(CHECK)
    assert [(each.locus, each.severity) for each in found.findings] == [
        ("timescale.image", None),
        ("coderd.replicas", Severity.MINOR),
    ]
    assert "of coder 1.27.0" in found.findings[0].problem


def test_the_chart_alone_is_judged_by_its_templates_before_anything_is_rendered(
    tmp_path: Path,
) -> None:
    folder = with_chart(Folder(tmp_path), "1.27.0", "{{ .Values.coderd.image }}")
    folder.site = no_cluster(folder.site)
    found = folder.values("timescale:\n  image: registry.local/a/timescale:1\n").verdict(CHECK)
    assert found.status is Status.FAIL
    assert [each.locus for each in found.findings] == ["timescale.image"]
    assert found.findings[0].data["instead"] == "postgres.default.image"


def test_the_image_in_use_is_not_reported(tmp_path: Path) -> None:
    folder = Folder(tmp_path).values(f"any:\n  image: {GOOD_TIMESCALE}\n")
    assert folder.verdict(CHECK).status is Status.PASS


def test_a_key_of_another_chart_generation_is_not_mapped_for_a_generic_one() -> None:
    facts = with_record(user_values={"timescale.image": "registry.local/a/b:1"})
    generic = site(release={"profile": "generic"})
    assert judged(CHECK, facts, generic, "release").findings[0].data["instead"] == ""


def test_values_of_a_release_that_renders_nothing_are_not_judged() -> None:
    facts = with_facts(with_record(template_paths=Absent()), "release", workloads=Present(()))
    assert verdict(facts).status is Status.NOT_APPLICABLE


def test_image_of_an_object_that_was_edited_by_hand_is_not_the_fault_of_the_values() -> None:
    of, facts = healthy()
    release: Any = facts.by_subject["release"]
    workload, *others = release.workloads.value
    edited = msgspec.structs.replace(
        workload,
        containers=tuple(
            msgspec.structs.replace(each, image=each.image.replace("registry.local", "docker.io"))
            for each in workload.containers
        ),
    )
    facts = with_facts(facts, "release", workloads=Present((edited, *others)))
    image = judged("REL-IMAGE-001", facts, of, "release")
    assert image.status is Status.FAIL
    assert image.root_causes == ()
    found = judged(CHECK, facts, of, "release")
    assert [each.locus for each in found.findings] == ["coderd.image"]
    assert "is read by the chart and stands in no object" in found.findings[0].problem


def test_values_files_are_joined_as_helm_joins_them(tmp_path: Path) -> None:
    files = {
        "a.yaml": "coderd: {image: r.local/x:1, tag: t}\nl: [r.local/a:1, r.local/b:1]\ns: 5\n"
        "m: {image: r.local/m:1}\n",
        "b.yaml": "coderd: {image: null}\nl: [r.local/c:1]\ns: {image: r.local/s:1}\nm: null\n",
        "c.yaml": "m: {other: {image: r.local/n:1}}\ncoderd: {}\n",
    }
    write(tmp_path, files)
    of = site(
        cluster={"manifests": "m"},
        release={"name": "x", "namespace": "x", "secret": {}, "values": list(files)},
    )
    write(tmp_path / "m", {"timescale.yaml": timescale()})
    facts = healthy()[1]
    probed = probe_release(of, base=tmp_path, timeout_s=5)
    facts = with_facts(facts, "release", probed.blobs, record=Absent(), values=probed.facts.values)
    view: ReleaseView = View(SubjectId("release"), facts, of, now=NOW)
    assert sorted(user_paths(view)) == ["coderd.tag", "l[0]", "m.other.image", "s.image"]
    assert user_values(view) == {
        "l[0]": "r.local/c:1",
        "s.image": "r.local/s:1",
        "m.other.image": "r.local/n:1",
    }
