"""The record of a run: what every report is written from, and nothing else."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from datetime import datetime

import msgspec

from gapcheck.drift import Drift
from gapcheck.model import Cause, Gap, RemedyInfo, Status, SubjectId, Verdict
from gapcheck.remediations.plan import Plan

SCHEMA = "gapcheck/1"


class RunInfo(msgspec.Struct, frozen=True, kw_only=True):
    """The run itself: everything that differs between two runs over equal facts.

    `now` is the time that verdicts were judged for; `taken_at` when the facts were measured.
    `bundle` is '' for a live run, `site_file` where there is none, `namespace` (the release's)
    where there is no release. `exit` is the code that the process ends with.
    """

    id: str
    version: str
    site: str
    front_end: str
    started: datetime
    finished: datetime
    taken_at: datetime
    now: datetime
    bundle: str = ""
    site_file: str = ""
    namespace: str = ""
    fix: bool = False
    exit: int = 0


class ChangeResult(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one planned change: state is applied, unchanged, failed, skipped or undone."""

    id: str
    target: SubjectId
    state: str
    detail: str = ""


class Round(msgspec.Struct, frozen=True, kw_only=True):
    """One round of repair: what was planned, what was done, which verdicts it repaired."""

    plan: Plan
    results: tuple[ChangeResult, ...] = ()
    repaired: tuple[Cause, ...] = ()


class Description(msgspec.Struct, frozen=True, kw_only=True):
    """What a report says of a check beside its verdicts."""

    title: str
    doc: str
    step: int
    fault: tuple[str, ...] = ()
    remedy: RemedyInfo | None = None


class CertificateLife(msgspec.Struct, frozen=True, kw_only=True):
    """A certificate that the site lives by, and until when.

    `where` is where it was met first (served, or a file or key of `subject`), `places` how
    often it was met; `sha256` is its fingerprint.
    """

    sha256: str
    name: str
    subject: SubjectId
    where: str
    not_before: datetime
    not_after: datetime
    places: int = 1


class PastRun(msgspec.Struct, frozen=True, kw_only=True):
    """An earlier run of the same site: when it began, how it ended, its verdicts by status."""

    run: str
    began: datetime
    exit: int
    counts: dict[str, int]


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """Everything one run found. `verdicts` are in catalogue order, subjects in the site's.

    `before` holds the verdicts that stood before a repair, () where none was tried;
    `notes` are single lines worth a reader's attention. `drift` is what differs from an
    earlier run, None where none was compared with. `trend` are earlier runs, oldest first,
    where a report is to show them.
    """

    run: RunInfo
    verdicts: tuple[Verdict, ...]
    gaps: tuple[Gap, ...] = ()
    notes: tuple[str, ...] = ()
    rounds: tuple[Round, ...] = ()
    before: tuple[Verdict, ...] = ()
    catalogue: dict[str, Description] = {}
    certificates: tuple[CertificateLife, ...] = ()
    drift: Drift | None = None
    trend: tuple[PastRun, ...] = ()

    @property
    def counts(self) -> Mapping[Status, int]:
        """Number of verdicts of each status; 0 for those that did not occur."""
        found = Counter(verdict.status for verdict in self.verdicts)
        return {status: found.get(status, 0) for status in Status}

    def root_verdicts(self) -> tuple[Verdict, ...]:
        """Failed or unmeasured verdicts that no other explains, worst severity first."""
        bad = [v for v in self.verdicts if v.status in (Status.FAIL, Status.ERROR)]
        own = [v for v in bad if not v.root_causes]
        return tuple(sorted(own, key=lambda v: (v.severity.rank, v.status is not Status.FAIL)))

    def roots(self) -> tuple[Cause, ...]:
        """The same, by name."""
        return tuple(verdict.cause for verdict in self.root_verdicts())
