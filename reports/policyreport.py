"""PolicyReport objects of the Kubernetes policy working group, `wgpolicyk8s.io/v1alpha2`.

The release's verdicts stand in PolicyReports of its namespace, all others in
ClusterPolicyReports. The API server and etcd bound an object's size, so the verdicts are split
over several objects whose names depend on the site and their place alone. What failed is
listed first; verdicts beyond `MOST_RESULTS` are counted in the summary of the first object and
listed nowhere, and an annotation says how many.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, TextIO

import msgspec

from gapcheck.drift import Item
from gapcheck.model import RELEASE, Cause, Severity, Status, Verdict
from gapcheck.record import Record
from gapcheck.reports.wording import evidence_line, headline, printable

GROUP, VERSION = "wgpolicyk8s.io", "v1alpha2"
SITE_LABEL = "gapcheck.io/site"
OWNED = {"app.kubernetes.io/managed-by": "gapcheck"}
MOST_RESULTS = 5000
# etcd takes 1.5 MiB a request by default; the API server's own notes need room as well.
MOST_BYTES = 512 * 1024
_MOST_TEXT = 1000
_MOST_EVIDENCE = 5

Json = dict[str, Any]

_RESULTS = {
    Status.PASS: "pass",
    Status.FAIL: "fail",
    Status.WARN: "warn",
    Status.ERROR: "error",
    Status.BLOCKED: "skip",
    Status.WAIVED: "skip",
    Status.NOT_APPLICABLE: "skip",
}
_SEVERITIES = {
    Severity.CRITICAL: "critical",
    Severity.MAJOR: "high",
    Severity.MINOR: "low",
    Severity.INFO: "info",
}
_FIRST = (Status.FAIL, Status.ERROR, Status.WARN, Status.BLOCKED, Status.WAIVED, Status.PASS)
_ORDER = {status: place for place, status in enumerate((*_FIRST, Status.NOT_APPLICABLE))}


def write(record: Record, out: TextIO) -> None:
    """Write the objects as one `List`, which `kubectl apply --server-side` takes."""
    out.write('{"apiVersion":"v1","kind":"List","items":[')
    out.writelines(
        ("\n" if index == 0 else ",\n") + msgspec.json.encode(each).decode()
        for index, each in enumerate(objects(record, namespace=record.run.namespace))
    )
    out.write("\n]}\n")


def site_slug(site: str) -> str:
    """`site` as a label and as a part of names, with a digest that keeps sites apart."""
    plain = re.sub("[^a-z0-9]+", "-", site.lower()).strip("-")[:40].strip("-")
    digest = hashlib.sha256(site.encode("utf-8", "surrogatepass")).hexdigest()[:8]
    return f"{plain}-{digest}" if plain else digest


def objects(record: Record, *, namespace: str) -> Iterator[Json]:
    """Every object. With `namespace` '' all verdicts are the cluster's."""
    drifted = {item.cause: item for item in record.drift.items} if record.drift else {}
    ranked = sorted(record.verdicts, key=_rank)
    for place in ("", namespace) if namespace else ("",):
        mine = [v for v in ranked[:MOST_RESULTS] if _place(v, namespace) == place]
        left = [v for v in ranked[MOST_RESULTS:] if _place(v, namespace) == place]
        results = (_result(v, record, drifted.get(v.cause)) for v in mine)
        for number, part in enumerate(_parts(results), start=1):
            yield _object(record, place, number, part, left=left if number == 1 else ())


def _place(verdict: Verdict, namespace: str) -> str:
    """The namespace that a verdict belongs to, '' for the cluster."""
    return namespace if verdict.subject == RELEASE else ""


def _rank(verdict: Verdict) -> tuple[int, bool, int]:
    """What a reader needs first: failures that no other explains, worst severity first."""
    return _ORDER[verdict.status], bool(verdict.root_causes), verdict.severity.rank


