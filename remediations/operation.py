"""From a change to what a machine is to do: files before and after, and effects beside them."""

from __future__ import annotations

import datetime as dt
import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial

import msgspec

from gapcheck.errors import RepairRefused
from gapcheck.model import SITE, SubjectId, node_subject
from gapcheck.remediations.edits import apply_edit
from gapcheck.remediations.issue import Made, make_ca, make_leaf
from gapcheck.remediations.journal import FileState
from gapcheck.remediations.machines.base import TRUST_TREES, Looked, Machine
from gapcheck.remediations.plan import (
    AnyChange,
    DrainNode,
    EditBlock,
    EditYaml,
    FileChange,
    IssueCertificate,
    Literal,
    Output,
    PatchObject,
    PlannedChange,
    RecreateContainer,
    RefreshTrustStore,
    RemoveFile,
    RestartContainer,
    RestartUnit,
    SetContainer,
    SetMode,
    SwitchCertificate,
    UncordonNode,
    UpgradeRelease,
    WriteFile,
)
from gapcheck.remediations.recovery import CORDON, REFRESH, UNCORDON, WAS_DOWN

Act = Callable[[], str | dict[str, str]]
STAGED = ".gapcheck-new"
_BACKDATE = dt.timedelta(hours=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Write:
    """One file: what stands there, what is to stand there, and its content.

    `content` None with kind file: the content is in the run's backup (`from_backup`), or stays.
    """

    expect: FileState
    wanted: FileState
    content: bytes | None = field(default=None, repr=False)
    from_backup: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """One step on one machine. `trees` are folders that `act` rewrites as a whole.

    `keep` are files whose contents the backup takes beside those of `writes`; `backup_of` is
    the run from whose backup they are written, '' = the one that is under way.
    """

    id: str
    kind: str
    machine: Machine
    writes: tuple[Write, ...] = ()
    keep: tuple[FileState, ...] = ()
    dirs: tuple[str, ...] = ()
    trees: tuple[str, ...] = ()
    backup_of: str = ""
    in_place: bool = False
    final: bool = False
    effect: Mapping[str, str] = field(default_factory=dict)
    act: Act | None = None
    outputs: Mapping[str, bytes] = field(default_factory=dict)

    @property
    def place(self) -> SubjectId:
        """The place that it is done for: a drain is part of what is done to its node."""
        name = self.effect.get(CORDON) or self.effect.get(UNCORDON)
        return node_subject(name) if name else self.machine.target


@dataclass(slots=True, kw_only=True)
class Workshop:
    """What operations of one run share: its id, outputs of issuing changes, files written."""

    run: str
    machines: Callable[[SubjectId], Machine]
    now: dt.datetime
    wait_s: float
    outputs: dict[str, Mapping[str, bytes]] = field(default_factory=dict)
    written: dict[tuple[SubjectId, str], tuple[str | None, str | None]] = field(
        default_factory=dict
    )

    def operations(self, planned: PlannedChange) -> tuple[Operation, ...]:
        """What a change does now; () where everything is as it asks already.

        Raises RepairRefused where a target is not as it was measured, EditRefused where an
        edit does not apply.
        """
        change_id, change = planned.id, planned.change
        machine = self.machines(change.target)
        if machine.read_only:
            raise RepairRefused(str(change.target), machine.read_only)
        match change:
            case SetMode():
                return self._mode(change_id, change, machine)
            case FileChange():
                return self._file(change_id, change, machine)
            case IssueCertificate():
                return self._issue(change_id, change, machine)
            case SwitchCertificate():
                return self._switch(change_id, change, machine)
            case RecreateContainer():
                return self._recreate(change_id, change, machine)
            case _:
                return (self._effect(planned, machine),)

    def _mode(self, change_id: str, change: SetMode, machine: Machine) -> tuple[Operation, ...]:
        state = machine.look(change.path, read=False).state
        self._unchanged(change, state)
        if state.mode == change.mode:
            return ()
        wanted = msgspec.structs.replace(state, mode=change.mode)
        write = Write(expect=state, wanted=wanted)
        return (Operation(id=change_id, kind="SetMode", machine=machine, writes=(write,)),)

    def _file(self, change_id: str, change: FileChange, machine: Machine) -> tuple[Operation, ...]:
        removes = isinstance(change, RemoveFile)
        whole = removes or isinstance(change, WriteFile)
        looked = machine.look(change.path, follow=not removes, read=not whole)
        if not (removes and looked.state.kind == "link"):
            self._unchanged(change, looked.state)
        content = apply_edit(self._resolved(change), looked.content)
        wanted = _wanted(change, looked, content)
        if wanted.like(looked.state):
            return ()
        if content is not None:
            machine.validate(looked.state.path, content)
        self.written[change.target, change.path] = (
            change.before_sha256,
            wanted.sha256 or None,
        )
        return (
            Operation(
                id=change_id,
                kind=type(change).__name__,
                machine=machine,
                writes=(Write(expect=looked.state, wanted=wanted, content=content),),
                dirs=looked.missing_dirs if content is not None else (),
                in_place=isinstance(change, EditBlock) and change.in_place,
                final=isinstance(change, EditYaml | WriteFile | RemoveFile) and change.final,
            ),
        )

    def _unchanged(self, change: FileChange, state: FileState) -> None:
        """Raise unless the file is as it was measured, or as this run left it."""
        expected = change.before_sha256
        first, ours = self.written.get((change.target, change.path), (expected, expected))
        if (state.sha256 or None) != (ours if first == expected else expected):
            now = f"is {state.sha256[:12]}" if state.sha256 else "is absent"
            was = f"{expected[:12]}" if expected else "absent"
            raise RepairRefused(
                str(change.target),
                f"{change.path} has changed since it was measured (was {was}, {now})",
            )

    def _resolved(self, change: FileChange) -> FileChange:
        if not isinstance(change, WriteFile) or not isinstance(change.content, Output):
            return change
        made = self.outputs.get(change.content.change, {}).get(change.content.name)
        if made is None:
            raise RepairRefused(
                str(change.target), f"{change.content.change} made no {change.content.name}"
            )
        return msgspec.structs.replace(change, content=Literal(made))

    def _issue(
        self, change_id: str, change: IssueCertificate, machine: Machine
    ) -> tuple[Operation, ...]:
        now = self.now
        if change.not_before:
            now = dt.datetime.fromisoformat(change.not_before) + _BACKDATE
        site = self.machines(SITE)
        issuer, writes, dirs = _issuer(change, site, now)
        leaf = make_leaf(change, issuer, now=now)
        operations = []
        if writes:
            operations.append(
                Operation(
                    id=f"{change_id}/issuer",
                    kind="IssueCertificate",
                    machine=site,
                    writes=writes,
                    dirs=dirs,
                )
            )
        staged = (
            _whole(machine, change.certificate_path + STAGED, leaf.certificate, 0o644),
            _whole(machine, change.key_path + STAGED, leaf.key, 0o600),
        )
        operations.append(
            Operation(
                id=change_id,
                kind="IssueCertificate",
                machine=machine,
                writes=tuple(write for write, _ in staged),
                dirs=tuple(dict.fromkeys(each for _, dirs in staged for each in dirs)),
                outputs={"ca.crt": issuer.certificate, "tls.crt": leaf.certificate},
            )
        )
        return tuple(operations)

    def _switch(
        self, change_id: str, change: SwitchCertificate, machine: Machine
    ) -> tuple[Operation, ...]:
        writes: list[Write] = []
        keep: list[FileState] = []
        for path, before, mode in (
            (change.key_path, change.key_before_sha256, 0o600),
            (change.certificate_path, change.certificate_before_sha256, 0o644),
        ):
            staged = machine.look(path + STAGED, read=False).state
            served = machine.look(path, read=False).state
            if staged.kind != "file":
                raise RepairRefused(str(change.target), f"{path}{STAGED} was not staged")
            if (served.sha256 or None) != before:
                raise RepairRefused(str(change.target), f"{path} has changed since it was measured")
            wanted = FileState(path=served.path, kind="file", sha256=staged.sha256, mode=mode)
            if served.kind == "file":
                wanted = msgspec.structs.replace(served, sha256=staged.sha256)
            writes.append(Write(expect=served, wanted=wanted, from_backup=True))
            keep.append(staged)
        writes += [Write(expect=each, wanted=FileState(path=each.path)) for each in keep]
        return (
            Operation(
                id=change_id,
                kind="SwitchCertificate",
                machine=machine,
                writes=tuple(writes),
                keep=tuple(keep),
            ),
        )

    def _recreate(
        self, change_id: str, change: RecreateContainer, machine: Machine
    ) -> tuple[Operation, ...]:
        effect = machine.look_container(change)
        if not effect:
            return ()
        return (
            Operation(
                id=change_id,
                kind="RecreateContainer",
                machine=machine,
                effect=effect,
                act=lambda: machine.recreate_container(change, effect, timeout_s=self.wait_s),
            ),
        )

    def _effect(self, planned: PlannedChange, machine: Machine) -> Operation:
        change = planned.change
        trees: tuple[str, ...] = ()
        final = False
        effect: dict[str, str] = {}
        act: Act
        match change:
            case RefreshTrustStore(family=family, fresh=fresh):
                if change.final:
                    effect = {REFRESH: family}
                else:
                    trees = TRUST_TREES.get(family, ())
                act = lambda: machine.refresh_trust_store(family, fresh=fresh)  # noqa: E731 - one of five
            case RestartUnit(unit=unit):
                effect = {"unit": unit, **({WAS_DOWN: "yes"} if planned.was_down else {})}
                act = lambda: machine.restart_unit(unit, timeout_s=self.wait_s)  # noqa: E731 - one of five
            case SetContainer(name=name, restart_policy=policy):
                effect = {"container": name, "policy": change.before_restart_policy}
                effect["was_set"] = policy
                act = lambda: machine.set_restart_policy(name, policy)  # noqa: E731 - one of five
            case RestartContainer(name=name):
                effect = {"restart": name}
                act = lambda: machine.restart_container(name, timeout_s=self.wait_s)  # noqa: E731 - one of five
            case PatchObject():
                final = change.final
                effect = {
                    "object": f"{change.kind}/{change.namespace}/{change.name}",
                    "api_version": change.api_version,
                    "run": self.run,
                    "was": "absent" if change.creates else "present",
                    **({"rolls_out": "yes"} if change.rolls_out else {}),
                }
                act = lambda: machine.patch_object(change, self.run)  # noqa: E731 - one of five
            case UpgradeRelease():
                effect = {
                    "object": f"HelmRelease/{change.namespace}/{change.name}",
                    "run": self.run,
                    "revision": str(change.revision),
                }
                act = lambda: machine.upgrade_release(change, self.run)  # noqa: E731 - one of five
            case _:
                effect, act = self._of_node(change, machine)
        return Operation(
            id=planned.id,
            kind=type(change).__name__,
            machine=machine,
            trees=trees,
            final=final,
            effect=effect,
            act=act,
        )

    def _of_node(self, change: AnyChange, machine: Machine) -> tuple[dict[str, str], Act]:
        """What is done to a node of the cluster, and how it is noted."""
        match change:
            case DrainNode(name=name):
                drain = partial(machine.drain_node, change, self.run)
                return {CORDON: name, "run": self.run}, drain
            case UncordonNode(name=name):
                return {UNCORDON: name, "run": self.run}, partial(
                    machine.uncordon_node, name, self.run
                )
            case _:
                raise RepairRefused(str(change.target), f"{type(change).__name__} is not known")


def _wanted(change: FileChange, looked: Looked, content: bytes | None) -> FileState:
    state = looked.state
    if content is None:
        return FileState(path=state.path)
    digest = hashlib.sha256(content).hexdigest()
    if state.kind == "file":
        mode = change.mode if isinstance(change, WriteFile) else state.mode
        return msgspec.structs.replace(state, sha256=digest, mode=mode)
    mode = change.mode if isinstance(change, WriteFile) else 0o644
    return FileState(path=state.path, kind="file", sha256=digest, mode=mode)


def _whole(machine: Machine, path: str, content: bytes, mode: int) -> tuple[Write, tuple[str, ...]]:
    looked = machine.look(path, read=False)
    wanted = FileState(
        path=looked.state.path,
        kind="file",
        sha256=hashlib.sha256(content).hexdigest(),
        mode=mode,
    )
    return Write(expect=looked.state, wanted=wanted, content=content), looked.missing_dirs


def _issuer(
    change: IssueCertificate, site: Machine, now: dt.datetime
) -> tuple[Made, tuple[Write, ...], tuple[str, ...]]:
    """The CA that signs, and the writes that keep it where it is new."""
    certificate = site.look(change.issuer_certificate)
    key = site.look(change.issuer_key)
    if certificate.content is not None and key.content is not None:
        return Made(certificate=certificate.content, key=key.content), (), ()
    if certificate.content is not None or key.content is not None:
        present, absent = change.issuer_certificate, change.issuer_key
        if certificate.content is None:
            present, absent = absent, present
        raise RepairRefused(str(change.target), f"{present} is there and {absent} is not")
    made = make_ca((change.names or change.addresses)[0], now=now)
    key_write, key_dirs = _whole(site, change.issuer_key, made.key, 0o600)
    write, dirs = _whole(site, change.issuer_certificate, made.certificate, 0o644)
    return made, (key_write, write), tuple(dict.fromkeys((*key_dirs, *dirs)))
