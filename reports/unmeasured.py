"""What was not measured, told once: gaps that say the same, and the verdicts behind each."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from gapcheck.model import Gap, SubjectId, Verdict

Said = tuple[str, str]  # the stage and the reason of a gap


def gap_groups(gaps: Iterable[Gap]) -> dict[Said, list[Gap]]:
    """Gaps by stage and reason."""
    found: dict[Said, list[Gap]] = {}
    for gap in gaps:
        found.setdefault((gap.stage, gap.reason), []).append(gap)
    return found


def behind_gaps(verdicts: Iterable[Verdict], gaps: Sequence[Gap]) -> dict[Said, list[Verdict]]:
    """The verdicts whose reason is that of a gap: of their own subject's, else of any."""
    own: dict[SubjectId, dict[Said, None]] = {}
    for gap in gaps:
        own.setdefault(gap.subject, {})[gap.stage, gap.reason] = None
    # A dead switch makes thousands of gaps that say one thing; it is looked for once.
    every = dict.fromkeys((gap.stage, gap.reason) for gap in gaps)
    found: dict[Said, list[Verdict]] = {}
    for verdict in verdicts:
        for stage, reason in own.get(verdict.subject, every):
            if reason in verdict.reason:
                found.setdefault((stage, reason), []).append(verdict)
                break
    return found
