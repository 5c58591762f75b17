"""Evidence: facts, how they were judged, the reports, versions and digests in one file.

It is a bundle, so `gapcheck check --bundle` judges it again, for the time it was judged for.
"""

from __future__ import annotations

import hashlib
import io
import platform
import ssl
import tempfile
from contextlib import ExitStack
from importlib import metadata
from itertools import islice
from pathlib import Path
from typing import IO

import gapcheck
from gapcheck.fixtures.bundle import Evidence, Judged, write_bundle
from gapcheck.record import Record
from gapcheck.reports import html, json, junit
from gapcheck.suite import Prepared

REPORTS = {"report.json": json, "report.html": html, "junit.xml": junit}
# What reads certificates, answers and files: another version of these may read them otherwise.
_LIBRARIES = (
    "cryptography",
    "pyopenssl",
    "dnspython",
    "kubernetes",
    "ruamel.yaml",
    "tomli",
    "tomlkit",
)


def write_evidence(path: Path, prepared: Prepared, record: Record) -> None:
    """Write the facts of `prepared` and its `record` to `path`: whole or not at all, mode 0600.

    Raises BundleError where it cannot be written.
    """
    judged = Judged(
        run=record.run.id,
        now=record.run.now,
        exit=record.run.exit,
        versions=versions(),
        verdicts_sha256="" if record.rounds else digest_of(record),
    )
    with ExitStack() as opened:
        reports: dict[str, IO[bytes]] = {}
        for name, module in REPORTS.items():
            file = opened.enter_context(tempfile.TemporaryFile())
            text = io.TextIOWrapper(file, encoding="utf-8", write_through=True)
            module.write(record, text)
            text.detach()
            reports[name] = file
        evidence = Evidence(judged=judged, reports=reports)
        write_bundle(path, prepared.site, prepared.facts, evidence=evidence)


def digest_of(record: Record) -> str:
    """SHA-256 of the JSON report but for `run`: equal for equal verdicts."""
    found = hashlib.sha256()
    for part in islice(json.parts(record), 1, None):
        found.update(part.encode())
    return found.hexdigest()


def versions() -> dict[str, str]:
    """What judged: gapcheck, Python, OpenSSL, and the libraries that read what was measured."""
    return {
        "gapcheck": gapcheck.__version__,
        "python": platform.python_version(),
        "openssl": ssl.OPENSSL_VERSION,
        **{name: metadata.version(name) for name in _LIBRARIES},
    }


def note_of(prepared: Prepared, record: Record) -> str:
    """Whether a whole judgement of evidence gave the verdicts that stand in it; '' = no evidence.

    Another time, site file or selection is another question, and is not compared.
    """
    judged, request = prepared.judged, prepared.request
    asked = request.now or request.loaded or request.select or request.targets
    if judged is None or not judged.verdicts_sha256 or asked:
        return ""
    if digest_of(record) == judged.verdicts_sha256:
        return f"the verdicts are those of run {judged.run}, byte for byte"
    mine = versions()
    other = [
        f"{name} {version} (here {mine.get(name, 'absent')})"
        for name, version in judged.versions.items()
        if mine.get(name) != version
    ]
    by = ", ".join(other) or "the same versions"
    return f"the verdicts differ from those of run {judged.run}, which were judged by {by}"
