"""A rebuilt trust store is part of what a run changes: an undo puts every link of it back."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from support.certs import authority
from support.places import NODE, Places, places, plan_of, snapshot

from gapcheck.remediations.plan import Literal, Plan, RefreshTrustStore, WriteFile
from gapcheck.remediations.runs import list_runs
from gapcheck.remediations.undo import plan_undo

ANCHORS = "/usr/local/share/ca-certificates"


def image(home: Path) -> Places:
    made = places(home)
    made.file("/usr/share/ca-certificates/A.crt", authority("A").pem)
    made.file("/etc/ca-certificates.conf", b"A.crt\n")
    store = made.root / "etc/ssl/certs"
    store.mkdir(parents=True)
    (store / "A.pem").symlink_to("/usr/share/ca-certificates/A.crt")
    (store / "0badcafe.0").symlink_to("gone.pem")
    (store / "ca-certificates.crt").write_bytes(b"stale bundle\n")
    return made


def trust(family: str = "debian") -> Plan:
    anchor = WriteFile(
        target=NODE,
        path=f"{ANCHORS}/registry.crt",
        before_sha256=None,
        content=Literal(authority("Registry").pem),
    )
    return plan_of(anchor, RefreshTrustStore(target=NODE, family=family))


def states(here: Places, plan: Plan) -> list[str]:
    return [each.state for each in here.apply(plan)]


def test_the_store_is_rebuilt_and_put_back_to_the_byte(tmp_path: Path) -> None:
    here = image(tmp_path)
    before = snapshot(here.root)

    assert states(here, trust()) == ["applied", "applied"]

    store = here.root / "etc/ssl/certs"
    assert (store / "registry.pem").readlink() == Path(f"{ANCHORS}/registry.crt")
    assert (store / "ca-certificates.crt").read_bytes().count(b"BEGIN") == 2
    assert not (store / "0badcafe.0").is_symlink()
    here.undo(by="run-2")
    assert snapshot(here.root) == before
    here.undo("run-2", by="run-3")
    assert (store / "registry.pem").is_symlink()


def test_a_store_that_someone_rebuilt_after_us_is_not_put_back_unasked(tmp_path: Path) -> None:
    here = image(tmp_path)
    here.apply(trust())
    (here.root / "etc/ssl/certs/ca-certificates.crt").write_bytes(b"rebuilt\n")

    with pytest.raises(Exception, match=r"ca-certificates\.crt \(left as"):
        here.undo()


def test_killed_at_any_boundary_or_inside_the_rebuild_it_can_be_undone(tmp_path: Path) -> None:
    for at in range(1, 40):
        home = tmp_path / str(at)
        home.mkdir()
        here = image(home)
        before = snapshot(here.root)
        child = os.fork()
        if child == 0:
            seen: list[str] = []

            def hook(step: str, seen: list[str] = seen, at: int = at, here: Places = here) -> None:
                seen.append(step)
                if len(seen) == at:
                    if step.startswith("backed up Refresh"):  # half of what the rebuild does
                        (here.root / "etc/ssl/certs/A.pem").unlink()
                        (here.root / "etc/ssl/certs/x.pem").symlink_to("half")
                    os._exit(77)

            here.apply(trust(), hook=hook)
            os._exit(0)
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        if code == 0:
            assert at > 8
            return
        if any(each.changes for each in list_runs(here.state)):
            assert plan_undo("run-1", here.state).lines
            assert [each.state for each in here.undo()] == ["undone"], at
        assert snapshot(here.root) == before, at


def test_a_family_without_a_known_tool_is_refused_and_the_anchor_taken_back(tmp_path: Path) -> None:
    here = image(tmp_path)
    before = snapshot(here.root)

    results = here.apply(trust("plan9"))

    assert [each.state for each in results] == ["undone", "failed"]
    assert "plan9 is not known" in results[1].detail
    assert snapshot(here.root) == before
