"""Certificates as odd as a test wants them, made octet by octet from a few fixed-seed keys."""

from __future__ import annotations

import datetime as dt
import hashlib
import ipaddress
import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed448, ed25519, padding, rsa
from support.certs import NOW
from support.der import (
    bits,
    boolean,
    common_name,
    context,
    integer,
    octets,
    oid,
    oid_contents,
    seq,
    tlv,
)

CURVES: dict[str, ec.EllipticCurve] = {
    "p224": ec.SECP224R1(),
    "p256": ec.SECP256R1(),
    "p384": ec.SECP384R1(),
    "p521": ec.SECP521R1(),
    "k256": ec.SECP256K1(),
}
_NULL = b"\x05\x00"
ALGORITHMS: dict[str, bytes] = {
    "ecdsa-sha1": seq(oid("1.2.840.10045.4.1")),
    "ecdsa-sha256": seq(oid("1.2.840.10045.4.3.2")),
    "ecdsa-sha384": seq(oid("1.2.840.10045.4.3.3")),
    "ecdsa-sha512": seq(oid("1.2.840.10045.4.3.4")),
    "rsa-md5": seq(oid("1.2.840.113549.1.1.4"), _NULL),
    "rsa-sha1": seq(oid("1.2.840.113549.1.1.5"), _NULL),
    "rsa-sha256": seq(oid("1.2.840.113549.1.1.11"), _NULL),
    "rsa-sha384": seq(oid("1.2.840.113549.1.1.12"), _NULL),
    "rsa-sha512": seq(oid("1.2.840.113549.1.1.13"), _NULL),
    "ed25519": seq(oid("1.3.101.112")),
    "ed448": seq(oid("1.3.101.113")),
    "dsa-sha256": seq(oid("2.16.840.1.101.3.4.3.2")),
    "unknown": seq(oid("1.2.3.4.5")),
}
_PREFIX = {
    "sha256": bytes.fromhex("3031300d060960864801650304020105000420"),
    "sha384": bytes.fromhex("3041300d060960864801650304020205000430"),
    "sha512": bytes.fromhex("3051300d060960864801650304020305000440"),
    "sha1": bytes.fromhex("3021300906052b0e03021a05000414"),
    "md5": bytes.fromhex("3020300c06082a864886f70d020505000410"),
}


def pss_algorithm(hash_name: str, salt: int, mask_hash: str = "") -> bytes:
    ids = {"sha256": "2.16.840.1.101.3.4.2.1", "sha384": "2.16.840.1.101.3.4.2.2",
           "sha512": "2.16.840.1.101.3.4.2.3", "sha1": "1.3.14.3.2.26"}  # fmt: skip
    digest = seq(oid(ids[hash_name]), _NULL)
    mask = seq(oid("1.2.840.113549.1.1.8"), seq(oid(ids[mask_hash or hash_name]), _NULL))
    parameters = seq(
        context(0, digest, constructed=True),
        context(1, mask, constructed=True),
        context(2, integer(salt), constructed=True),
    )
    return seq(oid("1.2.840.113549.1.1.10"), parameters)


@dataclass(frozen=True)
class SmallRsa:
    """An RSA key of a size that libraries no longer make."""

    modulus: int
    exponent: int
    private: int

    def sign(self, message: bytes, hash_name: str) -> bytes:
        size = (self.modulus.bit_length() + 7) // 8
        payload = _PREFIX[hash_name] + hashlib.new(hash_name, message).digest()
        block = b"\x00\x01" + b"\xff" * (size - len(payload) - 3) + b"\x00" + payload
        return pow(int.from_bytes(block), self.private, self.modulus).to_bytes(size)


def _prime(size: int, draw: random.Random) -> int:
    while True:
        candidate = draw.getrandbits(size) | 3 << size - 2 | 1
        is_prime = all(pow(base, candidate - 1, candidate) == 1 for base in (2, 3, 5, 7, 11))
        if is_prime and (candidate - 1) % 65537:
            return candidate


