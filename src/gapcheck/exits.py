"""Exit codes and their precedence, one table for both front ends."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from enum import IntEnum

from gapcheck.errors import GapcheckError, RepairFailed, RepairRefused, TargetError, UsageError
from gapcheck.model import Gap, Status, Verdict


class Exit(IntEnum):
    """What the caller's shell or CI reads; 0 to 5 mean what they mean in pytest."""

    OK = 0
    FAILED = 1
    INTERRUPTED = 2
    INTERNAL = 3
    USAGE = 4
    NOTHING = 5
    UNMEASURED = 6
    REPAIR = 7
    DRIFT = 8


PRECEDENCE = (
    Exit.INTERNAL,
    Exit.USAGE,
    Exit.INTERRUPTED,
    Exit.REPAIR,
    Exit.FAILED,
    Exit.UNMEASURED,
    Exit.DRIFT,
    Exit.NOTHING,
    Exit.OK,
)


def code_of(error: GapcheckError) -> Exit:
    """The code that a run ends with when `error` ends it."""
    if isinstance(error, UsageError):
        return Exit.USAGE
    if isinstance(error, RepairRefused | RepairFailed):
        return Exit.REPAIR
    return Exit.UNMEASURED if isinstance(error, TargetError) else Exit.INTERNAL


def worst(codes: Iterable[int]) -> Exit:
    """The code that wins where several apply; `OK` for none."""
    found = {Exit(code) for code in codes}
    return next((code for code in PRECEDENCE if code in found), Exit.OK)


def of_verdicts(
    verdicts: Iterable[Verdict], gaps: Iterable[Gap] = (), *, fail_on_warn: bool = False
) -> Exit:
    """Exit code of a finished judgement.

    A blocked verdict was not measured; it weighs as an error, though its root normally
    outweighs it. Nothing but not_applicable is nothing checked.
    """
    counts = Counter(verdict.status for verdict in verdicts)
    return of_counts(counts, gaps=any(True for _ in gaps), fail_on_warn=fail_on_warn)


def of_counts(counts: Mapping[Status, int], *, gaps: bool, fail_on_warn: bool = False) -> Exit:
    """Exit code of a count of statuses; the same rule as `of_verdicts`."""
    failed = counts.get(Status.FAIL, 0) + (counts.get(Status.WARN, 0) if fail_on_warn else 0)
    if failed:
        return Exit.FAILED
    if counts.get(Status.ERROR, 0) or counts.get(Status.BLOCKED, 0) or gaps:
        return Exit.UNMEASURED
    judged = sum(counts.get(each, 0) for each in (Status.PASS, Status.WARN, Status.WAIVED))
    return Exit.OK if judged else Exit.NOTHING
