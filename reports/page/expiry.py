"""When certificates expire, each as a bar on one scale that every report shares."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from gapcheck.counting import counted
from gapcheck.record import CertificateLife

MOST = 100
WIDTH = 600
NOW_X = 110
_DAY_S = 86_400
_SOON_DAYS = 30
_IN_HOURS_DAYS = 2
_FARTHEST_DAYS = 7_300
_TICKS = ((-365, "1 y ago"), (0, "now"), (7, "7 d"), (30, "30 d"), (90, "90 d"), (365, "1 y"),
          (1825, "5 y"), (7300, "20 y"))  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Life:
    """One certificate: `state` is expired, early (not valid yet), soon or good.

    The bar leads from `start` over `length` in units of the scale; `left` says what it shows.
    """

    name: str
    where: str
    expires: datetime
    state: str
    left: str
    start: float
    length: float


def lives(certificates: Sequence[CertificateLife], *, now: datetime) -> Iterator[Life]:
    """The certificates that expire first, up to MOST, as bars."""
    for each in certificates[:MOST]:
        days = (each.not_after - now).total_seconds() / _DAY_S
        state, left = _state(each, days, now)
        ends = position(days)
        times = f", in {each.places} places" if each.places > 1 else ""
        yield Life(
            name=each.name,
            where=f"{each.subject}: {each.where}{times}",
            expires=each.not_after,
            state=state,
            left=left,
            start=min(NOW_X, ends),
            length=max(2.0, abs(ends - NOW_X)),
        )


def _state(each: CertificateLife, days: float, now: datetime) -> tuple[str, str]:
    if days < 0:
        return "expired", f"expired {_span(-days)} ago"
    if each.not_before > now:
        begins = (each.not_before - now).total_seconds() / _DAY_S
        return "early", f"valid only in {_span(begins)}"
    return "soon" if days < _SOON_DAYS else "good", f"{_span(days)} left"


def _span(days: float) -> str:
    if days < _IN_HOURS_DAYS:
        return counted(int(days * 24), "hour")
    return f"{int(days):,} days"


def position(days: float) -> float:
    """Where `days` from now stands: near times have more room than far ones."""
    most = math.log10(1 + _FARTHEST_DAYS)
    share = math.log10(1 + min(abs(days), _FARTHEST_DAYS)) / most
    if days >= 0:
        return round(NOW_X + share * (WIDTH - 40 - NOW_X), 1)
    return round(max(10.0, NOW_X - share * NOW_X), 1)


def ticks() -> Iterable[tuple[float, str]]:
    """The scale: places and what they mean."""
    return [(position(days), text) for days, text in _TICKS]
