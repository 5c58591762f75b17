"""The JSON report, schema `gapcheck/1`: equal facts give equal bytes, one verdict a line."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import TextIO

import msgspec

from gapcheck.model import Finding, Verdict
from gapcheck.record import SCHEMA, Record, Round
from gapcheck.remediations.plan import PlannedChange
from gapcheck.reports.json_shape import (
    ChangeItem,
    FindingItem,
    RoundItem,
    UnplannedItem,
    VerdictItem,
    summary,
)


def write(record: Record, out: TextIO) -> None:
    """Write `record` as one JSON object, one verdict a line."""
    out.writelines(parts(record))


def parts(record: Record) -> Iterator[str]:
    """The report in pieces, so that no more than one verdict is held as text."""
    yield f'{{"schema":{_text(SCHEMA)},\n"run":{_text(record.run)},\n'
    yield f'"summary":{_text(summary(record))},\n"verdicts":['
    for index, verdict in enumerate(record.verdicts):
        yield ("\n" if index == 0 else ",\n") + _text(_verdict(verdict, record))
    yield f'\n],\n"gaps":{_text(record.gaps)},\n"notes":{_text(record.notes)},\n'
    yield f'"rounds":{_text([_round(each) for each in record.rounds])}'
    if record.drift is not None:
        yield f',\n"drift":{_text(record.drift)}'
    yield "}\n"


def _verdict(verdict: Verdict, record: Record) -> VerdictItem:
    described = record.catalogue.get(verdict.check)
    return VerdictItem(
        check=verdict.check,
        title=described.title if described else "",
        subject=verdict.subject,
        status=verdict.status,
        severity=verdict.severity,
        findings=tuple(map(_finding, verdict.findings)),
        evidence=verdict.evidence,
        reason=verdict.reason,
        root_causes=verdict.root_causes,
        waived_by=verdict.waived_by,
        remedy=verdict.remedy,
        fixed=verdict.fixed,
    )


def _finding(finding: Finding) -> FindingItem:
    """A finding without what only planners read."""
    return FindingItem(
        problem=finding.problem,
        evidence=finding.evidence,
        consequence=finding.consequence,
        remedy_hint=finding.remedy_hint,
        locus=finding.locus,
    )


def _round(done: Round) -> RoundItem:
    return RoundItem(
        round=done.plan.round,
        changes=tuple(map(_change, done.plan.changes)),
        unplanned=tuple(
            UnplannedItem(check=each.cause.check, subject=each.cause.subject, why=each.why)
            for each in done.plan.unplanned
        ),
        results=done.results,
        repaired=done.repaired,
    )


def _change(planned: PlannedChange) -> ChangeItem:
    change = planned.change
    return ChangeItem(
        id=planned.id,
        kind=type(change).__name__,
        target=change.target,
        stage=planned.stage,
        risk=change.risk,
        path=getattr(change, "path", ""),
        causes=planned.causes,
        diff=planned.diff,
        note=planned.note,
    )


def _text(value: object) -> str:
    # Deterministic: a dict inside (what a repair wrote, counts) is ordered by its keys.
    try:
        return _ENCODER.encode(value).decode()
    except UnicodeEncodeError:
        # A file name that is not UTF-8 reads as lone surrogates; JSON can only escape those.
        builtins = msgspec.to_builtins(value, order="deterministic")
        return json.dumps(builtins, separators=(",", ":"))


_ENCODER = msgspec.json.Encoder(order="deterministic")
