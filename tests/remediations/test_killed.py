"""kill -9 before every single system call that changes something, also in the middle of a file."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from support.killed import at_system_call, folder, killed_at
from support.places import NODE, Places, places, plan_of, sha, snapshot

from gapcheck.remediations.plan import (
    EditBlock,
    EditToml,
    KeyEdit,
    Literal,
    Plan,
    RemoveFile,
    SetMode,
    WriteFile,
)
from gapcheck.remediations.runs import list_runs

__all__ = ["folder"]
HOSTS, CONFIG = "/etc/hosts", "/etc/containerd/config.toml"


def plan(here: Places) -> Plan:
    """Each way to write a file, as it would be planned for what stands there now."""

    def now(path: str) -> str | None:
        place = here.root / path.lstrip("/")
        return sha(place.read_bytes()) if place.exists() else None

    edit = KeyEdit(op="set", keys=("a",), value="b")
    changes = [
        EditBlock(
            target=NODE, path=HOSTS, before_sha256=now(HOSTS), marker="m", lines=("::1 registry",)
        ),
        EditToml(target=NODE, path=CONFIG, before_sha256=now(CONFIG), edits=(edit,)),
        WriteFile(
            target=NODE,
            path="/etc/new/folder/ca.crt",
            before_sha256=now("/etc/new/folder/ca.crt"),
            content=Literal(b"new\n"),
        ),
    ]
    if now("/etc/old.crt"):
        changes.append(
            RemoveFile(target=NODE, path="/etc/old.crt", before_sha256=now("/etc/old.crt"))
        )
    changes.append(
        SetMode(
            target=NODE,
            path="/certs/registry.key",
            before_sha256=now("/certs/registry.key"),
            mode=0o400,
            before_mode=0o600,
        )
    )
    return plan_of(*changes)


def test_before_any_system_call_a_kill_can_be_undone_and_the_repair_done(folder: Path) -> None:
    for at in range(1, 1000):
        home = folder / str(at)
        home.mkdir()
        here = places(home)
        before = snapshot(here.root)
        if not killed_at(at, at_system_call, partial(here.apply, plan(here)))[0]:
            assert at > 80
            return
        if any(each.changes for each in list_runs(here.state)):
            assert {each.state for each in here.undo()} == {"undone"}, at
        assert snapshot(here.root) == before, at
        assert {each.state for each in here.apply(plan(here), run="run-a")} == {"applied"}, at
        assert not list(here.root.rglob("*gapcheck*")), at


def test_before_any_system_call_of_an_undo_a_kill_leaves_what_the_next_undo_ends(
    folder: Path,
) -> None:
    for at in range(1, 1000):
        home = folder / str(at)
        home.mkdir()
        here = places(home)
        before = snapshot(here.root)
        here.apply(plan(here))
        if not killed_at(at, at_system_call, partial(here.undo, by="run-8"))[0]:
            assert at > 80
            return
        if any(each.id == "run-1" and each.state != "undone" for each in list_runs(here.state)):
            assert {each.state for each in here.undo()} == {"undone"}, at
        assert snapshot(here.root) == before, at
