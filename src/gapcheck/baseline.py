"""A baseline: a state of the site that a person accepted, in one file to keep beside it.

Nothing secret is in it: statuses, texts of findings, digests of files.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from pathlib import Path

import msgspec

from gapcheck.drift import Moment, Snapshot, State
from gapcheck.errors import HistoryError
from gapcheck.fact_sheet import Sheet
from gapcheck.model import CheckId, SubjectId

SCHEMA = "gapcheck-baseline/1"
_MOST_BYTES = 512 * 1024**2


class Stated(msgspec.Struct, frozen=True, kw_only=True):
    """One state, and the subjects that a check says it of."""

    state: State
    subjects: tuple[SubjectId, ...]


class Baseline(msgspec.Struct, frozen=True, kw_only=True):
    """The file. `run` is the recorded run that was accepted, `site` the key of its history."""

    schema: str
    site: str
    run: str
    at: datetime
    version: str
    reason: str
    accepted: datetime
    verdicts: dict[CheckId, tuple[Stated, ...]]
    measured: dict[str, str]
    sheets: dict[str, dict[str, str]]


def baseline_of(snapshot: Snapshot, *, site: str, reason: str, accepted: datetime) -> Baseline:
    """`snapshot` as an accepted state; equal snapshots give equal verdicts and sheets."""
    digests = sorted({digest for digest in snapshot.measured.values() if digest})
    return Baseline(
        schema=SCHEMA,
        site=site,
        run=snapshot.moment.run,
        at=snapshot.moment.at,
        version=snapshot.moment.version,
        reason=reason,
        accepted=accepted,
        verdicts={check: _stated(snapshot.states(check)) for check in sorted(snapshot.checks())},
        measured=dict(sorted(snapshot.measured.items())),
        sheets={digest: dict(snapshot.sheet(digest)) for digest in digests},
    )


def _stated(states: Mapping[SubjectId, State]) -> tuple[Stated, ...]:
    found: dict[bytes, tuple[State, list[SubjectId]]] = {}
    for subject, state in states.items():
        found.setdefault(msgspec.json.encode(state), (state, []))[1].append(subject)
    return tuple(
        Stated(state=state, subjects=tuple(sorted(subjects)))
        for _, (state, subjects) in sorted(found.items())
    )


def encode_baseline(baseline: Baseline) -> bytes:
    """The file's bytes: readable, and with one line for what changes together."""
    return msgspec.json.format(msgspec.json.encode(baseline), indent=1) + b"\n"


def write_baseline(path: Path, baseline: Baseline) -> None:
    """Write the file whole or not at all; raises HistoryError where it cannot be written."""
    draft = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        draft.write_bytes(encode_baseline(baseline))
        draft.replace(path)
    except OSError as failed:
        raise HistoryError(str(path), f"cannot be written: {failed.strerror}") from failed
    finally:
        with suppress(OSError):
            draft.unlink()


def read_baseline(path: Path) -> Baseline:
    """The baseline in `path`; raises HistoryError where it is none that can be used."""
    try:
        with path.open("rb") as file:
            content = file.read(_MOST_BYTES + 1)
    except OSError as failed:
        raise HistoryError(str(path), f"cannot be read: {failed.strerror}") from failed
    if len(content) > _MOST_BYTES:
        raise HistoryError(str(path), f"is larger than {_MOST_BYTES} bytes: no baseline")
    try:
        schema = msgspec.json.decode(content, type=_Tagged).schema
        if schema == SCHEMA:
            return msgspec.json.decode(content, type=Baseline)
    except msgspec.DecodeError as bad:
        hint = "gapcheck baseline accept writes one"
        raise HistoryError(str(path), f"is not a baseline: {bad}", hint) from bad
    known = schema.startswith("gapcheck-baseline/")
    why = f"its schema is {schema!r}, this gapcheck reads {SCHEMA}"
    raise HistoryError(str(path), why if known else f"is not a baseline: {why}")


class _Tagged(msgspec.Struct):
    schema: str = ""


class Accepted:
    """A baseline as `compare` reads it."""

    def __init__(self, baseline: Baseline, *, path: str) -> None:
        self.moment = Moment(
            run=baseline.run, at=baseline.at, version=baseline.version, baseline=path
        )
        self.measured: Mapping[str, str] = baseline.measured
        self._baseline = baseline

    def checks(self) -> Sequence[CheckId]:
        """Every check that was judged."""
        return tuple(self._baseline.verdicts)

    def states(self, check: CheckId) -> Mapping[SubjectId, State]:
        """What `check` said, by subject."""
        stated = self._baseline.verdicts.get(check, ())
        return {subject: each.state for each in stated for subject in each.subjects}

    def sheet(self, digest: str) -> Sheet:
        """A fact sheet; {} for ''."""
        return self._baseline.sheets.get(digest, {})
