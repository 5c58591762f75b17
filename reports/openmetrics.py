"""The OpenMetrics report, for a textfile collector or a push gateway.

The number of series does not grow with the site: where more than a few hundred subjects were
judged, those of one kind are counted together (`subject="node/*"`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import TextIO

from gapcheck.model import Severity, Status, SubjectId, Verdict
from gapcheck.record import CertificateLife, Record
from gapcheck.reports.wording import printable

MOST_SUBJECTS = 200
MOST_CERTIFICATES = 500

Labels = Mapping[str, str]
_Value = Callable[[CertificateLife], float]
Sample = tuple[Labels, float]


def write(record: Record, out: TextIO) -> None:
    """Write `record` as one exposition, ended by `# EOF`."""
    for family in families(record):
        out.writelines(family)
    out.write("# EOF\n")


def families(record: Record) -> Iterator[Iterator[str]]:
    """Every metric family: facts first, what differs from run to run last."""
    yield _family("gapcheck_verdicts", "Verdicts of the last run.", _verdicts(record.verdicts))
    yield _family(
        "gapcheck_check_subjects",
        "Subjects of a check by status; subject kind/* stands for many.",
        _states(record.verdicts),
    )
    yield _family("gapcheck_check", "A check that was judged.", _checks(record), kind="info")
    yield _family("gapcheck_gaps", "What was to be measured and was not.", _gaps(record))
    yield _family("gapcheck_root_causes", "Verdicts that no other explains.", _roots(record))
    yield _family(
        "gapcheck_certificate_expiry_timestamp_seconds",
        "When a certificate expires.",
        _lives(record.certificates, lambda life: life.not_after.timestamp()),
        unit="seconds",
    )
    yield _family(
        "gapcheck_certificate_places",
        "Where a certificate was met, counted.",
        _lives(record.certificates, lambda life: float(life.places)),
    )
    yield from _drift(record)
    yield from _run(record)


def _drift(record: Record) -> Iterator[Iterator[str]]:
    if record.drift is None:
        return
    counts = record.drift.counts
    yield _family(
        "gapcheck_drift",
        "What differs from the run or baseline compared with.",
        [({"kind": kind}, float(count)) for kind, count in counts.items()],
    )


def _run(record: Record) -> Iterator[Iterator[str]]:
    run = record.run
    said = {"site": run.site, "version": run.version, "front_end": run.front_end, "run": run.id}
    yield _family("gapcheck_run", "The last run.", [(said, 1.0)], kind="info")
    yield _family("gapcheck_run_exit_code", "How it ended.", [({}, float(run.exit))])
    times: dict[str, tuple[str, datetime]] = {
        "gapcheck_run_started_timestamp_seconds": ("When it began.", run.started),
        "gapcheck_run_finished_timestamp_seconds": ("When it ended.", run.finished),
        "gapcheck_facts_taken_timestamp_seconds": ("When the facts were measured.", run.taken_at),
        "gapcheck_judged_for_timestamp_seconds": ("The time it was judged for.", run.now),
    }
    for name, (text, moment) in times.items():
        yield _family(name, text, [({}, moment.timestamp())], unit="seconds")


def _verdicts(verdicts: Sequence[Verdict]) -> Iterator[Sample]:
    found = Counter((verdict.status, verdict.severity) for verdict in verdicts)
    for status in Status:
        for severity in Severity:
            labels = {"status": status.value, "severity": severity.value}
            yield labels, float(found[status, severity])


def _states(verdicts: Sequence[Verdict]) -> Iterator[Sample]:
    folded = _folded(verdict.subject for verdict in verdicts)
    found = Counter((v.check, folded[v.subject], v.status) for v in verdicts)
    for (check, subject, status), count in found.items():
        yield {"check": check, "subject": subject, "status": status.value}, float(count)


def _folded(subjects: Iterable[SubjectId]) -> Mapping[SubjectId, str]:
    """How each subject is called: by name, or by kind where there are too many."""
    every = dict.fromkeys(subjects)
    many = len(every) > MOST_SUBJECTS
    return {s: f"{s.partition('/')[0]}/*" if many and "/" in s else s for s in every}


def _checks(record: Record) -> Iterator[Sample]:
    for check, described in record.catalogue.items():
        yield {"check": check, "title": described.title}, 1.0


def _gaps(record: Record) -> Iterator[Sample]:
    folded = _folded(gap.subject for gap in record.gaps)
    found = Counter((folded[gap.subject], gap.stage) for gap in record.gaps)
    for (subject, stage), count in sorted(found.items()):
        yield {"subject": subject, "stage": stage}, float(count)


def _roots(record: Record) -> Iterator[Sample]:
    for check, count in sorted(Counter(cause.check for cause in record.roots()).items()):
        yield {"check": check}, float(count)


def _lives(lives: Sequence[CertificateLife], value: _Value) -> Iterator[Sample]:
    for life in lives[:MOST_CERTIFICATES]:
        labels = {
            "sha256": life.sha256[:16],
            "name": life.name,
            "subject": life.subject,
            "where": life.where,
        }
        yield labels, value(life)


def _family(
    name: str, text: str, samples: Iterable[Sample], *, kind: str = "gauge", unit: str = ""
) -> Iterator[str]:
    yield f"# TYPE {name} {kind}\n"
    if unit:
        yield f"# UNIT {name} {unit}\n"
    yield f"# HELP {name} {_escaped(text)}\n"
    suffix = "_info" if kind == "info" else ""
    for labels, value in samples:
        inside = ",".join(f'{key}="{_escaped(said)}"' for key, said in labels.items())
        shown = f"{{{inside}}}" if inside else ""
        yield f"{name}{suffix}{shown} {value:.15g}\n"


def _escaped(text: str) -> str:
    return printable(text).replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")
