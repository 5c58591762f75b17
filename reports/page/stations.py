"""The stations of the chain from certificate to release, and which checks stand at which."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from gapcheck.model import CheckId, Status, Verdict
from gapcheck.reports.page.status_words import counted_statuses, worst_of

_PULL = ("REG-IMAGE", "REG-AUTH", "RUN-SANDBOX", "RUN-PROXY", "NODE-SPACE", "DNS-NODE", "DNS-HOSTS")
CHAIN = {
    "certificate": ("certificate", ("CERT",)),
    "registry": ("registry", ("REG",)),
    "node-trust": ("node trust", ("NODE",)),
    "runtime": ("runtime", ("RUN",)),
    "pull": ("image pull", _PULL),
    "pod-dns": ("pod DNS", ("DNS",)),
    "secret": ("secret", ("SECRET",)),
    "release": ("release", ("REL", "SVC")),
}
BESIDE = "site"
TITLES = {**{key: name for key, (name, _) in CHAIN.items()}, BESIDE: "site file and reach"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Station:
    """One station: its counts by status, and how many root causes stand at it.

    A check that fails of many subjects is one root cause.
    """

    key: str
    name: str
    status: Status
    counts: tuple[tuple[Status, int], ...]
    roots: int

    @property
    def join(self) -> str:
        """How the link behind it is: broken by a root cause, unknown where not measured, whole."""
        if self.roots:
            return "broken"
        unmeasured = {Status.ERROR, Status.BLOCKED} & {status for status, _ in self.counts}
        return "unknown" if unmeasured else "whole"


def station_of(check: CheckId) -> str:
    """Key of the station that `check` stands at; what is no part of the chain stands beside it."""
    best = max(
        ((len(prefix), key) for key, (_, prefixes) in CHAIN.items() for prefix in prefixes
         if check.startswith(f"{prefix}-")),
        default=(0, BESIDE),
    )  # fmt: skip
    return best[1]


def stations(verdicts: Iterable[Verdict], roots: Sequence[CheckId]) -> Iterator[Station]:
    """The chain in its order, every station; then what stands beside it, where it was judged."""
    place: dict[CheckId, str] = {}
    counts: dict[str, Counter[Status]] = {key: Counter() for key in TITLES}
    for verdict in verdicts:
        key = place.get(verdict.check) or place.setdefault(verdict.check, station_of(verdict.check))
        counts[key][verdict.status] += 1
    own = Counter(map(station_of, roots))
    for key, name in TITLES.items():
        found = counts[key]
        if key != BESIDE or found:
            status = worst_of(found)
            yield Station(
                key=key, name=name, status=status, counts=counted_statuses(found), roots=own[key]
            )
