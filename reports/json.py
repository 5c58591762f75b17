"""The JSON report, schema `gapcheck/1`: equal facts give equal bytes, one verdict a line."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, TextIO

import msgspec

from gapcheck.model import Cause, Finding, Verdict
from gapcheck.record import SCHEMA, Record, Round
from gapcheck.remediations.plan import PlannedChange


def write(record: Record, out: TextIO) -> None:
    """Write `record` as one JSON object, one verdict a line."""
    out.writelines(parts(record))


def parts(record: Record) -> Iterator[str]:
    """The report in pieces, so that no more than one verdict is held as text."""
    yield f'{{"schema":{_text(SCHEMA)},\n"run":{_text(record.run)},\n'
    yield f'"summary":{_text(summary(record))},\n"verdicts":['
    for index, verdict in enumerate(record.verdicts):
        yield ("\n" if index == 0 else ",\n") + _text(verdict_data(verdict, record))
    yield f'\n],\n"gaps":{_text(record.gaps)},\n"notes":{_text(record.notes)},\n'
    yield f'"rounds":{_text([round_data(each) for each in record.rounds])}'
    if record.drift is not None:
        yield f',\n"drift":{_text(record.drift)}'
    yield "}\n"


def summary(record: Record) -> dict[str, Any]:
    """Counts by status, and the verdicts that no other explains."""
    counts = {status.value: count for status, count in record.counts.items()}
    return {**counts, "root_causes": [cause_data(cause) for cause in record.roots()]}


def verdict_data(verdict: Verdict, record: Record) -> dict[str, Any]:
    """One verdict with all that supports it."""
    described = record.catalogue.get(verdict.check)
    return {
        "check": verdict.check,
        "title": described.title if described else "",
        "subject": verdict.subject,
        "status": verdict.status,
        "severity": verdict.severity,
        "findings": [finding_data(each) for each in verdict.findings],
        "evidence": verdict.evidence,
        "reason": verdict.reason,
        "root_causes": [cause_data(cause) for cause in verdict.root_causes],
        "waived_by": verdict.waived_by,
        "remedy": verdict.remedy,
        "fixed": verdict.fixed,
    }


def finding_data(finding: Finding) -> dict[str, Any]:
    """A finding without what only planners read."""
    return {
        "problem": finding.problem,
        "evidence": finding.evidence,
        "consequence": finding.consequence,
        "remedy_hint": finding.remedy_hint,
        "locus": finding.locus,
    }


def cause_data(cause: Cause) -> dict[str, str]:
    """A verdict as others name it."""
    return {"check": cause.check, "subject": cause.subject}


def round_data(done: Round) -> dict[str, Any]:
    """One round of repair: changes with their diffs and results, and what was left."""
    return {
        "round": done.plan.round,
        "changes": [change_data(each) for each in done.plan.changes],
        "unplanned": [{**cause_data(each.cause), "why": each.why} for each in done.plan.unplanned],
        "results": done.results,
        "repaired": [cause_data(cause) for cause in done.repaired],
    }


def change_data(planned: PlannedChange) -> dict[str, Any]:
    """A planned change as a person reviews it: no contents beside the diff."""
    change = planned.change
    return {
        "id": planned.id,
        "kind": type(change).__name__,
        "target": change.target,
        "stage": planned.stage,
        "risk": change.risk,
        "path": getattr(change, "path", ""),
        "causes": [cause_data(cause) for cause in planned.causes],
        "diff": planned.diff,
        "note": planned.note,
    }


def _text(value: object) -> str:
    try:
        return msgspec.json.encode(value).decode()
    except UnicodeEncodeError:
        # A file name that is not UTF-8 reads as lone surrogates; JSON can only escape those.
        return json.dumps(msgspec.to_builtins(value), separators=(",", ":"))
