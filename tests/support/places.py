"""A site to repair, in a temporary folder: one image root, the site's own files, the state."""

from __future__ import annotations

import datetime as dt
import hashlib
import os
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
from support.certs import NOW

from gapcheck.errors import RepairFailed, UsageError
from gapcheck.fixtures.targets.base import Target
from gapcheck.fixtures.targets.root import RootTarget
from gapcheck.model import SITE, SubjectId
from gapcheck.record import ChangeResult
from gapcheck.remediations.apply import apply_plan, no_hook
from gapcheck.remediations.foreign import foreign
from gapcheck.remediations.journal import Journal
from gapcheck.remediations.lock import FolderLocks
from gapcheck.remediations.machines.base import Holder, Machine
from gapcheck.remediations.machines.root import RootMachine, SiteMachine
from gapcheck.remediations.machines.shell import ShellMachine
from gapcheck.remediations.plan import Plan, PlannedChange
from gapcheck.remediations.undo import plan_undo, undo_run
from gapcheck.state import State

NODE = SubjectId("node/image")


def sha(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def plan_of(*changes: Any, round_: int = 1) -> Plan:
    return Plan(
        round=round_,
        changes=tuple(
            PlannedChange(id=each.id, change=each, stage=0, causes=()) for each in changes
        ),
    )


def snapshot(*folders: Path) -> dict[str, tuple[Any, ...]]:
    """Everything below `folders`: kind, mode, owner, link target, content."""
    found: dict[str, tuple[Any, ...]] = {}
    for folder in folders:
        for path in sorted(folder.rglob("*")):
            stat = path.lstat()
            what: Any = None
            if path.is_symlink():
                what = str(path.readlink())
            elif path.is_file():
                what = path.read_bytes()
            mode = 0 if path.is_symlink() else stat.st_mode
            found[str(path)] = (mode, stat.st_uid, stat.st_gid, what)
    return found


@dataclass
class Places:
    """`root` is the image, `site` the folder of site.yaml; `home` holds the state.

    With a `shell`, the files below `root` are a machine's, reached by it.
    """

    home: Path
    shell: Target | None = None

    @property
    def root(self) -> Path:
        return self.home / "image"

    @property
    def site(self) -> Path:
        return self.home / "site"

    @property
    def state(self) -> State:
        return State(self.home / "state")

    def file(self, path: str, content: bytes, mode: int = 0o644) -> Path:
        place = self.root / path.lstrip("/")
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(content)
        place.chmod(mode)
        return place

    def machine(self, subject: SubjectId, locks: FolderLocks | None = None) -> Machine:
        locks = locks or FolderLocks(self.state)
        if subject == SITE:
            return SiteMachine(subject, self.site, self.state, locks)
        if self.shell is not None:
            return ShellMachine(subject, self.shell, state_dir=str(self.home / "there"))
        root = RootTarget(f"rootdir://{self.root}", self.root)
        return RootMachine(subject, root, self.state, locks)

    def opener(self) -> Callable[[SubjectId], Machine]:
        return partial(self.machine, locks=FolderLocks(self.state))

    def placed(self, plan: Plan) -> Plan:
        """`plan` with the paths that the machine has for the files below `root`."""
        if self.shell is None:
            return plan
        return msgspec.structs.replace(plan, changes=tuple(map(self._placed, plan.changes)))

    def _placed(self, planned: PlannedChange) -> PlannedChange:
        change = planned.change
        if change.target == SITE:
            return planned
        moved = {
            name: str(self.root) + getattr(change, name)
            for name in ("path", "certificate_path", "key_path")
            if hasattr(change, name)
        }
        return msgspec.structs.replace(planned, change=msgspec.structs.replace(change, **moved))

    def journal(self, run: str) -> Journal:
        return Journal(self.state.new_run(run), clock=lambda: NOW)

    def apply(
        self,
        plan: Plan,
        run: str = "run-1",
        hook: Callable[[str], None] = no_hook,
        now: dt.datetime = NOW,
    ) -> tuple[ChangeResult, ...]:
        journal = self.journal(run)
        try:
            return apply_plan(
                self.placed(plan),
                machines=self.opener(),
                journal=journal,
                holder=holder(run),
                now=now,
                hook=hook,
                wait_s=5,
            )
        finally:
            journal.close()

    def apply_or_refuse(self, plan: Plan) -> tuple[ChangeResult, ...]:
        """As `apply`; where the run itself cannot be begun or go on, one result says why."""
        try:
            return self.apply(plan)
        except (RepairFailed, UsageError) as failed:
            return (ChangeResult(id="", target=NODE, state="failed", detail=str(failed)),)

    def undo(
        self,
        run: str = "run-1",
        by: str = "run-9",
        hook: Callable[[str], None] = no_hook,
        *,
        targets: Sequence[str] = (),
        force: bool = False,
    ) -> tuple[ChangeResult, ...]:
        plan = plan_undo(run, self.state, targets=targets, force=force)
        opener = self.opener()
        accepted = [
            each
            for target in plan.targets
            for each in foreign([e for e in plan.entries if e.target == target], opener(target))
        ]
        journal = self.journal(by)
        try:
            return undo_run(
                plan,
                machines=self.opener(),
                journal=journal,
                holder=holder(by),
                hook=hook,
                wait_s=5,
                accepted=accepted if force else (),
            )
        finally:
            journal.close()


def holder(run: str) -> Holder:
    host = socket.gethostname()
    return Holder(run=run, pid=os.getpid(), host=host, since="2026-06-15T12:00:00+00:00")


def places(home: Path, shell: Target | None = None) -> Places:
    """An image root with a hosts file, a runtime configuration and a served pair."""
    made = Places(home, shell)
    for folder in (made.root, made.site):
        folder.mkdir()
    made.file("/etc/hosts", b"127.0.0.1 localhost\n")
    made.file("/etc/containerd/config.toml", b"version = 2\n", 0o600)
    made.file("/etc/old.crt", b"old\n", 0o640)
    made.file("/certs/registry.crt", b"served certificate\n")
    made.file("/certs/registry.key", b"served key\n", 0o600)
    (made.root / "etc/link").symlink_to("containerd/config.toml")
    return made
