"""Guide step 3: nothing stale, broken or secret lies in the node's trust stores."""

from __future__ import annotations

import posixpath
from collections.abc import Iterator

from gapcheck.errors import NotApplicable
from gapcheck.fixtures import pki
from gapcheck.fixtures.certs_d import client_files, host_names
from gapcheck.fixtures.facts import FileFact, Present
from gapcheck.fixtures.gotls.pool import PoolNote
from gapcheck.fixtures.node_trust import go_accepts, node_trust
from gapcheck.fixtures.registry_ca import RegistryCa, registry_ca
from gapcheck.fixtures.trust_store import ANCHOR_FOLDERS, GO_FILES, GO_FOLDERS, family_of
from gapcheck.model import CheckId, Evidence, Finding, Scope, Severity
from gapcheck.registry import Judgement, Source, check
from gapcheck.view import NodeView

_CERTS_D = "/certs.d/"
_HARMLESS = ("other", "private-key")


@check(
    "NODE-TRUST-004",
    scope=Scope.NODE,
    severity=Severity.MINOR,
    after=("CERT-FILE-001",),
    source=Source(step=3, fault=("N07", "C19")),
)
def no_stale_ca_of_the_same_name(view: NodeView) -> Judgement:
    """No trust place of this node holds a former CA of the registry.

    Former is another certificate under the CA's name, anywhere; and in the registry's own
    folders every certificate that the site's CA file does not hold. What signs the
    certificate that the registry serves today is no former CA, whatever the site's file holds.
    """
    ca = registry_ca(view)
    if ca is None:
        raise NotApplicable("the site file names no registry.ca_file")
    ours = {pki.fingerprint(der) for der in ca.certificates}
    verdict = go_accepts(view, node_trust(view))
    signing = verdict.anchors if verdict and verdict.ok else ()
    for file in trust_files(view):
        own = _is_registrys(file.path, view.site.registry.netloc)
        for cert in _former(_content(view, file), ca, every=own):
            if cert.fingerprint in map(pki.fingerprint, signing):
                continue
            age = "expired" if cert.not_after <= view.now else "valid"
            yield Finding(
                problem=f"{file.path} still holds a former CA of the registry",
                evidence=(
                    Evidence(
                        "held", f"{cert.named}, {age} to {cert.not_after:%Y-%m-%d}", file.path
                    ),
                    Evidence("current", ", ".join(sorted(each[:12] for each in ours)), ca.path),
                ),
                consequence="whoever has the old CA's key is still trusted; clients that hold only "
                "it report: crypto/rsa: verification error ... candidate authority",
                remedy_hint="remove it once nothing is signed by it",
                locus=file.path,
                because=(CheckId("NODE-TRUST-001"),),
                data={"path": file.path, "fingerprint": cert.fingerprint},
            )


@check(
    "NODE-TRUST-005",
    scope=Scope.NODE,
    severity=Severity.MAJOR,
    source=Source(step=3, fault=("N08", "C20", "C21", "C22", "C23")),
)
def store_files_are_sound(view: NodeView) -> Judgement:
    """Every file that was added to a trust place is whole, and holds no private key."""
    broken_anchor = False
    bundles: list[FileFact] = []
    for file in trust_files(view):
        if _is_bundle(file.path):
            bundles.append(file)
            continue
        for finding in _defects(view, file):
            broken_anchor |= file.path.startswith(ANCHOR_FOLDERS)
            yield finding
    if not broken_anchor:  # else the bundle is broken because an anchor is
        for file in bundles:
            yield from _defects(view, file)


def _former(pem: bytes, ca: RegistryCa, *, every: bool) -> Iterator[pki.Cert]:
    """The certificates of `pem` that are not the CA's: those of its name, or with `every` all."""
    subjects = {each.subject_der for each in pki.pool(ca.pem).parsed}
    for each in pki.pool(pem).parsed:
        if (every or each.subject_der in subjects) and each.der not in ca.certificates:
            yield pki.read_certificate(each.der)


def _is_registrys(path: str, netloc: str) -> bool:
    folder = posixpath.dirname(path)
    return _CERTS_D in path and posixpath.basename(folder) in host_names(netloc)[:-1]


def trust_files(view: NodeView) -> Iterator[FileFact]:
    """The measured files of every trust place, each once; links are read by their targets.

    A client's certificate beside a CA is trusted by nobody: it is no file of a trust place.
    """
    seen: set[str] = set()
    clients = client_files(view)
    for path, observed in sorted(view.facts.files.items()):
        if not isinstance(observed, Present) or not _in_trust_place(path) or path in clients:
            continue
        file = observed.value
        if file.sha256 in seen and _is_bundle(path):
            continue
        seen.add(file.sha256)
        yield file


def _content(view: NodeView, file: FileFact) -> bytes:
    """What was taken of `file`; nothing of a key file."""
    return view.content(file) if file.blob else b""


def _in_trust_place(path: str) -> bool:
    if path in GO_FILES or posixpath.dirname(path) in GO_FOLDERS:
        return True
    if path.startswith(tuple(f"{each}/" for each in ANCHOR_FOLDERS)):
        return True
    return _CERTS_D in path and path.endswith((".crt", ".pem"))


def _is_bundle(path: str) -> bool:
    return path in GO_FILES


def _defects(view: NodeView, file: FileFact) -> Iterator[Finding]:
    family = family_of(view.facts)
    takes_der = bool(family and family.der and file.path.startswith(family.anchors))
    found = pki.pool(_content(view, file))
    if file.has_private_key or any(note.kind == "private-key" for note in found.notes):
        yield _leak(file)
    notes = [
        note
        for note in found.notes
        if note.kind not in _HARMLESS and not (note.kind == "der" and takes_der)
    ]
    if notes:  # a broken block makes its neighbours look damaged: the telling note names it
        yield _broken(file, min(notes, key=lambda note: note.kind == "unparsable"))
    if not found.certificates and not found.notes and file.path.endswith(".crt"):
        note = PoolNote(line=0, kind="other", detail="it holds no certificate")
        if not file.has_private_key:
            yield _broken(file, note)


def _leak(file: FileFact) -> Finding:
    return Finding(
        problem=f"{file.path} holds a private key",
        evidence=(Evidence("mode", f"{file.mode & 0o7777:04o}", file.path),),
        consequence="the trust tool copies it into a bundle that everyone can read: "
        "the key counts as leaked",
        remedy_hint="remove the file and reissue the certificate",
        locus=file.path,
        data={"path": file.path, "kind": "private-key"},
    )


def _broken(file: FileFact, note: PoolNote) -> Finding:
    where = f"{file.path}, line {note.line}" if note.line else file.path
    return Finding(
        problem=f"{where}: {note.detail}",
        evidence=(Evidence("size", f"{file.size} bytes", file.path),),
        consequence="Go skips it, perhaps with its neighbour; OpenSSL refuses the whole bundle "
        "it is copied into: [X509] PEM lib",
        remedy_hint="remove the file and rebuild the store",
        locus=file.path,
        data={"path": file.path, "kind": note.kind},
    )
