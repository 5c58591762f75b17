"""Looks for secrets in everything that was written: raw, base64 at any offset, hex, DER, packed."""

from __future__ import annotations

import base64
import gzip
import io
import re
import sqlite3
import tarfile
import zlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

_WINDOW = 12
_WINDOWS = 5
# A line break of PEM or YAML, as it is and as JSON writes it.
_BREAKS = re.compile(rb"\s+|\\+n|\\+r|\\+t")


def of_key(pem: bytes) -> tuple[bytes, ...]:
    """The private numbers of a key, as windows of bytes; its public half is no secret."""
    key = serialization.load_pem_private_key(pem, None)
    if isinstance(key, rsa.RSAPrivateKey):
        numbers = key.private_numbers()
        secrets = [number.to_bytes((number.bit_length() + 7) // 8, "big")
                   for number in (numbers.d, numbers.p, numbers.q)]  # fmt: skip
    elif isinstance(key, ec.EllipticCurvePrivateKey):
        secrets = [key.private_numbers().private_value.to_bytes(32, "big")]
    else:
        assert isinstance(key, ed25519.Ed25519PrivateKey)
        secrets = [key.private_bytes_raw()]
    return tuple(
        secret[at : at + _WINDOW]
        for secret in secrets
        # Several, for a line break of an inner text may stand in one of them.
        for at in range(0, len(secret) - _WINDOW + 1, (len(secret) - _WINDOW) // (_WINDOWS - 1))
    )


def encodings(secret: bytes) -> set[bytes]:
    """`secret` as it is, in hex, and in base64, once or twice, wherever in a text it stands."""
    return {secret, secret.hex().encode(), secret.hex().upper().encode(), *_base64(secret, 2)}


def _base64(secret: bytes, depth: int) -> set[bytes]:
    found: set[bytes] = set()
    if depth:
        for before in range(3):
            encoded = base64.b64encode(b"\0" * before + secret)
            # The characters at both ends depend on the neighbours.
            inner = encoded[(0, 2, 3)[before] :].rstrip(b"=")
            inner = inner[: -1 if len(secret + b"x" * before) % 3 else None]
            found |= {inner, inner.replace(b"+", b"-").replace(b"/", b"_")}
            found |= _base64(inner, depth - 1)
    return found


class Scanner:
    """`secrets` by what they are called; each is text, or windows of a key's numbers."""

    def __init__(self, secrets: Mapping[str, Iterable[bytes]]) -> None:
        needles: dict[bytes, str] = {}
        for name, parts in secrets.items():
            for part in parts:
                assert len(part) >= 12, f"{name} is too short to be told from chance"
                needles |= dict.fromkeys(encodings(part), name)
        self._names = needles

    def found(self, content: bytes) -> set[str]:
        """Names of the secrets that `content` holds, packed in it or not."""
        return {
            name
            for each in unpacked(content)
            for text in {each, _BREAKS.sub(b"", each)}
            for needle, name in self._names.items()
            if needle in text
        }

    def found_below(self, folder: Path, *, but: Iterable[Path] = ()) -> dict[str, set[str]]:
        """By file, the secrets it holds or is called by; files of `but` are left out."""
        left = set(but)
        found = {}
        for path in sorted(folder.rglob("*")):
            if path.is_file() and not path.is_symlink() and path not in left:
                name = str(path.relative_to(folder))
                if names := self.found(path.read_bytes()) | self.found(name.encode()):
                    found[name] = names
        return found


def unpacked(content: bytes) -> Iterator[bytes]:
    """`content`, and what is packed in it: gzip, tar, zlib, the rows of an SQLite file."""
    yield content
    if content.startswith(b"\x1f\x8b"):
        with suppress(OSError, EOFError, zlib.error):
            yield from unpacked(gzip.decompress(content))
    elif content[257:262] == b"ustar":
        with tarfile.open(fileobj=io.BytesIO(content)) as tar:
            for entry in tar:
                yield from unpacked((tar.extractfile(entry) or io.BytesIO()).read())
    elif content.startswith(b"SQLite format 3\0"):
        yield from _rows(content)
    elif content[:1] == b"\x78":
        with suppress(zlib.error):
            yield from unpacked(zlib.decompress(content))


def _rows(content: bytes) -> Iterator[bytes]:
    # A database in memory has no write-ahead log: bytes 18 and 19 say that there is none.
    with sqlite3.connect(":memory:") as database:
        database.deserialize(content[:18] + b"\1\1" + content[20:])
        tables = [name for (name,) in database.execute("SELECT name FROM sqlite_schema "
                                                       "WHERE type = 'table'")]  # fmt: skip
        for table in tables:
            for row in database.execute(f'SELECT * FROM "{table}"'):  # noqa: S608 - its own names
                for value in row:
                    yield from unpacked(value if isinstance(value, bytes) else str(value).encode())
