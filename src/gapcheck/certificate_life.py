"""Every certificate that the site lives by, with its life. Pure: facts in, structs out.

Bundles of public roots are left out: what expires in them is the distribution's affair.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import msgspec

from gapcheck.fixtures import pki
from gapcheck.fixtures.fact_set import FactSet, SubjectFacts
from gapcheck.fixtures.facts import (
    FileFact,
    NodeFacts,
    Observed,
    Present,
    RegistryFacts,
    ServiceFacts,
    SiteFacts,
)
from gapcheck.fixtures.kube_facts import ReleaseFacts
from gapcheck.model import SubjectId
from gapcheck.record import CertificateLife

_MOST_IN_A_FILE = 10
_LARGEST_BYTES = 64 * 1024


def certificate_lives(facts: FactSet) -> tuple[CertificateLife, ...]:
    """Each certificate once, the soonest to expire first."""
    found: dict[str, CertificateLife] = {}
    counts: Counter[str] = Counter()
    read: dict[str, tuple[pki.Cert, ...]] = {}
    for subject, where, digest, is_der in _places(facts):
        if digest not in read:
            read[digest] = _certificates(facts.blobs.get(digest, b""), is_der=is_der)
        for cert in read[digest]:
            counts[cert.fingerprint] += 1
            if cert.fingerprint not in found:
                found[cert.fingerprint] = _life(cert, subject, where)
    counted = (msgspec.structs.replace(each, places=counts[each.sha256]) for each in found.values())
    return tuple(sorted(counted, key=lambda life: (life.not_after, life.sha256)))


def _life(cert: pki.Cert, subject: SubjectId, where: str) -> CertificateLife:
    return CertificateLife(
        sha256=cert.fingerprint,
        name=cert.subject or cert.fingerprint[:16],
        subject=subject,
        where=where,
        not_before=cert.not_before,
        not_after=cert.not_after,
    )


def _certificates(content: bytes, *, is_der: bool) -> tuple[pki.Cert, ...]:
    if len(content) > _LARGEST_BYTES:
        return ()
    if not is_der:
        found = pki.certificates(content)
        return found if len(found) <= _MOST_IN_A_FILE else ()
    try:
        return (pki.read_certificate(content),)
    except ValueError:
        return ()  # what the handshake's verdict says of it


_Place = tuple[SubjectId, str, str, bool]


def _places(facts: FactSet) -> Iterator[_Place]:
    """Subject, where in it, the blob's digest, and whether that is DER."""
    for subject, found in facts.by_subject.items():
        if isinstance(found, RegistryFacts | ServiceFacts):
            yield from ((subject, "served", digest, True) for digest in found.tls.chain)
        for where, digest in _texts(found):
            yield subject, where, digest, False


def _texts(found: SubjectFacts) -> Iterator[tuple[str, str]]:
    """What of a subject may be a PEM file with few certificates."""
    match found:
        case SiteFacts():
            yield from _files(found.files)
        case NodeFacts():
            yield from _files(found.files)
        case RegistryFacts(machine=Present(value=machine)):
            yield from _files({"": machine.certificate})
            yield from _files(machine.files)
        case ReleaseFacts(secrets=Present(value=secrets)):
            for secret in secrets:
                yield from ((f"{secret.locus}/{key.name}", key.blob) for key in secret.keys)


def _files(files: dict[str, Observed[FileFact]]) -> Iterator[tuple[str, str]]:
    for observed in files.values():
        match observed:
            case Present(value=file) if file.path.endswith((".crt", ".pem", ".cer")):
                yield file.path, file.blob
