"""Debian's trust store in an image root, byte-equal to what update-ca-certificates makes.

Written after the shell script of ca-certificates: links NAME.pem in /etc/ssl/certs, the
bundle in the order of the configuration and then of the local anchors, and OpenSSL's subject
hash links where the set of links changed.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import os
import re
from dataclasses import dataclass
from itertools import count
from pathlib import Path

from gapcheck.fixtures.targets.root import RootTarget

CONF = "/etc/ca-certificates.conf"
SHIPPED = "/usr/share/ca-certificates"
LOCAL = "/usr/local/share/ca-certificates"
STORE = "/etc/ssl/certs"
BUNDLE = f"{STORE}/ca-certificates.crt"
_HASHED = (".pem", ".crt", ".cer", ".crl")
_HASH_LINK = re.compile(r"([0-9a-f]{8})\.([0-9]+)")
_CERTIFICATE = re.compile(
    rb"^-----BEGIN ((?:X509 |TRUSTED )?CERTIFICATE)-----\n(.*?)^-----END \1-----",
    re.MULTILINE | re.DOTALL,
)
_VERSION = 0xA0  # RFC 5280: the version has a tag of its own and may be absent
_SUBJECT = 4  # after serial number, algorithm, issuer and validity


def refresh_debian_store(root: RootTarget, *, fresh: bool) -> str:
    """Rebuild links and bundle; `fresh` drops links to anchors first. A word about it."""
    store = root.place(STORE)
    store.mkdir(parents=True, exist_ok=True)
    conf = root.place(CONF)
    lines = conf.read_text().splitlines() if conf.is_file() else []
    if fresh or not lines:
        _clear(root, store)
    removed = _drop_disabled(store, lines)
    anchors = [f"{SHIPPED}/{line}" for line in lines if line and line[0] not in "#!"]
    anchors = [each for each in anchors if root.place(each).is_file()]
    anchors += _local(root)
    added = sum(_link(root, store, anchor) for anchor in anchors)
    if added or removed:
        _rehash(root, store)
    _write_bundle(root, anchors)
    return f"{added} added, {removed} removed, {len(anchors)} anchors in the bundle"


def _clear(root: RootTarget, store: Path) -> None:
    for each in sorted(store.iterdir()):
        if each.is_symlink() and str(each.readlink()).startswith((SHIPPED, LOCAL)):
            each.unlink()
    _drop_orphans(root, store)


def _drop_orphans(root: RootTarget, store: Path) -> None:
    for each in sorted(store.iterdir()):
        if each.is_symlink() and not root.place(f"{STORE}/{each.name}").exists():
            each.unlink()


def _drop_disabled(store: Path, lines: list[str]) -> int:
    """Remove the links of shipped certificates that `!` lines disable."""
    removed = 0
    for line in lines:
        pem = store / (Path(line[1:]).name.removesuffix(".crt") + ".pem")
        if line.startswith("!") and pem.is_symlink():
            pem.unlink()
            removed += 1
    return removed


def _local(root: RootTarget) -> list[str]:
    """Local anchors, in the order of sort(1) by bytes."""
    base = root.place(LOCAL)
    found = [
        f"{LOCAL}/{Path(folder, name).relative_to(base)}"
        for folder, _, names in os.walk(base, followlinks=True)
        for name in names
        if name.endswith(".crt")
    ]
    return sorted((each for each in found if root.place(each).is_file()), key=os.fsencode)


def _link(root: RootTarget, store: Path, anchor: str) -> bool:
    name = Path(anchor).name.removesuffix(".crt")
    for old, new in ((" ", "_"), ("(", "="), (")", "="), (",", "_")):
        name = name.replace(old, new)
    pem = store / f"{name}.pem"
    there = pem.is_symlink() and root.place(f"{STORE}/{pem.name}").exists()
    if there and str(pem.readlink()) == anchor:
        return False
    pem.unlink(missing_ok=True)
    pem.symlink_to(anchor)
    return True


def _write_bundle(root: RootTarget, anchors: list[str]) -> None:
    parts = [root.place(each).read_bytes() for each in anchors]
    content = b"".join(part if not part or part.endswith(b"\n") else part + b"\n" for part in parts)
    bundle = root.entry(BUNDLE)
    new = bundle.with_name(f"{bundle.name}.new")
    with new.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    new.chmod(0o644)
    new.replace(bundle)


@dataclass(slots=True)
class _Linked:
    """A file of one subject hash: the number its link has (None: no link) and whether it is due."""

    name: str
    number: int | None = None
    digest: str = ""

    def stands(self, needed: int) -> bool:
        """Whether its link has a number that is kept."""
        return self.number is not None and self.number < needed


def _rehash(root: RootTarget, store: Path) -> None:
    """What `openssl rehash` does (apps/rehash.c): HASH.N links to single certificates.

    Links that stand keep their number as long as numbers below the count of certificates
    suffice, even where the file they lead to is a duplicate.
    """
    _drop_orphans(root, store)
    buckets: dict[str, list[_Linked]] = {}
    for name in sorted((each.name for each in store.iterdir()), key=os.fsencode):
        place = store / name
        found = _HASH_LINK.fullmatch(name) if place.is_symlink() else None
        if found:
            _note(buckets.setdefault(found[1], []), str(place.readlink()), int(found[2]), "")
            continue
        target = root.place(f"{STORE}/{name}")
        if name.lower().endswith(_HASHED) and target.is_file():
            one = _one_certificate(target.read_bytes())
            if one is not None:
                _note(buckets.setdefault(one[0], []), name, None, one[1])
    for subject, entries in buckets.items():
        _relink(store, subject, entries)


def _note(bucket: list[_Linked], name: str, number: int | None, digest: str) -> None:
    if digest and any(each.digest == digest for each in bucket):
        return
    known = next((each for each in bucket if each.name == name), None)
    if known is None:
        known = _Linked(name)
        bucket.append(known)
    if number is not None:
        known.number = number if known.number is None else min(number, known.number)
    known.digest = known.digest or digest


def _relink(store: Path, subject: str, entries: list[_Linked]) -> None:
    needed = sum(bool(each.digest) for each in entries)
    taken = {each.number for each in entries if each.stands(needed)}
    for each in entries:
        if each.stands(needed):
            continue
        if each.digest:
            number = next(n for n in count() if n not in taken)
            taken.add(number)
            link = store / f"{subject}.{number}"
            link.unlink(missing_ok=True)
            link.symlink_to(each.name)
        else:
            (store / f"{subject}.{each.number}").unlink(missing_ok=True)


def _one_certificate(pem: bytes) -> tuple[str, str] | None:
    """Subject hash and fingerprint where `pem` holds one certificate, else None.

    A private key beside it does not count, as it does not for OpenSSL.
    """
    blocks = [found[2] for found in _CERTIFICATE.finditer(pem.replace(b"\r\n", b"\n"))]
    if len(blocks) != 1:
        return None
    with contextlib.suppress(ValueError, IndexError):  # bytes that are no certificate
        body = _items(base64.b64decode(b"".join(blocks[0].split()), validate=True))[0][1]
        fields = [item for item in _items(_items(body)[0][1]) if item[0] != _VERSION]
        tag, name = fields[_SUBJECT]
        fingerprint = hashlib.sha256(_der(48, body)).hexdigest()
        return subject_hash(_der(tag, name)), fingerprint
    return None


def subject_hash(name: bytes) -> str:
    """OpenSSL's X509_NAME_hash of a DER name: SHA-1 over the canonical form, as hex.

    The canonical form has strings as UTF-8, lower case in ASCII, runs of spaces as one, and
    no outer SEQUENCE.
    """
    canonical = b"".join(_canonical_set(body) for _, body in _items(_items(name)[0][1]))
    digest = hashlib.sha1(canonical, usedforsecurity=False).digest()
    return f"{int.from_bytes(digest[:4], 'little'):08x}"


# Tags of the string types and how their bytes are text (X.690, X.680).
_TEXTS = {12: "utf-8", 28: "utf-32-be", 30: "utf-16-be"}
_TEXTS |= dict.fromkeys((19, 20, 22, 26), "latin-1")


def _canonical_set(body: bytes) -> bytes:
    entries = []
    for _, attribute in _items(body):
        (oid_tag, oid), (tag, value) = _items(attribute)
        if tag in _TEXTS:
            text = value.decode(_TEXTS[tag]).encode()
            words = bytes(c + 32 if 65 <= c <= 90 else c for c in text).split()  # noqa: PLR2004 - ASCII A to Z
            tag, value = 12, b" ".join(words)
        entries.append(_der(48, _der(oid_tag, oid) + _der(tag, value)))
    return _der(49, b"".join(sorted(entries)))


def _items(body: bytes) -> list[tuple[int, bytes]]:
    """Tags and contents of the DER values in `body`."""
    found, at = [], 0
    while at < len(body):
        tag, length, at = body[at], body[at + 1], at + 2
        if length & 0x80:
            size = length & 0x7F
            length, at = int.from_bytes(body[at : at + size], "big"), at + size
        found.append((tag, body[at : at + length]))
        at += length
    return found


def _der(tag: int, body: bytes) -> bytes:
    if len(body) < 0x80:  # noqa: PLR2004 - X.690 short form
        return bytes([tag, len(body)]) + body
    size = len(body).to_bytes((len(body).bit_length() + 7) // 8, "big")
    return bytes([tag, 0x80 | len(size)]) + size + body
