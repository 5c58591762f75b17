"""What a repair may do: a closed union of changes, and the plan that holds them.

Changes are data. None of them carries a shell line, a private key or a password; the one
applier executes them, and nothing else writes.
"""

from __future__ import annotations

import hashlib
from enum import IntEnum
from typing import Any

import msgspec

from gapcheck.model import Cause, Risk, SubjectId


class Stage(IntEnum):
    """Order of changes over the whole site: what consumers need first comes first."""

    NAMES = 10
    ISSUE = 20
    TRUST = 30
    RUNTIME = 40
    RESTART = 50
    LEAF = 60
    REGISTRY = 70
    SECRET = 80
    RELEASE = 90
    ROLLOUT = 95
    CLEANUP = 99


class Literal(msgspec.Struct, frozen=True, tag="literal"):
    """Content known when planning: public material only."""

    data: bytes


class Output(msgspec.Struct, frozen=True, tag="output"):
    """Content that an earlier change makes: `name` is ca.crt or tls.crt of `change`."""

    change: str
    name: str


Content = Literal | Output


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """Base of the changes.

    `target` is a subject that can be written: node/NAME, registry (the machine of
    registry.target), cluster (live objects) or site (files of this machine).
    """

    target: SubjectId

    @property
    def id(self) -> str:
        """Stable id made of the kind and a digest of the content."""
        kind = type(self).__name__
        digest = hashlib.sha256(kind.encode() + msgspec.json.encode(self)).hexdigest()
        return f"{kind}-{digest[:12]}"

    @property
    def risk(self) -> Risk:
        """What executing it costs."""
        return Risk.SAFE


class KeyEdit(msgspec.Struct, frozen=True, kw_only=True):
    """Set or delete the value at a path of keys (text) and positions (numbers)."""

    op: str
    keys: tuple[str | int, ...]
    value: Any = None


class LineEdit(msgspec.Struct, frozen=True, kw_only=True):
    """Replace the line `before` by `after`; None drops it."""

    before: str
    after: str | None = None


class FileChange(Change, frozen=True, kw_only=True):
    """A change of one file; `before_sha256` is what it must still be, None = absent."""

    path: str
    before_sha256: str | None


class EditToml(FileChange, frozen=True, kw_only=True, tag="edit-toml"):
    """Edit keys of a TOML file, comments kept."""

    edits: tuple[KeyEdit, ...]


class EditYaml(FileChange, frozen=True, kw_only=True, tag="edit-yaml"):
    """Edit keys of document `document` of a YAML file, comments and order kept.

    `final` is a removal that must not be undone (a leaked private key): no copy is kept.
    """

    edits: tuple[KeyEdit, ...]
    document: int = 0
    final: bool = False


class EditJson(FileChange, frozen=True, kw_only=True, tag="edit-json"):
    """Edit keys of a JSON file."""

    edits: tuple[KeyEdit, ...]


class EditBlock(FileChange, frozen=True, kw_only=True, tag="edit-block"):
    """Hold `lines` between marker comments, and replace other `line_edits` in the file."""

    marker: str
    lines: tuple[str, ...]
    line_edits: tuple[LineEdit, ...] = ()
    in_place: bool = True


class WriteFile(FileChange, frozen=True, kw_only=True, tag="write-file"):
    """Write a file that is wholly ours; its folder is made (0755) where absent.

    `final`: it takes the place of one that leaks a private key, of which no copy is kept.
    """

    content: Content
    mode: int = 0o644
    stage: Stage = Stage.TRUST
    final: bool = False


class RemoveFile(FileChange, frozen=True, kw_only=True, tag="remove-file"):
    """Remove a file; undo puts it back, unless it is `final`: it leaks a private key."""

    final: bool = False


class SetMode(FileChange, frozen=True, kw_only=True, tag="set-mode"):
    """Set a file's permission bits; its content is not read."""

    mode: int
    before_mode: int


class RefreshTrustStore(Change, frozen=True, kw_only=True, tag="refresh-trust-store"):
    """Rebuild the OS trust store from its anchors by the distribution's own tool.

    `family` is debian, rhel, suse, alpine or arch; `fresh` removes stale links as well. `final`:
    the store that it replaces leaks a private key; undo rebuilds it instead of putting it back.
    """

    family: str
    fresh: bool = False
    final: bool = False


class RestartUnit(Change, frozen=True, kw_only=True, tag="restart-unit"):
    """Restart a systemd unit and wait until it is active."""

    unit: str

    @property
    def risk(self) -> Risk:
        """A restart; pods keep running."""
        return Risk.RESTART


class SetContainer(Change, frozen=True, kw_only=True, tag="set-container"):
    """Set the restart policy of a container, without recreating it."""

    name: str
    restart_policy: str
    before_restart_policy: str


class RestartContainer(Change, frozen=True, kw_only=True, tag="restart-container"):
    """Restart a container, so that it loads its files again."""

    name: str

    @property
    def risk(self) -> Risk:
        """The registry is away for seconds."""
        return Risk.RESTART


class NewVolume(msgspec.Struct, frozen=True, kw_only=True):
    """A named volume that takes the place, and a copy of the data, of what is at `destination`."""

    name: str
    destination: str