@cache
def small_rsa(size: int) -> SmallRsa:
    draw = random.Random(size)
    while True:
        p, q = _prime((size + 1) // 2, draw), _prime(size // 2, draw)
        if (p * q).bit_length() == size and p != q:
            return SmallRsa(p * q, 65537, pow(65537, -1, (p - 1) * (q - 1)))


@cache
def key(kind: str, number: int = 0) -> Any:
    """A private key of `kind`; equal arguments give one key within a run."""
    del number
    if kind in CURVES:
        return ec.generate_private_key(CURVES[kind])
    if kind == "ed25519":
        return ed25519.Ed25519PrivateKey.generate()
    if kind == "ed448":
        return ed448.Ed448PrivateKey.generate()
    if kind == "dsa":
        return dsa.generate_private_key(2048)
    size = int(kind.removeprefix("rsa"))
    return small_rsa(size) if size < 1024 else rsa.generate_private_key(65537, size)


def rsa_spki(modulus: int, exponent: int, parameters: bytes = _NULL) -> bytes:
    algorithm = seq(oid("1.2.840.113549.1.1.1"), parameters)
    return seq(algorithm, bits(seq(integer(modulus), integer(exponent))))


def spki(private: Any) -> bytes:
    if isinstance(private, SmallRsa):
        return rsa_spki(private.modulus, private.exponent)
    result: bytes = private.public_key().public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return result


def default_algorithm(private: Any) -> str:
    if isinstance(private, SmallRsa | rsa.RSAPrivateKey):
        return "rsa-sha256"
    if isinstance(private, ed25519.Ed25519PrivateKey):
        return "ed25519"
    if isinstance(private, ed448.Ed448PrivateKey):
        return "ed448"
    return "dsa-sha256" if isinstance(private, dsa.DSAPrivateKey) else "ecdsa-sha256"


def sign(private: Any, message: bytes, algorithm: str) -> bytes:
    digest = algorithm.rpartition("-")[2]
    chosen = getattr(hashes, digest.upper(), hashes.SHA256)()
    match private:
        case SmallRsa():
            return private.sign(message, digest if digest in _PREFIX else "sha256")
        case rsa.RSAPrivateKey():
            return _sign_rsa(private, message, algorithm)
        case ed25519.Ed25519PrivateKey() | ed448.Ed448PrivateKey():
            return private.sign(message)
        case dsa.DSAPrivateKey():
            return private.sign(message, hashes.SHA256())
        case _:
            result: bytes = private.sign(message, ec.ECDSA(chosen))
            return result


def _sign_rsa(private: rsa.RSAPrivateKey, message: bytes, algorithm: str) -> bytes:
    digest = algorithm.rpartition("-")[2]
    chosen = getattr(hashes, digest.upper(), hashes.SHA256)()
    if algorithm.startswith("pss"):
        return private.sign(message, padding.PSS(padding.MGF1(chosen), chosen.digest_size), chosen)
    if digest in {"sha256", "sha384", "sha512"}:
        return private.sign(message, padding.PKCS1v15(), chosen)
    numbers = private.private_numbers()
    by_hand = SmallRsa(numbers.public_numbers.n, 65537, numbers.d)
    return by_hand.sign(message, digest if digest in _PREFIX else "sha256")


def utc_time(text: str) -> bytes:
    return tlv(0x17, text.encode())


def generalized_time(text: str) -> bytes:
    return tlv(0x18, text.encode())


def at(moment: dt.datetime) -> bytes:
    if moment.year < 2050:
        return utc_time(moment.strftime("%y%m%d%H%M%SZ"))
    return generalized_time(moment.strftime("%Y%m%d%H%M%SZ"))


Extension = tuple[str, bool, bytes]


def extension(item: Extension) -> bytes:
    dotted, critical, value = item
    return seq(oid(dotted), *([boolean(True)] if critical else []), octets(value))


def basic(is_ca: bool = True, length: int | None = None, *, critical: bool = True) -> Extension:  # noqa: FBT002 - as in the extension
    parts = [boolean(True)] if is_ca else []
    return "2.5.29.19", critical, seq(*parts, *([] if length is None else [integer(length)]))


def usage(*numbers: int) -> Extension:
    """KeyUsage with these bits: 0 digitalSignature, 5 keyCertSign, 6 cRLSign."""
    value = sum(0x80 >> n for n in numbers)
    unused = 7 - max(numbers, default=7)
    return "2.5.29.15", True, bits(bytes([value]), unused) if numbers else bits(b"")


def extended(*dotted: str, critical: bool = False) -> Extension:
    return "2.5.29.37", critical, seq(*map(oid, dotted))


SERVER_AUTH, CLIENT_AUTH = "1.3.6.1.5.5.7.3.1", "1.3.6.1.5.5.7.3.2"
ANY_USAGE, ANY_POLICY = "2.5.29.37.0", "2.5.29.32.0"


def general(text: str) -> bytes:
    """One GeneralName: `dns:x`, `ip:1.2.3.4`, `net:10.0.0.0/8`, `mail:a@b`, `uri:...`, `dir:`."""
    kind, _, rest = text.partition(":")
    if kind == "ip":
        return context(7, ipaddress.ip_address(rest).packed)
    if kind == "net":
        network = ipaddress.ip_network(rest, strict=False)
        address = ipaddress.ip_interface(rest).ip.packed
        return context(7, address + network.netmask.packed)
    if kind == "dir":
        return context(4, common_name(rest), constructed=True)
    if kind == "other":
        return context(0, oid("1.2.3.4"), constructed=True)
    if kind == "rid":
        return context(8, oid_contents("1.2.3"))
    return context({"mail": 1, "dns": 2, "uri": 6}[kind], rest.encode("latin-1", "replace"))


def san(*names: str, critical: bool = False) -> Extension:
    return "2.5.29.17", critical, seq(*map(general, names))


def constraints(
    permitted: Sequence[str] = (), excluded: Sequence[str] = (), *, critical: bool = True
) -> Extension:
    parts = [
        context(number, b"".join(seq(general(n)) for n in names), constructed=True)
        for number, names in enumerate((permitted, excluded))
        if names
    ]
    return "2.5.29.30", critical, seq(*parts)


def policies(*dotted: str) -> Extension:
    return "2.5.29.32", False, seq(*(seq(oid(each)) for each in dotted))


def mappings(*pairs: tuple[str, str]) -> Extension:
    return "2.5.29.33", True, seq(*(seq(oid(a), oid(b)) for a, b in pairs))


def policy_constraints(require: int | None, inhibit: int | None) -> Extension:
    parts = [] if require is None else [integer(require, 0x80)]
    parts += [] if inhibit is None else [integer(inhibit, 0x81)]
    return "2.5.29.36", True, seq(*parts)


def inhibit_any(skip: int) -> Extension:
    return "2.5.29.54", True, integer(skip)


def key_id(private: Any) -> bytes:
    return hashlib.sha1(spki(private)).digest()  # noqa: S324 - an identifier, not a protection


def subject_id(value: bytes) -> Extension:
    return "2.5.29.14", False, octets(value)


def authority_id(value: bytes) -> Extension:
    return "2.5.29.35", False, seq(context(0, value))


@dataclass(kw_only=True)
class Odd:
    """One certificate to be; every element can be replaced by other octets."""

    subject: bytes = common_name("registry.local")
    issuer: bytes = common_name("Odd Root")
    key: Any = field(default_factory=lambda: key("p256"))
    signer: Any = field(default_factory=lambda: key("p256", 1))
    version: int | None = 2
    serial: bytes = integer(4711)
    not_before: bytes = at(NOW - dt.timedelta(days=10))
    not_after: bytes = at(NOW + dt.timedelta(days=100))
    extensions: tuple[Extension, ...] = ()
    raw_extensions: bytes | None = None
    algorithm: str = ""
    algorithm_der: bytes | None = None
    outer_algorithm: bytes | None = None
    spki: bytes | None = None
    signature: bytes | None = None
    unique_ids: bytes = b""
    trailing: bytes = b""

    def der(self) -> bytes:
        algorithm = self.algorithm or default_algorithm(self.signer)
        identifier = self.algorithm_der or ALGORITHMS[algorithm]
        version = (
            [] if self.version is None else [context(0, integer(self.version), constructed=True)]
        )
        raw = self.raw_extensions
        if raw is None and self.extensions:
            raw = seq(*map(extension, self.extensions))
        tbs = seq(
            *version,
            self.serial,
            identifier,
            self.issuer,
            seq(self.not_before, self.not_after),
            self.subject,
            self.spki or spki(self.key),
            self.unique_ids,
            b"" if raw is None else context(3, raw, constructed=True),
        )
        signature = self.signature
        if signature is None:
            signature = sign(self.signer, tbs, algorithm)
        return seq(tbs, self.outer_algorithm or identifier, bits(signature)) + self.trailing


def pem(ders: Iterable[bytes], label: str = "CERTIFICATE") -> bytes:
    import base64

    out = b""
    for der in ders:
        text = base64.encodebytes(der).replace(b"\n", b"")
        lines = b"\n".join(text[i : i + 64] for i in range(0, len(text), 64))
        out += b"-----BEGIN %s-----\n%s\n-----END %s-----\n" % (
            label.encode(), lines, label.encode()
        )  # fmt: skip
    return out
