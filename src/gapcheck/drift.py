"""What differs between two looks at one site, and why where that is known. Pure.

A verdict is compared only where both looks measured it; the rest is `incomparable`, never
"unchanged". A cause is named only where it was recorded: a fact that differs, a repair that
ran, a waiver that ended, a node that joined, another version or policy. Comparing itself is in
`comparison`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Literal, Protocol

import msgspec

from gapcheck.model import Cause, CheckId, Severity, Status, SubjectId

UNMEASURED = "not measured: "
SETTING = "setting"
GAP = "gap "

Kind = Literal["new", "resolved", "changed", "unchanged", "incomparable"]
WhyKind = Literal[
    "root", "fact", "nearby", "repair", "waiver", "joined", "policy", "version", "unknown"
]


class State(msgspec.Struct, frozen=True, kw_only=True):
    """A verdict as it is remembered: `loci` without line numbers, `said` in one line.

    `named` are the paths, images and objects that its findings and evidence name.
    """

    status: Status
    severity: Severity
    loci: tuple[str, ...] = ()
    said: str = ""
    named: tuple[str, ...] = ()
    roots: tuple[Cause, ...] = ()

    def like(self, other: State) -> bool:
        """Whether both say the same of the same things; words and numbers may differ."""
        mine, theirs = (self.status, self.severity), (other.status, other.severity)
        return mine == theirs and self.loci == other.loci


class Moment(msgspec.Struct, frozen=True, kw_only=True):
    """One look at the site: a run, or the run that a baseline was accepted from."""

    run: str
    at: datetime
    version: str
    baseline: str = ""


class RepairRun(msgspec.Struct, frozen=True, kw_only=True):
    """A run that changed something: what it undoes ('' for a fix), and what it wrote.

    `wrote` gives, by target and path, the SHA-256 of what it left there, '' where nothing.
    """

    run: str
    at: datetime
    undoes: str = ""
    wrote: dict[SubjectId, dict[str, str]] = {}

    @property
    def what(self) -> str:
        """The run as a cause: "fix run R" or "undo run R (of Q)"."""
        return f"undo run {self.run} (of {self.undoes})" if self.undoes else f"fix run {self.run}"


class Why(msgspec.Struct, frozen=True, kw_only=True):
    """One cause. `before` and `after` are set where a fact or a policy differs."""

    kind: WhyKind
    text: str
    subject: str = ""
    before: str = ""
    after: str = ""


class Item(msgspec.Struct, frozen=True, kw_only=True):
    """One verdict that differs, or is still bad, or cannot be compared.

    `was` and `now` are statuses, '' where the verdict was not there. `since` is when the
    state that it is in now was first recorded; None where no history says it.
    """

    check: CheckId
    subject: SubjectId
    kind: Kind
    severity: Severity
    was: str
    now: str
    said: str
    causes: tuple[Why, ...] = ()
    since: datetime | None = None
    since_run: str = ""

    @property
    def cause(self) -> Cause:
        """The verdict as others name it."""
        return Cause(self.check, self.subject)


class FactChange(msgspec.Struct, frozen=True, kw_only=True):
    """A fact that differs, with the subjects of which that is so; '' = not there."""

    fact: str
    before: str
    after: str
    subjects: tuple[str, ...]
    by: str = ""


class Drift(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that differs. `counts` are of all; the lists stop at a few thousand."""

    before: Moment
    after: Moment
    counts: dict[str, int]
    items: tuple[Item, ...] = ()
    facts: tuple[FactChange, ...] = ()
    joined: tuple[str, ...] = ()
    left: tuple[str, ...] = ()
    settings: tuple[Why, ...] = ()
    repairs: tuple[RepairRun, ...] = ()

    @property
    def found(self) -> bool:
        """Whether the site differs: in a verdict, a fact, or its nodes."""
        kinds = ("new", "resolved", "changed", "facts", "joined", "left")
        return any(self.counts.get(kind, 0) for kind in kinds)

    def of(self, kind: Kind) -> tuple[Item, ...]:
        """The items of one kind."""
        return tuple(item for item in self.items if item.kind == kind)


class Snapshot(Protocol):
    """One look at a site, however it is kept. Sheets are read one at a time."""

    @property
    def moment(self) -> Moment:
        """When it was, and by what."""
        ...

    @property
    def measured(self) -> Mapping[str, str]:
        """The digest of every subject's fact sheet; '' where it was not measured."""
        ...

    def checks(self) -> Sequence[CheckId]:
        """Every check that was judged."""
        ...

    def states(self, check: CheckId) -> Mapping[SubjectId, State]:
        """What `check` said, by subject."""
        ...

    def sheet(self, digest: str) -> Mapping[str, str]:
        """A fact sheet by its digest."""
        ...
