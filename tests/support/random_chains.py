"""Seeded random questions to a Go client: whole public key infrastructures, and mutations."""

# ruff: noqa: E501 - a case is one line of a table, however long

from __future__ import annotations

import datetime as dt
import random
from collections.abc import Iterator
from functools import cache
from typing import Any

from support.certs import NOW
from support.der import common_name, integer
from support.goclient import Question
from support.odd_certs import (
    ANY_POLICY,
    ANY_USAGE,
    CLIENT_AUTH,
    SERVER_AUTH,
    Extension,
    Odd,
    at,
    authority_id,
    basic,
    constraints,
    extended,
    inhibit_any,
    key,
    key_id,
    mappings,
    pem,
    policies,
    policy_constraints,
    san,
    subject_id,
    usage,
)

HOSTS = (
    "registry.local", "Registry.LOCAL", "registry.local.", "a.registry.local", "10.0.0.2",
    "fd00::2", "[fd00::2]", "xn--rgistry-bya.local", "under_score.local", "registry", "::ffff:10.0.0.2",
    "-registry.local", "registry.local..", "a.b.local", "10.0.0.02", "fe80::1%eth0", "régistry.local",
)  # fmt: skip
SAN_NAMES = (
    "dns:registry.local", "dns:*.local", "dns:*.registry.local", "dns:REGISTRY.local",
    "dns:registry.local.", "dns:*", "dns:r*.local", "dns:under_score.local", "dns:registry",
    "dns:xn--rgistry-bya.local", "dns:a.*.local", "dns:", "dns:10.0.0.2", "dns:*.b.local",
    "ip:10.0.0.2", "ip:fd00::2", "ip:127.0.0.1", "ip:::ffff:10.0.0.2", "mail:a@registry.local",
    "mail:b@example.com", "uri:https://registry.local/x", "uri:spiffe://registry.local/ns",
    "uri:https://10.0.0.2/", "uri:urn:x", "dir:x", "rid:x", "other:x", "dns:other.local",
    "dns:re gistry", "mail:\"q q\"@local", "dns:-registry.local", "dns:.local",
)  # fmt: skip
SUBTREES = (
    "dns:local", "dns:.local", "dns:registry.local", "dns:example.com", "dns:", "dns:LOCAL",
    "net:10.0.0.0/8", "net:10.0.0.2/32", "net:0.0.0.0/0", "net:fd00::/8", "net:127.0.0.0/8",
    "net:10.0.0.2/8", "mail:registry.local", "mail:a@registry.local", "mail:.local", "uri:local",
    "uri:.local", "uri:registry.local", "dir:x", "dns:a.registry.local", "dns:registry",
)  # fmt: skip
POLICIES = ("1.2.3.1", "1.2.3.2", "1.2.3.3", ANY_POLICY)
DAY = dt.timedelta(days=1)


@cache
def _keys() -> tuple[Any, ...]:
    return (*(key("p256", n) for n in range(5)), key("ed25519"), key("rsa2048"), key("p384"))


def _some(draw: random.Random, of: tuple[Any, ...], most: int = 3) -> list[Any]:
    return draw.sample(of, draw.randint(1, min(most, len(of))))


def _maybe(draw: random.Random, chance: float) -> bool:
    return draw.random() < chance


def _validity(draw: random.Random) -> tuple[bytes, bytes]:
    start, end = NOW - 10 * DAY, NOW + 100 * DAY
    if _maybe(draw, 0.03):
        end = draw.choice((NOW - DAY, NOW, NOW - dt.timedelta(seconds=1), start))
    if _maybe(draw, 0.02):
        start = draw.choice((NOW + DAY, NOW, NOW + dt.timedelta(seconds=1)))
    return at(start), at(end)


