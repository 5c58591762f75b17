"""Whether the CA file that the site names is one that Go loads as it is meant."""

from __future__ import annotations

from collections.abc import Iterator

from gapcheck.errors import NotApplicable
from gapcheck.fixtures import pki
from gapcheck.fixtures.facts import Absent, FileFact, require
from gapcheck.fixtures.gotls.pool import CertPool, NoteKind, PoolNote
from gapcheck.fixtures.gotls.times import seconds_since_epoch
from gapcheck.model import Evidence, Finding, Scope, Severity
from gapcheck.registry import Judgement, Source, check
from gapcheck.view import SiteView

_HARMLESS: frozenset[NoteKind] = frozenset({"other", "private-key"})
_SHOWN = 10


@check(
    "CERT-FILE-001",
    scope=Scope.SITE,
    severity=Severity.CRITICAL,
    source=Source(step=3, fault=("C20", "C21", "C22", "C23")),
)
def ca_file_holds_what_go_loads(view: SiteView) -> Judgement:
    """The CA file holds certificates, all of them in a form that Go loads, and no private key.

    Go reads PEM blocks that start at the beginning of a line; DER, joined or indented blocks,
    a byte order mark and OpenSSL's TRUSTED form are skipped without a word, sometimes with
    the next certificate. At least one certificate must be valid today.
    """
    path = view.site.registry.ca_file
    if path is None:
        raise NotApplicable("the site file names no CA file; clients use their system store")
    file = require(view.facts.files.get(path, Absent()), f"the CA file {path}", "site")
    content = view.content(file)
    pool = pki.pool(content)
    yield Evidence("certificates that Go loads", str(len(pool.certificates)), path)
    yield from _private_key(path, file, pool)
    yield from _unloaded(path, file, pool)
    yield from _expired(path, pool, seconds_since_epoch(view.now))


def _private_key(path: str, file: FileFact, pool: CertPool) -> Iterator[Finding]:
    noted = [note for note in pool.notes if note.kind == "private-key"]
    if not file.has_private_key and not noted:
        return
    yield Finding(
        problem=f"{path} holds a private key",
        evidence=(Evidence("private key", "yes; its content was not taken along", path),),
        consequence="the file is copied to every trust place (OS bundle mode 0644, a Secret): "
        "whoever reads one of them can sign for any name that these clients ask for",
        remedy_hint="take the key out of the file and count it as leaked: make a new pair",
        locus=f"{path}#private-key",
        data={"path": path, "kind": "private-key"},
    )


def _unloaded(path: str, file: FileFact, pool: CertPool) -> Iterator[Finding]:
    lost = [note for note in pool.notes if note.kind not in _HARMLESS]
    if pool.certificates and not lost:
        return
    if not file.size:
        problem = f"{path} is empty"
    elif not pool.certificates:
        problem = f"{path}: Go loads no certificate from its {file.size} bytes"
    else:
        problem = f"{path}: Go loads {len(pool.certificates)} and skips {len(lost)} of its parts"
    kinds = sorted({note.kind for note in lost})
    yield Finding(
        problem=problem,
        evidence=tuple(_evidence(path, note) for note in lost[:_SHOWN]),
        consequence=_consequence(pool),
        remedy_hint="write the file again as plain PEM, one block after the other",
        locus=path,
        severity=Severity.MAJOR if pool.certificates else Severity.CRITICAL,
        data={"path": path, "kind": ",".join(kinds) or "empty"},
    )


def _evidence(path: str, note: PoolNote) -> Evidence:
    return Evidence(note.kind, note.detail, f"{path}:{note.line}")


def _consequence(pool: CertPool) -> str:
    if pool.certificates:
        return (
            "Go clients trust less than the file seems to hold, and curl and Python may refuse "
            "the whole file (`PEM lib`)"
        )
    return "Go clients trust nothing: x509: certificate signed by unknown authority"


def _expired(path: str, pool: CertPool, now: float) -> Iterator[Finding]:
    if not pool.parsed or any(cert.not_after.seconds >= now for cert in pool.parsed):
        return
    latest = max(pool.parsed, key=lambda cert: cert.not_after.seconds)
    yield Finding(
        problem=f"{path}: every certificate in it has expired, the last at {latest.not_after.text}",
        evidence=(Evidence("certificates", str(len(pool.parsed)), path),),
        consequence="x509: certificate has expired or is not yet valid, whatever is served",
        remedy_hint="give clients the CA that signs now, beside the old one until it is unused",
        locus=f"{path}#expired",
        data={"path": path, "kind": "expired"},
    )
