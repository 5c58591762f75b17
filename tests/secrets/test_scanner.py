"""The scanner finds a secret wherever it stands; without that, a clean scan would say nothing."""

from __future__ import annotations

import base64
import gzip
import json
import sqlite3
import tarfile
import zlib
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from support.scanner import Scanner, of_key

SEEDED = b"correct-horse-battery-staple-7"


def pem_of(key: object) -> bytes:
    return key.private_bytes(  # type: ignore[attr-defined,no-any-return]  # any private key
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )


KEYS = {
    "rsa": pem_of(rsa.generate_private_key(public_exponent=65537, key_size=2048)),
    "ec": pem_of(ec.generate_private_key(ec.SECP256R1())),
    "ed25519": pem_of(ed25519.Ed25519PrivateKey.generate()),
}
PUBLIC = {
    name: serialization.load_pem_private_key(pem, None).public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    for name, pem in KEYS.items()
}  # fmt: skip


def der_of(pem: bytes) -> bytes:
    return base64.b64decode(b"".join(line for line in pem.splitlines() if b"-" not in line))


@pytest.mark.parametrize("kind", KEYS)
@pytest.mark.parametrize(
    "form",
    [
        lambda pem: pem,
        lambda pem: b"x: |\n" + b"".join(b"    " + line + b"\n" for line in pem.splitlines()),
        lambda pem: json.dumps({"k": pem.decode()}).encode(),
        lambda pem: json.dumps(json.dumps({"k": pem.decode()})).encode(),
        lambda pem: b"ab" + der_of(pem),
        lambda pem: der_of(pem).hex().encode(),
        base64.b64encode,
        lambda pem: base64.b64encode(b"a" + base64.b64encode(b"bc" + der_of(pem))),
        gzip.compress,
        zlib.compress,
    ],
    ids=["pem", "yaml", "json", "json-in-json", "der", "hex", "base64", "twice", "gzip", "zlib"],
)
def test_a_private_key_is_found(form: object, kind: str) -> None:
    scanner = Scanner({"key": of_key(KEYS[kind])})
    assert scanner.found(form(KEYS[kind])) == {"key"}  # type: ignore[operator]  # one of the forms
    assert scanner.found(form(PUBLIC[kind])) == set()  # type: ignore[operator]  # the same


@pytest.mark.parametrize("before", range(4))
def test_a_password_is_found_wherever_it_stands_in_what_was_encoded(before: int) -> None:
    scanner = Scanner({"password": [SEEDED]})
    for text in (b"u" * before + SEEDED + b":tail", b"u" * before + SEEDED):
        assert scanner.found(base64.b64encode(text)) == {"password"}
        assert scanner.found(base64.urlsafe_b64encode(text)) == {"password"}
    assert scanner.found(base64.b64encode(b"u" * before + SEEDED[:-8])) == set()


def test_files_are_opened_and_their_names_are_read(tmp_path: Path) -> None:
    scanner = Scanner({"password": [SEEDED]})
    (tmp_path / "plain").write_bytes(SEEDED)
    with tarfile.open(tmp_path / "x.tar.gz", "w:gz") as tar:
        tar.add(tmp_path / "plain")
    with sqlite3.connect(tmp_path / "x.db") as database:
        database.execute("CREATE TABLE t (a, b)")
        database.execute("INSERT INTO t VALUES (1, ?)", (zlib.compress(SEEDED * 3),))
    (tmp_path / f"x-{SEEDED.decode()}").write_bytes(b"")
    (tmp_path / "clean").write_bytes(b"nothing")
    assert set(scanner.found_below(tmp_path, but=[tmp_path / "plain"])) == {
        "x.tar.gz",
        "x.db",
        f"x-{SEEDED.decode()}",
    }