def _limits(draw: random.Random, *, is_leaf: bool) -> list[Extension]:
    """What a certificate forbids: usages, constraints, policies."""
    found: list[Extension] = []
    if _maybe(draw, 0.25):
        found.append(
            extended(*_some(draw, (SERVER_AUTH, CLIENT_AUTH, ANY_USAGE, "1.2.3.9", SERVER_AUTH)))
        )
    if _maybe(draw, 0.02 if is_leaf else 0.2):
        sides = [_some(draw, SUBTREES) if _maybe(draw, 0.75) else [] for _ in range(2)]
        found.append(constraints(*sides, critical=_maybe(draw, 0.8)))
    if _maybe(draw, 0.25):
        found.append(policies(*_some(draw, POLICIES)))
        if _maybe(draw, 0.2):
            found.append(mappings(*((draw.choice(POLICIES), draw.choice(POLICIES)) for _ in "ab")))
    if _maybe(draw, 0.06):
        found.append(policy_constraints(*(draw.choice((None, 0, 1, 2, -1)) for _ in range(2))))
    if _maybe(draw, 0.04):
        found.append(inhibit_any(draw.choice((0, 1, 2, -1))))
    if _maybe(draw, 0.02):
        found.append(("1.2.3.4.5", _maybe(draw, 0.5), b"\x05\x00"))
    return found


def _ids(draw: random.Random, own: Any, signer: Any) -> list[Extension]:
    found: list[Extension] = []
    if _maybe(draw, 0.6):
        found.append(subject_id(draw.choice((key_id(own), key_id(own), b"\x01\x02"))))
    if _maybe(draw, 0.6):
        found.append(authority_id(draw.choice((key_id(signer), key_id(signer), b"\x01\x02"))))
    return found


def _authority(draw: random.Random, names: list[str]) -> Odd:
    own, signer = draw.choice(_keys()), draw.choice(_keys())
    name, issuer = draw.choice(names), draw.choice(names)
    if _maybe(draw, 0.3):
        issuer, signer = name, own
    extensions = _ids(draw, own, signer)
    if _maybe(draw, 0.92):
        length = draw.choice((None, None, None, 0, 1, 2))
        extensions.append(basic(_maybe(draw, 0.95), length))
    if _maybe(draw, 0.5):
        extensions.append(usage(*draw.choice(((5, 6), (5,), (0, 5), (6,), (0,)))))
    extensions += _limits(draw, is_leaf=False)
    draw.shuffle(extensions)
    before, after = _validity(draw)
    return Odd(
        subject=common_name(name), issuer=common_name(issuer), key=own, signer=signer,
        serial=integer(draw.getrandbits(64)), not_before=before, not_after=after,
        version=None if _maybe(draw, 0.02) else 2,
        extensions=tuple(extensions),
    )  # fmt: skip


def _leaf(draw: random.Random, by: Odd) -> Odd:
    own = draw.choice(_keys())
    extensions = _ids(draw, own, by.key)
    if _maybe(draw, 0.9):
        names = _some(draw, SAN_NAMES, 5)
        if _maybe(draw, 0.85):
            names.append("dns:registry.local")
        extensions.append(san(*names, critical=_maybe(draw, 0.1)))
    if _maybe(draw, 0.4):
        extensions.append(basic(_maybe(draw, 0.2)))
    if _maybe(draw, 0.4):
        extensions.append(usage(*draw.choice(((0,), (0, 2), (5,)))))
    extensions += _limits(draw, is_leaf=True)
    before, after = _validity(draw)
    return Odd(
        subject=common_name(draw.choice(("registry.local", "*.local", "x", "", "10.0.0.2"))),
        issuer=by.subject, key=own, signer=by.key, not_before=before, not_after=after,
        extensions=tuple(extensions), version=None if _maybe(draw, 0.02) else 2,
    )  # fmt: skip


