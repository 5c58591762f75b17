"""Judging: memoised verdicts over facts. Pure: no I/O, no clock, the same answer every time."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from fnmatch import fnmatchcase
from typing import Any

from gapcheck.errors import NotApplicable, Unmeasured
from gapcheck.fixtures.fact_set import FactSet
from gapcheck.model import (
    Cause,
    CheckId,
    Evidence,
    Finding,
    RemedyInfo,
    Risk,
    Scope,
    Severity,
    Status,
    SubjectId,
    Verdict,
)
from gapcheck.registry import Catalogue, Check
from gapcheck.site import Site, Waiver
from gapcheck.view import View

log = logging.getLogger(__name__)

_BAD = (Status.FAIL, Status.ERROR, Status.BLOCKED)


class Evaluation:
    """Verdicts of one fact set, asked for one at a time and remembered."""

    def __init__(self, site: Site, facts: FactSet, catalogue: Catalogue, *, now: datetime) -> None:
        self.site = site
        self.facts = facts
        self.catalogue = catalogue
        self.now = now
        self._memo: dict[tuple[CheckId, SubjectId], Verdict] = {}
        self._subjects = {scope: site.subjects(scope) for scope in Scope}
        self._waivers = _index(site.waivers, now)
        self._used: set[Waiver] = set()
        self._asked: set[tuple[CheckId, SubjectId]] = set()
        self._made: dict[tuple[str, str], Any] = {}

    def subjects(self, check: Check) -> tuple[SubjectId, ...]:
        """The subjects that `check` judges on this site."""
        return self._subjects[check.scope]

    def all(self) -> Iterator[Verdict]:
        """Every verdict of every check, in catalogue order."""
        for check in self.catalogue.checks.values():
            for subject in self.subjects(check):
                yield self.verdict(check.id, subject)

    def verdict(self, check_id: CheckId, subject: SubjectId) -> Verdict:
        """What `check_id` says of `subject`; its prerequisites are judged first."""
        key = (check_id, subject)
        known = self._memo.get(key)
        if known is None:
            self._asked.add(key)
            known = self._memo[key] = self._judge(self.catalogue.checks[check_id], subject)
        return known

    def view(self, subject: SubjectId, usable: frozenset[SubjectId] | None = None) -> View[Any]:
        """`subject` as a check or a planner sees it."""
        return View(
            subject,
            self.facts,
            self.site,
            now=self.now,
            usable_peers=usable,
            uses=self._accepts_something,
        ).sharing(self._made)

    def _accepts_something(self, waiver: Waiver) -> bool:
        check = self.catalogue.checks.get(CheckId(waiver.check))
        if check is not None and check.scope is not Scope.SITE:
            for subject in self.subjects(check):
                if fnmatchcase(subject, waiver.subject):
                    self.verdict(check.id, subject)
        return waiver in self._used

    def _judge(self, check: Check, subject: SubjectId) -> Verdict:
        blocked, skipped = self._prerequisites(check, subject)
        if blocked:
            roots = self._roots(blocked)
            reason = f"blocked by {', '.join(map(str, roots))}"
            return self._make(check, subject, Status.BLOCKED, reason=reason, roots=roots)
        usable = None
        if check.scope is Scope.NODES:
            usable = frozenset(self._subjects[Scope.NODE]) - {each.subject for each in skipped}
        findings: list[Finding] = []
        evidence: list[Evidence] = []
        reason = f"not judged: {', '.join(sorted({s.subject for s in skipped}))}" if skipped else ""
        try:
            for item in check.judge(self.view(subject, usable)):
                (findings if isinstance(item, Finding) else evidence).append(item)  # type: ignore[arg-type] # the test picks the list of that type
        except NotApplicable as none:
            return self._make(check, subject, Status.NOT_APPLICABLE, reason=none.reason)
        except Unmeasured as gap:
            if not findings:
                return self._make(check, subject, Status.ERROR, reason=str(gap))
            reason = f"partly measured: {gap}"
        except Exception as bug:
            log.warning("%s crashed on %s", check.id, subject, exc_info=True)
            reason = f"this check crashed ({type(bug).__name__}: {bug}); please report it"
            return self._make(check, subject, Status.ERROR, reason=reason)
        return self._of_findings(check, subject, tuple(findings), tuple(evidence), reason)

    def _of_findings(
        self,
        check: Check,
        subject: SubjectId,
        findings: tuple[Finding, ...],
        evidence: tuple[Evidence, ...],
        reason: str,
    ) -> Verdict:
        if not findings and not reason:
            return Verdict(
                check=check.id,
                subject=subject,
                status=Status.PASS,
                severity=check.severity,
                evidence=evidence,
            )
        kept, waivers = self._unwaived(check, subject, findings)
        worst = [(finding.severity or check.severity) for finding in kept]
        if any(severity.fails for severity in worst):
            status = Status.FAIL
        elif kept:
            status = Status.WARN
        elif waivers:
            status = Status.WAIVED
        else:
            status = Status.PASS
        if reason.startswith("partly measured") and status is not Status.FAIL:
            status = Status.ERROR
        roots = self._because(check, subject, kept) if status is Status.FAIL else ()
        waived_by = "; ".join(
            f"{w.reason} (until {w.until}, {w.owner or 'no owner'})" for w in waivers
        )
        return Verdict(
            check=check.id,
            subject=subject,
            status=status,
            severity=min(worst, key=list(Severity).index, default=check.severity),
            findings=findings if status is Status.WAIVED else kept,
            evidence=evidence,
            reason=reason,
            root_causes=roots,
            waived_by=waived_by,
            remedy=self._remedy(check) if kept else None,
        )

    def _make(
        self,
        check: Check,
        subject: SubjectId,
        status: Status,
        *,
        reason: str,
        roots: tuple[Cause, ...] = (),
    ) -> Verdict:
        return Verdict(
            check=check.id,
            subject=subject,
            status=status,
            severity=check.severity,
            reason=reason,
            root_causes=roots,
        )

    def _remedy(self, check: Check) -> RemedyInfo:
        found = self.catalogue.remedies.get(check.id)
        if found is None:
            return RemedyInfo(risk=Risk.MANUAL, why_not=check.manual)
        return RemedyInfo(risk=found.risk)

    def _prerequisites(
        self, check: Check, subject: SubjectId
    ) -> tuple[list[Verdict], list[Verdict]]:
        """Bad prerequisites that block, and bad ones among many that are only left out."""
        blocking: list[Verdict] = []
        skipped: list[Verdict] = []
        for prerequisite in check.after:
            other = self.catalogue.checks[prerequisite]
            asked = (subject,) if other.scope is check.scope else self._subjects[other.scope]
            verdicts = [self.verdict(prerequisite, each) for each in asked]
            bad = [each for each in verdicts if each.status in _BAD]
            if bad and len(bad) == len(verdicts):
                blocking += bad
            else:
                skipped += bad
        return blocking, skipped

    def _because(
        self, check: Check, subject: SubjectId, findings: Iterable[Finding]
    ) -> tuple[Cause, ...]:
        """Roots that findings point at, where those checks fail as well."""
        named = {each for finding in findings for each in finding.because if each != check.id}
        bad: list[Verdict] = []
        for each in sorted(named):
            other = self.catalogue.checks.get(each)
            if other is None:
                continue
            asked = (subject,) if other.scope is check.scope else self._subjects[other.scope]
            # One that is being judged now waits for this verdict: it cannot be its root.
            free = [s for s in asked if (each, s) in self._memo or (each, s) not in self._asked]
            found = (self.verdict(each, s) for s in free)
            bad += [verdict for verdict in found if verdict.status in _BAD]
        return self._roots(bad)

    @staticmethod
    def _roots(bad: Iterable[Verdict]) -> tuple[Cause, ...]:
        roots: set[Cause] = set()
        for verdict in bad:
            roots.update(verdict.root_causes or (verdict.cause,))
        return tuple(sorted(roots))

    def _unwaived(
        self, check: Check, subject: SubjectId, findings: tuple[Finding, ...]
    ) -> tuple[tuple[Finding, ...], tuple[Waiver, ...]]:
        waivers = [w for w in self._waivers.get(check.id, ()) if fnmatchcase(subject, w.subject)]
        if not waivers:
            return findings, ()
        kept: list[Finding] = []
        used: list[Waiver] = []
        for finding in findings:
            match = next((w for w in waivers if fnmatchcase(finding.locus, w.locus)), None)
            if match is None:
                kept.append(finding)
            elif match not in used:
                used.append(match)
        self._used.update(used)
        return tuple(kept), tuple(used)


def _index(waivers: Iterable[Waiver], now: datetime) -> Mapping[str, tuple[Waiver, ...]]:
    """Valid waivers by check id; the last day still counts, in the time zone of `now`."""
    index: dict[str, tuple[Waiver, ...]] = {}
    for waiver in waivers:
        if now.date() <= waiver.until:
            index[waiver.check] = (*index.get(waiver.check, ()), waiver)
    return index