class RecreateContainer(Change, frozen=True, kw_only=True, tag="recreate-container"):
    """Make a container anew with other settings; all the rest is as it was, image and data too.

    `before_id` is the container it must still be: under one id nothing of what a plan shows
    changes. `set_env` and `unset_env` hold names and values that are no secret. The former
    container is kept, stopped, under another name.
    """

    name: str
    before_id: str
    set_env: tuple[tuple[str, str], ...] = ()
    unset_env: tuple[str, ...] = ()
    volumes: tuple[NewVolume, ...] = ()
    restart_policy: str = ""

    @property
    def risk(self) -> Risk:
        """The registry is away while it is made, and for as long as data is copied."""
        return Risk.OUTAGE


class PatchObject(Change, frozen=True, kw_only=True, tag="patch-object"):
    """Merge-patch a live object that is still the one that was measured.

    That is told by its `generation` where it has one, else (0) by its `resource_version`, which
    changes with every status, and a workload that crashes has a new one each second.
    `creates`: there was no such object; `patch` is the whole of it, and one that has come to
    be since is left alone.
    """

    api_version: str
    kind: str
    namespace: str
    name: str
    uid: str
    resource_version: str
    patch: Any
    generation: int = 0
    rolls_out: bool = False
    final: bool = False
    creates: bool = False

    @property
    def risk(self) -> Risk:
        """Safe, unless it changes a pod template."""
        return Risk.RESTART if self.rolls_out else Risk.SAFE


class ReadFile(msgspec.Struct, frozen=True, kw_only=True):
    """A file or folder of this machine that a change reads, as it was measured."""

    path: str
    sha256: str


class UpgradeRelease(Change, frozen=True, kw_only=True, tag="upgrade-release"):
    """Have Helm install the values files, while the release is at the measured `revision`.

    `keeps` are key paths that only Helm's record holds and that go on to count, `unset` those
    that are in vain.
    """

    name: str
    namespace: str
    revision: int
    chart: ReadFile
    values: tuple[ReadFile, ...]
    keeps: tuple[str, ...] = ()
    unset: tuple[str, ...] = ()

    @property
    def id(self) -> str:
        """The same for every revision: an upgrade that did not help is not made again."""
        return super(UpgradeRelease, msgspec.structs.replace(self, revision=0)).id

    @property
    def risk(self) -> Risk:
        """Helm may replace every pod of the release at once, and runs the chart's hooks."""
        return Risk.OUTAGE


class IssueCertificate(Change, frozen=True, kw_only=True, tag="issue-certificate"):
    """Make a leaf (and the CA, where absent): only the specification is here, never a key.

    Outputs are `ca.crt` and `tls.crt`. Certificate and key are staged beside their paths on
    the target, the key over the verified channel; `SwitchCertificate` makes them the served
    ones. `issuer_certificate` and `issuer_key` are paths on this machine.
    """

    certificate_path: str
    key_path: str
    names: tuple[str, ...]
    addresses: tuple[str, ...]
    days: int
    issuer_certificate: str
    issuer_key: str
    not_before: str


class SwitchCertificate(Change, frozen=True, kw_only=True, tag="switch-certificate"):
    """Put the pair that `issue` staged in the place of the served one; the old pair is kept."""

    issue: str
    certificate_path: str
    key_path: str
    certificate_before_sha256: str | None
    key_before_sha256: str | None

    @property
    def risk(self) -> Risk:
        """Clients meet another certificate from the next handshake on."""
        return Risk.RESTART


class DrainNode(Change, frozen=True, kw_only=True, tag="drain-node"):
    """Cordon the node `name` and evict its pods, as kubectl drain does.

    Budgets are honoured, for `timeout_s` at most; pods of a DaemonSet, mirror pods and finished
    ones stay. Refused for the last node that takes pods, and for pods without a controller or,
    but for `delete_emptydir`, with an emptyDir.
    """

    name: str
    timeout_s: int
    delete_emptydir: bool = False

    @property
    def risk(self) -> Risk:
        """Its pods end, and start elsewhere."""
        return Risk.OUTAGE


class UncordonNode(Change, frozen=True, kw_only=True, tag="uncordon-node"):
    """Let the node `name` take pods again, where this run cordoned it."""

    name: str


AnyChange = (
    EditToml
    | EditYaml
    | EditJson
    | EditBlock
    | WriteFile
    | RemoveFile
    | SetMode
    | RefreshTrustStore
    | RestartUnit
    | SetContainer
    | RestartContainer
    | RecreateContainer
    | PatchObject
    | UpgradeRelease
    | IssueCertificate
    | SwitchCertificate
    | DrainNode
    | UncordonNode
)


class PlannedChange(msgspec.Struct, frozen=True, kw_only=True):
    """A change with its place in the order, the verdicts it repairs, and its diff as shown.

    `was_down`: the unit that it restarts was measured, and did not run.
    """

    id: str
    change: AnyChange
    stage: int
    causes: tuple[Cause, ...]
    diff: str = ""
    note: str = ""
    was_down: bool = False


class Unplanned(msgspec.Struct, frozen=True, kw_only=True):
    """A verdict that no change was planned for, and why."""

    cause: Cause
    why: str


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """One round of repair: changes in the order they will run, and what is left."""

    round: int
    changes: tuple[PlannedChange, ...]
    unplanned: tuple[Unplanned, ...] = ()

    @property
    def risk(self) -> Risk:
        """The costliest change in it; safe when it is empty."""
        return max(
            (each.change.risk for each in self.changes), key=lambda r: r.rank, default=Risk.SAFE
        )
