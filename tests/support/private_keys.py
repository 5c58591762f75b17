"""Private keys as PEM, made at test time and held by nobody else."""

from __future__ import annotations

import math
import random
from typing import Any

from cryptography.hazmat.primitives import serialization
from support.der import integer, octets, oid, seq
from support.odd_certs import SmallRsa, pem


def key_pem(private: Any) -> bytes:
    """PKCS 8, also of RSA keys that are too small for any library to write."""
    if isinstance(private, SmallRsa):
        algorithm = seq(oid("1.2.840.113549.1.1.1"), b"\x05\x00")
        return pem([seq(integer(0), algorithm, octets(_pkcs1(private)))], "PRIVATE KEY")
    written: bytes = private.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    return written


def _pkcs1(key: SmallRsa) -> bytes:
    p = _factor(key)
    q = key.modulus // p
    return seq(
        integer(0), integer(key.modulus), integer(key.exponent), integer(key.private),
        integer(p), integer(q), integer(key.private % (p - 1)), integer(key.private % (q - 1)),
        integer(pow(q, -1, p)),
    )  # fmt: skip


def _factor(key: SmallRsa) -> int:
    """A prime factor of the modulus, from both exponents."""
    odd = key.private * key.exponent - 1
    twos = (odd & -odd).bit_length() - 1
    odd >>= twos
    draw = random.Random(1)
    while True:
        root = pow(draw.randrange(2, key.modulus - 1), odd, key.modulus)
        for _ in range(twos):
            square = pow(root, 2, key.modulus)
            if square == 1 and root not in (1, key.modulus - 1):
                return math.gcd(root - 1, key.modulus)
            root = square