def infrastructure(seed: int) -> Question:
    """A few authorities that sign each other at random, a leaf, and an odd service of it all."""
    draw = random.Random(seed)
    names = [f"CA {n}" for n in range(draw.randint(1, 4))]
    authorities = [_authority(draw, names) for _ in range(draw.randint(1, 8))]
    leaf = _leaf(draw, draw.choice(authorities)).der()
    ders = [each.der() for each in authorities]
    roots = _some(draw, tuple(ders), 4)
    others = [der for der in ders if _maybe(draw, 0.8)]
    others += _some(draw, tuple(ders), 2) if _maybe(draw, 0.2) else []
    draw.shuffle(others)
    if _maybe(draw, 0.05):
        roots.append(leaf)
    if _maybe(draw, 0.05):
        others.append(leaf)
    host = "registry.local" if _maybe(draw, 0.85) else draw.choice(HOSTS)
    return Question(
        name=f"infrastructure {seed}", served=(leaf, *others), pool=pem(roots), host=host, now=NOW
    )


def mutated_der(seed: int, ders: tuple[bytes, ...]) -> Question:
    """One of `ders` with a few octets changed, as the served leaf and as the only root."""
    draw = random.Random(seed)
    der = bytearray(draw.choice(ders))
    for _ in range(draw.choice((1, 1, 1, 2, 3))):
        spot = draw.randrange(len(der))
        kind = draw.random()
        if kind < 0.6:
            der[spot] = draw.choice((draw.randrange(256), der[spot] ^ 1 << draw.randrange(8)))
        elif kind < 0.8:
            del der[spot]
        else:
            der.insert(spot, draw.randrange(256))
    changed = bytes(der)
    return Question(
        name=f"mutated {seed}: {changed.hex()}", served=(changed,), pool=pem([changed]),
        host="registry.local", now=NOW,
    )  # fmt: skip


def mutated_pem(seed: int, text: bytes, leaf: bytes) -> Question:
    """A CA file with a few octets, lines or blocks changed."""
    draw = random.Random(seed)
    data = bytearray(text)
    for _ in range(draw.randint(1, 3)):
        _damage(draw, data)
    if _maybe(draw, 0.2):
        data = bytearray(data.replace(b"\n", b"\r\n"))
    return Question(
        name=f"PEM {seed}", served=(leaf,), pool=bytes(data), host="registry.local", now=NOW
    )


def _damage(draw: random.Random, data: bytearray) -> None:
    """One change: an octet, a cut, an insertion, or something at the end of a line."""
    spot = draw.randrange(len(data))
    kind = draw.randrange(6)
    if kind == 0:
        data[spot] = draw.randrange(256)
    elif kind == 1:
        del data[spot : spot + draw.choice((1, 1, 2, 64, 500))]
    elif kind == 2:
        data[spot:spot] = draw.choice(
            (*_SNIPPETS, b"\n", b"\r\n", b" ", b"\t", b"-", b"\x00", b":")
        )
    else:
        line = data.find(b"\n" if kind != 5 else b"-----\n", spot)
        if kind == 3:
            data[line + 1 : line + 1] = draw.choice(_SNIPPETS)
        elif kind == 4:
            del data[line : line + 1]
        elif line >= 0:
            data[line + 5 : line + 5] = draw.choice((b" ", b"\t", b"x", b"-", b"\r"))


_SNIPPETS = (
    b"-----BEGIN CERTIFICATE-----\n", b"-----END CERTIFICATE-----\n", b"-----BEGIN ",
    b"-----END ", b"Proc-Type: 4,ENCRYPTED\n", b"key: value\n\n", b"\n\n", b"# comment\n",
    b"-----BEGIN TRUSTED CERTIFICATE-----\n", b"-----", b"\xef\xbb\xbf", b"=", b"====",
    b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
    b"-----BEGIN X-----\n-----END X-----\n", b"-----BEGIN -----\n-----END -----\n",
)  # fmt: skip


def every_kind(count: int, start: int = 0) -> Iterator[Question]:
    """`count` random infrastructures."""
    for seed in range(start, start + count):
        yield infrastructure(seed)
