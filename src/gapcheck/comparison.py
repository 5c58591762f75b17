"""Comparing two looks at one site: what differs, and which recorded cause explains it. Pure."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence

import msgspec

from gapcheck.drift import (
    GAP,
    SETTING,
    UNMEASURED,
    Drift,
    FactChange,
    Item,
    Kind,
    RepairRun,
    Snapshot,
    State,
    Why,
    WhyKind,
)
from gapcheck.model import NODES, Cause, CheckId, Status, SubjectId

MOST_ITEMS = 5_000
MOST_FACTS = 2_000
# Start times are no facts of a sheet, or every restart would be drift.
_NO_FACT = "no recorded fact of it differs: time has passed, or something was restarted"
_COUNTED = ("new", "resolved", "changed", "still_bad", "unchanged", "incomparable")
_LINE = re.compile(r":\d+$")
_AROUND = ".,;:()[]'\""
_BAD = frozenset({Status.FAIL, Status.WARN})
_UNMEASURED = frozenset({Status.ERROR, Status.BLOCKED})


def compare(before: Snapshot, after: Snapshot, *, repairs: Iterable[RepairRun] = ()) -> Drift:
    """What differs in `after`; `repairs` are those that ran in between."""
    return _Comparison(before, after, tuple(repairs)).drift()


class _Comparison:
    def __init__(self, before: Snapshot, after: Snapshot, repairs: tuple[RepairRun, ...]) -> None:
        self.before = before
        self.after = after
        self.repairs = repairs
        self.counts: Counter[str] = Counter()
        self.items: list[Item] = []
        self.same_version = before.moment.version == after.moment.version
        # Where nodes were not discovered, none has joined or left: they are unknown.
        self.nodes_known = NODES not in before.measured and NODES not in after.measured
        mine, theirs = self._subjects(after), self._subjects(before)
        self.joined = tuple(sorted(mine - theirs))
        self.left = tuple(sorted(theirs - mine))
        self._new_subjects = frozenset(self.joined)
        self._diffs: dict[tuple[str, str], tuple[tuple[str, str, str], ...]] = {}
        self.settings = tuple(self._settings())

    def drift(self) -> Drift:
        for check in dict.fromkeys([*self.after.checks(), *self.before.checks()]):
            self._check(check)
        facts = self._facts()
        changed = {item.cause for item in self.items if item.kind in ("new", "changed")}
        self.items = [self._explained(item, changed) for item in self.items]
        counts = {kind: self.counts[kind] for kind in _COUNTED}
        counts |= {"facts": len(facts), "joined": len(self.joined), "left": len(self.left)}
        return Drift(
            before=self.before.moment,
            after=self.after.moment,
            counts=counts,
            items=tuple(sorted(self.items, key=_rank)),
            facts=facts[:MOST_FACTS],
            joined=self.joined,
            left=self.left,
            settings=self.settings,
            repairs=self.repairs,
        )

    def _subjects(self, snapshot: Snapshot) -> set[str]:
        every = set(snapshot.measured) - {SETTING, NODES}
        return every if self.nodes_known else {s for s in every if not s.startswith("node/")}

    def _check(self, check: CheckId) -> None:
        old, new = self.before.states(check), self.after.states(check)
        for subject, state in new.items():
            self._pair(check, subject, old.get(subject), state)
        for subject, state in old.items():
            if subject not in new:
                self._gone(check, subject, state)

    def _pair(self, check: CheckId, subject: SubjectId, old: State | None, new: State) -> None:
        kind = _kind_of(old, new, joined=subject in self._new_subjects)
        if kind is None:
            return
        self.counts[kind] += 1
        if kind == "unchanged" and new.status not in _BAD:
            return
        if kind == "unchanged":
            self.counts["still_bad"] += 1
        if kind == "incomparable" and not _worth_telling(old, new):
            return
        self._add(
            Item(
                check=check,
                subject=subject,
                kind=kind,
                severity=new.severity,
                was=old.status.value if old else "",
                now=new.status.value,
                said=(old.said if old and kind == "resolved" else new.said),
                causes=tuple(self._first_causes(check, subject, old, new, kind)),
            )
        )

    def _gone(self, check: CheckId, subject: SubjectId, old: State) -> None:
        if old.status not in _BAD:
            return
        self.counts["incomparable"] += 1
        text = f"{check} was not judged now"
        if subject in self.left:
            text = f"{subject} is no longer of the site"
        elif subject not in self.after.measured:
            text = f"{subject} was not found now"
        self._add(
            Item(
                check=check,
                subject=subject,
                kind="incomparable",
                severity=old.severity,
                was=old.status.value,
                now="",
                said=old.said,
                causes=(Why(kind="unknown", text=text),),
            )
        )

    def _add(self, item: Item) -> None:
        if item.kind in ("new", "resolved", "changed") or len(self.items) < MOST_ITEMS:
            self.items.append(item)

    def _first_causes(
        self, check: CheckId, subject: SubjectId, old: State | None, new: State, kind: Kind
    ) -> Iterator[Why]:
        """Causes that need no look at facts, and the roots, which are looked up later."""
        if kind == "unchanged":
            return
        if old is None and kind == "new":
            yield Why(kind="joined", text=f"{subject} joined the site", subject=subject)
        elif old is None and subject in self.before.measured:
            yield Why(kind="version", text=f"{check} was not judged then")
        elif old is None:
            yield Why(kind="unknown", text=f"{subject} was not found then")
        for root in new.roots:
            yield Why(kind="root", text=str(root), subject=root.subject)
        if kind in ("new", "resolved", "changed") and old is not None:
            yield from self._waivers(check, old, new)
            yield from self._fact_causes(subject, (*old.named, *new.named))

    def _waivers(self, check: CheckId, old: State, new: State) -> Iterator[Why]:
        if Status.WAIVED not in (old.status, new.status) or old.status is new.status:
            return
        differing = [each for each in self.settings if each.text.startswith(f"waiver {check} ")]
        if differing:
            yield from (msgspec.structs.replace(each, kind="waiver") for each in differing)
            return
        today = self.after.moment.at.date().isoformat()
        setting = self.after.sheet(self.after.measured.get(SETTING, ""))
        for name, said in setting.items():
            until = said.removeprefix("until ")
            if name.startswith(f"waiver {check} ") and until < today:
                yield Why(kind="waiver", text=f"{name} ended", before=until, after=today)

    def _fact_causes(self, subject: SubjectId, named: Sequence[str]) -> Iterator[Why]:
        changes = self._diff(subject)
        told = [each for each in changes if _names(named, each[0])]
        for fact, before, after in told or changes[:3]:
            yield Why(
                kind="fact" if told else "nearby",
                text=fact,
                subject=subject,
                before=before,
                after=after,
            )
        for repair in self.repairs:
            yield from self._repair_causes(repair, subject, [fact for fact, _, _ in told], named)

    def _repair_causes(
        self, repair: RepairRun, subject: SubjectId, told: Sequence[str], named: Sequence[str]
    ) -> Iterator[Why]:
        wrote = repair.wrote.get(subject, {})
        after = {fact: text for fact, _, text in self._diff(subject)}
        for path in [path for path in wrote if _names((*told, *named), path)][:3]:
            text = f"{repair.what} wrote {path}"
            fact = f"file {path}"
            if fact in after and not _is_left(wrote[path], after[fact]):
                text += ", which was changed again since"
            yield Why(kind="repair", text=text, subject=subject)

    def _diff(self, subject: str) -> tuple[tuple[str, str, str], ...]:
        """Facts of a subject that differ; each pair of sheets is compared once."""
        pair = self.before.measured.get(subject, ""), self.after.measured.get(subject, "")
        if not all(pair) or pair[0] == pair[1]:
            return ()
        if pair not in self._diffs:
            old, new = self.before.sheet(pair[0]), self.after.sheet(pair[1])
            self._diffs[pair] = tuple(_differences(old, new, known=self.same_version))
        return self._diffs[pair]

    def _facts(self) -> tuple[FactChange, ...]:
        """Every fact that differs, once, with all of its subjects."""
        by_pair: dict[tuple[str, str], list[str]] = {}
        for subject, digest in self.after.measured.items():
            old = self.before.measured.get(subject, "")
            if subject != SETTING and old and digest and old != digest:
                by_pair.setdefault((old, digest), []).append(subject)
        found: dict[tuple[str, str, str], list[str]] = {}
        for subjects in by_pair.values():
            for change in self._diff(subjects[0]):
                found.setdefault(change, []).extend(subjects)
        return tuple(
            FactChange(
                fact=fact,
                before=before,
                after=after,
                subjects=tuple(sorted(subjects)),
                by=self._repaired((fact, before, after), subjects),
            )
            for (fact, before, after), subjects in sorted(found.items())
        )

    def _repaired(self, change: tuple[str, str, str], subjects: Sequence[str]) -> str:
        """The repair that left the file as it is now, on every one of the subjects."""
        fact, _, after = change
        for repair in self.repairs:
            wrote = [repair.wrote.get(SubjectId(subject), {}) for subject in subjects]
            path = fact.partition(" ")[2]
            if all(path in each and _is_left(each[path], after) for each in wrote):
                return repair.what
        return ""

    def _settings(self) -> Iterator[Why]:
        old, new = (each.measured.get(SETTING, "") for each in (self.before, self.after))
        if old and new and old != new:
            both = self.before.sheet(old), self.after.sheet(new)
            for fact, before, after in _differences(*both, known=True):
                kind: WhyKind = "version" if fact.split()[0] in ("gapcheck", "check") else "policy"
                yield Why(kind=kind, text=fact, before=before, after=after)

    def _explained(self, item: Item, changed: set[Cause]) -> Item:
        """The item without causes that explain nothing, and with what is left to say."""
        kept = [
            why
            for why in item.causes
            if why.kind != "root" or any(str(cause) == why.text for cause in changed)
        ]
        if any(why.kind == "root" for why in kept):
            kept = [why for why in kept if why.kind != "nearby"]
        if not kept and item.kind in ("new", "resolved", "changed"):
            kept = list(self._left_over())
        return msgspec.structs.replace(item, causes=tuple(kept))

    def _left_over(self) -> Iterator[Why]:
        if self.settings:
            yield from self.settings[:3]
        else:
            yield Why(kind="unknown", text=_NO_FACT)


def _kind_of(old: State | None, new: State, *, joined: bool) -> Kind | None:
    """How a pair compares; None where it is not worth counting."""
    bad = new.status in _BAD
    if old is None:
        return ("new" if joined else "incomparable") if bad else None
    if not _UNMEASURED.isdisjoint((old.status, new.status)):
        return "incomparable"
    was_bad = old.status in _BAD
    if bad and was_bad:
        return "unchanged" if new.like(old) else "changed"
    if bad:
        return "new"
    if (old.status is Status.NOT_APPLICABLE) != (new.status is Status.NOT_APPLICABLE):
        return "incomparable"
    return "resolved" if was_bad else "unchanged"


def _worth_telling(old: State | None, new: State) -> bool:
    """Whether a pair that cannot be compared hides something: a bad or a lost verdict."""
    pair = {old.status if old else None, new.status}
    silent = {*_UNMEASURED, Status.NOT_APPLICABLE}
    return bool(pair & _BAD) or (bool(pair & _UNMEASURED) and not pair <= silent)


def _differences(
    old: Mapping[str, str], new: Mapping[str, str], *, known: bool
) -> Iterator[tuple[str, str, str]]:
    """Facts that differ and were measured both times.

    Another version may look at more or at less, so only with `known` is a fact that only one
    sheet holds a difference; nor is it one where a part was not measured.
    """
    known = known and not any(fact.startswith(GAP) for fact in (*old, *new))
    for fact in sorted(old.keys() | new.keys()):
        before, after = old.get(fact), new.get(fact)
        if before == after or (not known and None in (before, after)):
            continue
        sides = before or "", after or ""
        if not any(side.startswith(UNMEASURED) for side in sides):
            yield fact, *sides


def _is_left(sha256: str, fact: str) -> bool:
    """Whether a file's fact is what a repair left there."""
    if not sha256:
        return fact in ("", "absent")
    return fact.startswith(f"sha256 {sha256[:16]},")


def _names(named: Iterable[str], fact: str) -> bool:
    """Whether one of `named` names the thing (path, image, object) that `fact` is about."""
    about = _things(fact)
    return any(not about.isdisjoint(_things(each)) for each in named)


def _things(text: str) -> frozenset[str]:
    """The words of a text that name something: those with a slash or a dot inside."""
    words = (_LINE.sub("", word.strip(_AROUND)) for word in text.split())
    return frozenset(word for word in words if "/" in word or "." in word)


def _rank(item: Item) -> tuple[int, int, str, str]:
    kinds = ("new", "changed", "resolved", "incomparable", "unchanged")
    consequence = any(why.kind == "root" for why in item.causes)
    return kinds.index(item.kind) * 2 + consequence, item.severity.rank, item.check, item.subject
