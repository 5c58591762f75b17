from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest
from support.healthy import healthy, with_facts
from support.kube import VALUES, Folder, planned

from gapcheck.errors import CannotPlan
from gapcheck.fixtures.facts import Absent, Present
from gapcheck.fixtures.helm_values import key_path
from gapcheck.model import Status
from gapcheck.site import Site

CHECK = "REL-VALUE-001"


def of_profile(folder: Folder, profile: str) -> Folder:
    data: dict[str, Any] = folder.site.model_dump(by_alias=True)
    data["release"]["profile"] = profile
    folder.site = Site.model_validate(data)
    return folder


def test_the_old_key_goes_with_the_table_it_leaves_empty(tmp_path: Path) -> None:
    folder = Folder(tmp_path, timescale=None).values(
        "a: 1\ntimescale:\n  image: registry.local/coderenvs/timescale:1.44.3\n"
    )
    folder.repair(CHECK)
    assert folder.text("values.yaml") == (
        "a: 1\npostgres:\n  default:\n    image: registry.local/coderenvs/timescale:1.44.3\n"
    )


def test_a_table_with_other_keys_stays(tmp_path: Path) -> None:
    folder = Folder(tmp_path, timescale=None).values(
        "timescale:\n  image: registry.local/coderenvs/timescale:1.44.3\n  size: 10Gi\n"
    )
    folder.repair(CHECK)
    assert "timescale:\n  size: 10Gi\n" in folder.text("values.yaml")


def test_a_value_that_the_right_key_has_already_is_not_overwritten(tmp_path: Path) -> None:
    folder = Folder(tmp_path).values(
        VALUES + "timescale:\n  image: registry.local/coderenvs/timescale:1.27.0\n"
    )
    folder.repair(CHECK)
    assert folder.text("values.yaml") == VALUES
    assert folder.verdict(CHECK).status is Status.PASS


def test_a_key_of_the_older_chart_becomes_repository_and_tag(tmp_path: Path) -> None:
    folder = of_profile(Folder(tmp_path), "coder-v2").values(
        "coderd:\n  image: registry.local/coder/coder:v2.1.0\n"
    )
    folder.repair(CHECK)
    assert folder.text("values.yaml") == (
        "coder:\n  image:\n    repo: registry.local/coder/coder\n    tag: v2.1.0\n"
    )


def test_a_key_nobody_knows_is_left_to_a_person(tmp_path: Path) -> None:
    folder = Folder(tmp_path).values("what:\n  image: registry.local/what:1\n")
    with pytest.raises(CannotPlan, match="no known key"):
        folder.plan(CHECK)


def test_with_right_values_helm_is_left_to_a_person() -> None:
    known, facts = healthy()
    release: Any = facts.by_subject["release"]
    old = {"timescale.image": "registry.local/coderenvs/timescale:1.40.0"}
    record = msgspec.structs.replace(
        release.record.value, user_values=old, user_paths=tuple(old), template_paths=Absent()
    )
    new = {"postgres.default.image": "registry.local/coderenvs/timescale:1.40.0"}
    file = msgspec.structs.replace(record, user_values=new, user_paths=tuple(new))
    facts = with_facts(
        facts, "release", record=Present(record), values={"values.yaml": Present(file)}
    )
    with pytest.raises(CannotPlan, match="helm upgrade coder CHART"):
        planned(CHECK, facts, known, "release")


def test_without_a_values_file_the_value_to_set_is_told() -> None:
    known, facts = healthy()
    release: Any = facts.by_subject["release"]
    old = {"timescale.image": "registry.local/coderenvs/timescale:1.40.0"}
    record = msgspec.structs.replace(
        release.record.value, user_values=old, user_paths=tuple(old), template_paths=Absent()
    )
    facts = with_facts(facts, "release", record=Present(record))
    with pytest.raises(CannotPlan, match=r"set postgres\.default\.image=registry\.local"):
        planned(CHECK, facts, known, "release")


def test_nothing_is_planned_for_a_healthy_release() -> None:
    known, facts = healthy()
    assert planned(CHECK, facts, known, "release") == []


@pytest.mark.parametrize(
    ("path", "keys"),
    [
        ("a.b", ("a", "b")),
        ("coder.certs.secrets[0].name", ("coder", "certs", "secrets", 0, "name")),
        (r"labels.app\.kubernetes\.io/name", ("labels", "app.kubernetes.io/name")),
    ],
)
def test_a_dotted_path_is_read_as_it_is_written(path: str, keys: tuple[str | int, ...]) -> None:
    assert key_path(path) == keys
