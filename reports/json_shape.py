"""The shape of the JSON report, `gapcheck/1`: what is written, and the schema made from it.

Both come from these types, so that neither can say what the other does not. Fields may be
added; none is removed or changes its meaning.
"""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from msgspec import Meta

from gapcheck.drift import Drift
from gapcheck.model import Cause, Evidence, Gap, RemedyInfo, Severity, Status
from gapcheck.record import SCHEMA, ChangeResult, Record, RunInfo

DIALECT = "https://json-schema.org/draft/2020-12/schema"


class Summary(msgspec.Struct, frozen=True, rename={"passed": "pass"}):
    """The number of verdicts of each status, and those that no other explains."""

    passed: int
    fail: int
    warn: int
    error: int
    blocked: int
    waived: int
    not_applicable: int
    root_causes: tuple[Cause, ...]


class FindingItem(msgspec.Struct, frozen=True):
    """One defect of a subject: what is true now, by what it was measured, what follows."""

    problem: str
    evidence: tuple[Evidence, ...]
    consequence: str
    remedy_hint: str
    locus: Annotated[str, Meta(description="The file, image or object inside the subject.")]


class VerdictItem(msgspec.Struct, frozen=True):
    """What one check says of one subject, with all that supports it."""

    check: str
    title: str
    subject: str
    status: Status
    severity: Severity
    findings: tuple[FindingItem, ...]
    evidence: tuple[Evidence, ...]
    reason: Annotated[str, Meta(description="Why it was not judged or not measured.")]
    root_causes: tuple[Cause, ...]
    waived_by: str
    remedy: RemedyInfo | None
    fixed: Annotated[bool, Meta(description="Repaired by this run.")]


class ChangeItem(msgspec.Struct, frozen=True):
    """A planned change as a person reviews it: no contents beside the diff."""

    id: str
    kind: str
    target: str
    stage: int
    risk: str
    path: str
    causes: tuple[Cause, ...]
    diff: str
    note: str


class UnplannedItem(msgspec.Struct, frozen=True):
    """A verdict that no change was planned for, and why."""

    check: str
    subject: str
    why: str


class RoundItem(msgspec.Struct, frozen=True):
    """One round of repair: changes with their diffs and results, and what was left."""

    round: int
    changes: tuple[ChangeItem, ...]
    unplanned: tuple[UnplannedItem, ...]
    results: tuple[ChangeResult, ...]
    repaired: tuple[Cause, ...]


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """The whole report. What differs between two runs over equal facts stands in `run` alone."""

    schema: Annotated[str, Meta(pattern=f"^{SCHEMA}$")]
    run: RunInfo
    summary: Summary
    verdicts: tuple[VerdictItem, ...]
    gaps: tuple[Gap, ...]
    notes: tuple[str, ...]
    rounds: tuple[RoundItem, ...]
    drift: Annotated[Drift, Meta(description="Only of `gapcheck drift`.")] | msgspec.UnsetType = (
        msgspec.UNSET
    )


def summary(record: Record) -> Summary:
    """Counts by status, and the verdicts that no other explains."""
    counts = {status.value: count for status, count in record.counts.items()}
    passed = counts.pop(Status.PASS.value)
    return Summary(passed=passed, root_causes=record.roots(), **counts)


def schema() -> dict[str, Any]:
    """The JSON Schema (2020-12) of the report."""
    found = {"title": f"gapcheck report, {SCHEMA}", **msgspec.json.schema(Report)}
    return {"$schema": DIALECT, **{key: _flowing(value) for key, value in found.items()}}


def _flowing(value: Any) -> Any:  # noqa: ANN401 - any part of a schema
    """The schema with its descriptions, which are docstrings, as running text."""
    if isinstance(value, dict):
        return {
            key: " ".join(each.split()) if key == "description" and isinstance(each, str)
            else _flowing(each)
            for key, each in value.items()
        }  # fmt: skip
    return [_flowing(each) for each in value] if isinstance(value, list) else value
