"""Findings as cards: one a check and status, its roots and consequences beside it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from gapcheck.faults import FAULTS, Fault
from gapcheck.model import Cause, CheckId, Finding, Risk, Severity, Status, Verdict
from gapcheck.record import Description, Record
from gapcheck.reports.page.stations import station_of
from gapcheck.reports.page.status_words import LETTERS, counted_statuses
from gapcheck.reports.page.subjects import Names, Who
from gapcheck.reports.wording import cut, evidence_line, reason_of

MOST_VARIANTS = 20
_MOST_FINDINGS = 10
_MOST_EVIDENCE = 20
_LONGEST = 2_000
_BAD = (Status.FAIL, Status.ERROR)
_RANK = {severity: severity.rank for severity in Severity}

_Key = tuple[str, CheckId, Status]


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """One finding as it is shown; long values are cut, and say so."""

    problem: str
    evidence: tuple[str, ...]
    consequence: str
    hint: str
    locus: str
    severity: Severity


@dataclass(frozen=True, slots=True, kw_only=True)
class Variant:
    """Verdicts of a card that say the same; `of` is whose evidence is shown where several do."""

    who: Who
    of: str
    findings: tuple[Said, ...]
    more_findings: int
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Behind:
    """A check that a card's verdicts hold up, with how its verdicts are."""

    check: CheckId
    title: str
    counts: tuple[tuple[Status, int], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Explained:
    """What `gapcheck explain` says of a check."""

    check: CheckId
    title: str
    doc: tuple[str, ...]
    source: str
    faults: tuple[tuple[str, Fault], ...]
    remedy: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """All verdicts of one check with one status, as one block. `id` is stable from run to run."""

    id: str
    check: CheckId
    status: Status
    severity: Severity
    who: Who
    headline: str
    variants: tuple[Variant, ...]
    more_variants: int
    command: str
    risk: str
    by_hand: str
    because: tuple[CheckId, ...]
    behind: tuple[Behind, ...]
    held_up: int
    explained: Explained
    station: str

    @property
    def letter(self) -> str:
        """The status as scripts and the matrix know it."""
        return LETTERS[self.status]


@dataclass(slots=True)
class Cards:
    """The cards by where they stand on the page."""

    roots: list[Card] = field(default_factory=list)
    follows: list[Card] = field(default_factory=list)
    unmeasured: list[Card] = field(default_factory=list)
    warned: list[Card] = field(default_factory=list)
    waived: list[Card] = field(default_factory=list)

    def __iter__(self) -> Iterator[Card]:
        """Every card in the page's order."""
        for place in (self.roots, self.follows, self.unmeasured, self.warned, self.waived):
            yield from place


def cards(record: Record, names: Names, *, folded: frozenset[Cause] = frozenset()) -> Cards:
    """The cards of `record`; errors that a gap already tells (`folded`) are left out."""
    groups: dict[_Key, list[Verdict]] = {}
    behind: dict[Cause, list[Verdict]] = {}
    for verdict in record.verdicts:
        for cause in verdict.root_causes:
            behind.setdefault(cause, []).append(verdict)
        place = _place(verdict)
        if place and not (verdict.status is Status.ERROR and verdict.cause in folded):
            groups.setdefault((place, verdict.check, verdict.status), []).append(verdict)
    maker = _Maker(record, names, behind)
    found = Cards()
    for place in ("roots", "follows", "unmeasured", "warned", "waived"):
        mine = [group for key, group in groups.items() if key[0] == place]
        made = [maker.card(group) for group in sorted(mine, key=maker.weight)]
        getattr(found, place).extend(made)
    return found


def _place(verdict: Verdict) -> str:
    if verdict.status is Status.WARN:
        return "warned"
    if verdict.status is Status.WAIVED:
        return "waived"
    if verdict.status not in _BAD:
        return ""
    if verdict.root_causes:
        return "follows"
    return "roots" if verdict.status is Status.FAIL else "unmeasured"


class _Maker:
    """Makes cards, and gives each an id of its own."""

    def __init__(self, record: Record, names: Names, behind: dict[Cause, list[Verdict]]) -> None:
        self._record = record
        self._names = names
        self._behind = behind
        self._ids: set[str] = set()

    def weight(self, group: Sequence[Verdict]) -> int:
        """Worst severity first; sorting leaves the catalogue's order, as in every report."""
        return min(_RANK[severity] for severity in {verdict.severity for verdict in group})

    def card(self, group: Sequence[Verdict]) -> Card:
        """One card of verdicts of one check and status."""
        first = group[0]
        variants = _variants(group)
        held_up = self._held_up(group)
        described = self._record.catalogue.get(first.check)
        remedy = _Remedy(first, group, self._record.run.site_file)
        return Card(
            id=self._id(first),
            check=first.check,
            status=first.status,
            severity=min({_severity(v) for v in group}, key=_RANK.__getitem__),
            who=self._names.who([verdict.subject for verdict in group]),
            headline=_headline(variants),
            variants=tuple(self._variant(each) for each in variants[:MOST_VARIANTS]),
            more_variants=max(0, len(variants) - MOST_VARIANTS),
            command=remedy.command,
            risk=remedy.risk,
            by_hand=remedy.by_hand,
            because=tuple(dict.fromkeys(c.check for v in group for c in v.root_causes)),
            behind=tuple(self._behind_of(held_up)),
            held_up=len(held_up),
            explained=explained(first.check, described),
            station=station_of(first.check),
        )

    def _id(self, verdict: Verdict) -> str:
        wanted = (
            verdict.check,
            f"{verdict.check}.{verdict.status.value}",
            f"{verdict.check}.{verdict.status.value}.root" if not verdict.root_causes
            else f"{verdict.check}.{verdict.status.value}.follows",
        )  # fmt: skip
        found = next(each for each in wanted if each not in self._ids)
        self._ids.add(found)
        return found

    def _held_up(self, group: Iterable[Verdict]) -> list[Verdict]:
        found = {v.cause: v for each in group for v in self._behind.get(each.cause, ())}
        return list(found.values())

    def _behind_of(self, verdicts: Iterable[Verdict]) -> Iterator[Behind]:
        counts: dict[CheckId, Counter[Status]] = {}
        for verdict in verdicts:
            counts.setdefault(verdict.check, Counter())[verdict.status] += 1
        for check, found in counts.items():
            described = self._record.catalogue.get(check)
            title = described.title if described else ""
            yield Behind(check=check, title=title, counts=counted_statuses(found))

    def _variant(self, group: Sequence[Verdict]) -> Variant:
        first = group[0]
        return Variant(
            who=self._names.who([verdict.subject for verdict in group]),
            of=first.subject if len(group) > 1 else "",
            findings=tuple(_said(each, first) for each in first.findings[:_MOST_FINDINGS]),
            more_findings=max(0, len(first.findings) - _MOST_FINDINGS),
            reason=cut(first.waived_by or first.reason, _LONGEST),
        )


class _Remedy:
    """What to do about a card: a command, or words."""

    def __init__(self, first: Verdict, group: Sequence[Verdict], site_file: str) -> None:
        self.command = self.risk = self.by_hand = ""
        remedy = first.remedy
        if remedy is None:
            return
        if remedy.risk is Risk.MANUAL or remedy.why_not:
            self.by_hand = remedy.why_not
            return
        self.risk = remedy.risk.value
        if not site_file:
            self.by_hand = "needs a site file: gapcheck init writes one"
            return
        kind, _, name = first.subject.partition("/")
        target = f" --target {name}" if len(group) == 1 and kind == "node" else ""
        self.command = f"gapcheck fix --site {site_file} --select {first.check}{target}"


def _severity(verdict: Verdict) -> Severity:
    """The worst that its findings say, else the check's own."""
    said = [each.severity or verdict.severity for each in verdict.findings]
    return min(said, key=_RANK.__getitem__, default=verdict.severity)


def _variants(group: Sequence[Verdict]) -> list[list[Verdict]]:
    """Verdicts that say the same together, what is said most often first."""
    found: dict[tuple[object, ...], list[Verdict]] = {}
    for verdict in group:
        said = tuple((each.problem, each.locus) for each in verdict.findings)
        found.setdefault((verdict.reason, verdict.waived_by, said), []).append(verdict)
    return sorted(found.values(), key=lambda each: -len(each))


def _headline(variants: Sequence[Sequence[Verdict]]) -> str:
    first = variants[0][0]
    problem = first.findings[0].problem if first.findings else reason_of(first)
    return cut(problem, _LONGEST)


def _said(finding: Finding, verdict: Verdict) -> Said:
    shown = [cut(evidence_line(each), _LONGEST) for each in finding.evidence[:_MOST_EVIDENCE]]
    if len(finding.evidence) > _MOST_EVIDENCE:
        shown.append(f"and {len(finding.evidence) - _MOST_EVIDENCE} more, in the JSON report")
    return Said(
        problem=cut(finding.problem, _LONGEST),
        evidence=tuple(shown),
        consequence=cut(finding.consequence, _LONGEST),
        hint=cut(finding.remedy_hint, _LONGEST),
        locus=cut(finding.locus, _LONGEST),
        severity=finding.severity or verdict.severity,
    )


def explained(check: CheckId, described: Description | None) -> Explained:
    """What a check requires, where that comes from, and what is done about it."""
    if described is None:
        return Explained(check=check, title="", doc=(), source="", faults=(), remedy="")
    remedy = described.remedy
    told = ""
    if remedy is not None:
        by_hand = remedy.risk is Risk.MANUAL
        told = f"by hand: {remedy.why_not}" if by_hand else f"gapcheck fix, {remedy.risk.value}"
    return Explained(
        check=check,
        title=described.title,
        doc=tuple(" ".join(part.split()) for part in described.doc.split("\n\n")),
        source=f"guide step {described.step}" if described.step else "no step of the guide",
        faults=tuple((each, FAULTS[each]) for each in described.fault if each in FAULTS),
        remedy=told,
    )
