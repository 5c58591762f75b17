"""A plan is kept as a file, and done word for word or not at all."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.certs import NOW, authority
from support.healthy import healthy
from support.small_site import SmallSite, small_site

from gapcheck.engine import Evaluation
from gapcheck.errors import PlanFileError
from gapcheck.model import Cause, CheckId, Risk, SubjectId
from gapcheck.plan_file import SCHEMA, Asked, Effect, PlanFile, read_plan_file, write_plan_file
from gapcheck.registry import catalogue
from gapcheck.remediations.based_on import Base, differences
from gapcheck.remediations.plan import Plan, PlannedChange, RestartUnit

ROOT = Path(__file__).parents[2]
INSECURE = """[plugins."io.containerd.grpc.v1.cri".registry.configs."registry.local:9".tls]
  insecure_skip_verify = true
"""


@pytest.fixture
def site(tmp_path: Path) -> SmallSite:
    return small_site(tmp_path / "site")


def planned(site: SmallSite, *words: object) -> Path:
    done = site.run("plan", "--site", "site.yaml", "-o", "plan.json", *words)
    assert done.code == 1, done.err
    return site.folder / "plan.json"


def apply(site: SmallSite, *words: object) -> Any:
    return site.run("apply", "plan.json", "--site", "site.yaml", *words)


def test_a_plan_is_kept_for_its_owner_with_all_that_a_review_needs(site: SmallSite) -> None:
    before = site.snapshot()

    path = planned(site)

    assert path.stat().st_mode & 0o777 == 0o600
    found = json.loads(path.read_text())
    assert found["schema"] == "gapcheck-plan/1"
    assert found["risk"] == "safe"
    assert found["restarts"] == []
    assert [(e["check"], e["subject"]) for e in found["effects"]] == [
        ("DNS-NODE-001", "node/n0"),
        ("DNS-NODE-001", "node/n1"),
    ]
    digest = hashlib.sha256(site.hosts("n0").read_bytes()).hexdigest()
    assert found["based_on"][0] == {
        "target": "node/n0",
        "what": "/etc/hosts",
        "state": f"sha256:{digest}",
    }
    assert "+127.0.0.1\tregistry.local" in found["plan"]["changes"][0]["diff"]
    assert site.snapshot() == before
    assert not site.state.exists()


def test_applying_it_makes_exactly_its_changes_and_undo_takes_them_back(site: SmallSite) -> None:
    before = site.snapshot()
    planned(site)

    done = apply(site, "--report", "json:report.json")

    assert done.code == 1, done.err  # the registry itself still does not answer
    assert "repaired   DNS-NODE-001::node/ of n0, n1" in done.err
    made = [each["id"] for each in done.found["rounds"][0]["changes"]]
    plan = json.loads((site.folder / "plan.json").read_text())["plan"]
    assert made == [each["id"] for each in plan["changes"]]
    assert site.repaired() == ["n0", "n1"]
    assert site.run("undo", site.last_run(), "--site", "site.yaml").code == 0
    assert site.snapshot() == before


def test_a_target_that_changed_since_is_named_and_nothing_is_written(site: SmallSite) -> None:
    planned(site, "--max-risk", "safe", "--select", "DNS")
    site.hosts("n1").write_text("127.0.0.1 localhost edited\n")
    before = site.snapshot()

    done = apply(site)

    assert done.code == 7
    assert re.search(
        r"node/n1 /etc/hosts: was sha256 [0-9a-f]{12}, is sha256 [0-9a-f]{12}", done.err
    )
    assert "node/n0" not in done.err
    again = "gapcheck plan --site site.yaml --max-risk safe --select DNS -o plan.json"
    assert again in done.err
    assert site.snapshot() == before
    assert not (site.state / "runs").exists()
    replanned = site.run(*again.split()[1:])
    assert replanned.code == 1
    assert apply(site).code == 1
    assert site.repaired() == ["n0", "n1"]


def test_what_was_repaired_meanwhile_is_not_done_once_more(site: SmallSite) -> None:
    planned(site)
    assert apply(site).code == 1
    after = site.snapshot()

    done = apply(site)

    assert done.code == 7
    assert "node/n0 /etc/hosts: was sha256" in done.err
    assert site.snapshot() == after


def test_a_check_that_passes_by_now_is_named() -> None:
    site, facts = healthy()
    node = SubjectId("node/debian")
    cause = Cause(CheckId("DNS-NODE-001"), node)
    change = RestartUnit(target=node, unit="containerd.service")
    plan = Plan(
        round=1, changes=(PlannedChange(id=change.id, change=change, stage=50, causes=(cause,)),)
    )
    evaluation = Evaluation(site, facts, catalogue(), now=NOW)

    found = differences(plan, (), fresh=Plan(round=1, changes=()), evaluation=evaluation)

    assert found == ("DNS-NODE-001::node/debian passes now",)


def test_a_node_that_is_gone_is_a_difference(site: SmallSite) -> None:
    planned(site)
    text = (site.folder / "site.yaml").read_text()
    kept = "\n".join(line for line in text.splitlines() if "name: n1" not in line)
    (site.folder / "site.yaml").write_text(kept + "\n")

    done = apply(site)

    assert done.code == 7
    assert "node/n1 could not be measured: it is not in the site" in done.err
    assert site.repaired() == []


def resealed(path: Path, change: dict[str, Any]) -> None:
    """Another change in the place of the first, with every digest right."""
    file = read_plan_file(path)
    data = json.loads(msgspec.json.encode(file))
    data["plan"]["changes"][0]["change"] = change
    new = msgspec.json.decode(json.dumps(data), type=PlanFile)
    first = new.plan.changes[0]
    first = msgspec.structs.replace(first, id=first.change.id)
    plan = msgspec.structs.replace(new.plan, changes=(first, *new.plan.changes[1:]))
    new = msgspec.structs.replace(new, plan=plan, digest="")
    digest = hashlib.sha256(msgspec.json.encode(new, order="deterministic")).hexdigest()
    write_plan_file(path, msgspec.structs.replace(new, digest=digest))


def test_a_change_that_gapcheck_would_not_plan_is_never_made(site: SmallSite) -> None:
    path = planned(site)
    resealed(
        path,
        {
            "type": "write-file",
            "target": "node/n0",
            "path": "/etc/cron.d/evil",
            "before_sha256": None,
            "content": {"type": "literal", "data": "KiAqICogKiAqIHJvb3QgaWQK"},
        },
    )
    before = site.snapshot()

    done = apply(site)

    assert done.code == 7
    assert "WriteFile node/n0 /etc/cron.d/evil: would not be planned like this now" in done.err
    assert site.snapshot() == before


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "it is no plan, or was cut off"),
        (b"\x00\xff", "it is no plan, or was cut off"),
        (b'{"schema": "gapcheck/1"}', "it is no plan of gapcheck: its schema is 'gapcheck/1'"),
        (b'{"a": 1}', "it is no plan, or was cut off"),
        (b'{"schema": "gapcheck-plan/9", "version": "9.1"}', "it was made by gapcheck 9.1"),
        (b'{"schema": "gapcheck-plan/1"}', "it is damaged"),
    ],
)
def test_a_file_that_is_no_plan_is_one_clear_error(
    site: SmallSite, content: bytes, said: str
) -> None:
    (site.folder / "plan.json").write_bytes(content)

    done = apply(site)

    assert done.code == 4
    assert done.line("plan.json: ", said)
    assert len(done.err.splitlines()) <= 2


@pytest.mark.parametrize("odd", ["absent", "folder"])
def test_a_plan_that_is_not_there_is_a_usage_error(site: SmallSite, odd: str) -> None:
    if odd == "folder":
        (site.folder / "plan.json").mkdir()
    done = apply(site)
    assert done.code == 4
    assert "there is no such file" in done.err


def test_a_plan_of_another_site_is_refused(site: SmallSite) -> None:
    planned(site)
    (site.folder / "site.yaml").write_text(
        (site.folder / "site.yaml").read_text() + "name: other\n"
    )
    done = apply(site)
    assert done.code == 4
    assert "it was made for registry.local:9, and this site is other" in done.err
    assert site.repaired() == []


def example() -> bytes:
    file = PlanFile(
        schema=SCHEMA,
        version="1.0",
        made=NOW,
        site="s",
        run="r",
        risk=Risk.SAFE,
        restarts=(),
        effects=(),
        based_on=(),
        asked=Asked(max_risk=Risk.SAFE),
        plan=Plan(round=1, changes=()),
    )
    digest = hashlib.sha256(msgspec.json.encode(file, order="deterministic")).hexdigest()
    return msgspec.json.encode(msgspec.structs.replace(file, digest=digest))


@settings(max_examples=150)
@given(data=st.data())
def test_a_plan_that_was_cut_or_changed_anywhere_is_never_read(
    data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    whole = example()
    path = tmp_path_factory.mktemp("plan") / "plan.json"
    path.write_bytes(whole)
    original = read_plan_file(path)
    at = data.draw(st.integers(0, len(whole) - 1))
    byte = data.draw(st.integers(0, 255))
    changed = data.draw(st.sampled_from([whole[:at], whole[:at] + bytes([byte]) + whole[at + 1 :]]))
    path.write_bytes(changed)
    try:
        assert read_plan_file(path) == original  # the same moment may be written in two ways
    except PlanFileError:
        assert changed != whole


def test_no_password_and_no_key_of_a_target_is_in_a_plan(tmp_path: Path) -> None:
    site = small_site(tmp_path / "site")
    key = authority("leaked").key_pem.decode()
    config = site.root("n0") / "etc/containerd/config.toml"
    auth = '[plugins."io.containerd.grpc.v1.cri".registry.configs."other".auth]\n'
    config.write_text(
        config.read_text()
        + INSECURE
        + auth
        + '  username = "jane"\n  password = "hunter2hunter2"\n'
    )
    anchor = site.root("n1") / "usr/local/share/ca-certificates/registry.crt"
    anchor.write_text(anchor.read_text() + key)

    path = planned(site)

    plan = path.read_text()
    assert "config.toml" in plan
    assert "hunter2" not in plan
    assert "PRIVATE KEY" not in plan
    assert key.splitlines()[1] not in plan


def test_apply_may_do_a_part_of_a_plan(site: SmallSite) -> None:
    planned(site)
    site.hosts("n1").write_text("edited, and left out\n")

    done = apply(site, "--target", "n0", "--report", "json:report.json")

    assert site.repaired() == ["n0"], done.err
    assert "left out by --select or --target" in json.dumps(done.found["rounds"])


def test_every_field_of_the_file_is_documented() -> None:
    page = (ROOT / "docs/plan-file.md").read_text()
    for shape in (PlanFile, Effect, Base, Asked, PlannedChange):
        for field in msgspec.structs.fields(shape):
            assert f"`{field.encode_name}`" in page, (shape.__name__, field.name)