def _parts(results: Iterable[Json]) -> Iterator[list[Json]]:
    """The results in lists that an object can hold; one empty list where there is none."""
    part: list[Json] = []
    size = 0
    for each in results:
        length = len(msgspec.json.encode(each)) + 1
        if part and size + length > MOST_BYTES:
            yield part
            part, size = [], 0
        part.append(each)
        size += length
    yield part


def _object(
    record: Record, namespace: str, number: int, results: list[Json], *, left: Sequence[Verdict]
) -> Json:
    run = record.run
    slug = site_slug(run.site)
    annotations = {
        "gapcheck.io/site-name": _text(run.site),
        "gapcheck.io/run": run.id,
        "gapcheck.io/version": run.version,
        "gapcheck.io/exit": str(run.exit),
        "gapcheck.io/taken-at": run.taken_at.isoformat(),
    }
    if left:
        annotations["gapcheck.io/counted-only"] = str(len(left))
    metadata: Json = {
        "name": f"gapcheck-{slug}-{number:03d}",
        **({"namespace": namespace} if namespace else {}),
        "labels": {**OWNED, SITE_LABEL: slug},
        "annotations": annotations,
    }
    return {
        "apiVersion": f"{GROUP}/{VERSION}",
        "kind": "PolicyReport" if namespace else "ClusterPolicyReport",
        "metadata": metadata,
        **({"scope": _namespace(namespace)} if namespace else {}),
        "summary": _summary(results, left),
        "results": results,
    }


def _namespace(name: str) -> Json:
    return {"apiVersion": "v1", "kind": "Namespace", "name": name}


def _summary(results: Iterable[Json], left: Iterable[Verdict]) -> Json:
    counts = Counter(each["result"] for each in results)
    counts.update(_RESULTS[verdict.status] for verdict in left)
    return {kind: counts[kind] for kind in ("pass", "fail", "warn", "error", "skip")}


def _result(verdict: Verdict, record: Record, drift: Item | None) -> Json:
    described = record.catalogue.get(verdict.check)
    return {
        "source": "gapcheck",
        "policy": verdict.check,
        **({"rule": _text(described.title)} if described else {}),
        "category": verdict.check.partition("-")[0],
        "severity": _SEVERITIES[verdict.severity],
        "result": _RESULTS[verdict.status],
        "scored": True,
        "timestamp": {"seconds": int(record.run.taken_at.timestamp()), "nanos": 0},
        "message": _text(f"{verdict.subject}: {headline(verdict) or 'as required'}"),
        "properties": _properties(verdict, drift),
    }


def _properties(verdict: Verdict, drift: Item | None) -> Mapping[str, str]:
    found = verdict.findings[0] if verdict.findings else None
    evidence = (*(found.evidence if found else ()), *verdict.evidence)[:_MOST_EVIDENCE]
    said = {
        "subject": verdict.subject,
        "status": verdict.status.value,
        "root_causes": _named(verdict.root_causes),
        "locus": found.locus if found else "",
        "consequence": found.consequence if found else "",
        "evidence": "; ".join(map(evidence_line, evidence)),
        "remedy": found.remedy_hint if found else "",
        **(_drift(drift) if drift else {}),
    }
    return {key: _text(text) for key, text in said.items() if text}


def _named(causes: Sequence[Cause]) -> str:
    return ", ".join(map(str, causes))


def _drift(item: Item) -> dict[str, str]:
    """What differs from the earlier run, since when, and why where it is known."""
    causes = [
        f"{why.text} ({why.before or 'absent'} -> {why.after or 'absent'})"
        if why.before or why.after
        else why.text
        for why in item.causes
    ]
    return {
        "drift": f"{item.kind}: {item.was or 'not judged'} -> {item.now or 'not judged'}",
        "since": item.since.isoformat() if item.since else "",
        "cause": "; ".join(causes),
    }


def _text(text: str) -> str:
    """At most `_MOST_TEXT` characters, none of which steers a terminal."""
    plain = printable(text)
    return plain if len(plain) <= _MOST_TEXT else f"{plain[: _MOST_TEXT - 4]} ..."
