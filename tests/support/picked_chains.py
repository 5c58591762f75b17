"""Questions to a Go client that somebody thought of: names, authorities, chains, times."""

# ruff: noqa: E501 - a shape is one line of a table, however long

from __future__ import annotations

import dataclasses
import datetime as dt
from collections.abc import Iterator

from support.certs import NOW
from support.der import (
    bits,
    common_name,
    integer,
    name,
    seq,
    tlv,
    utf8,
)
from support.goclient import Question  # noqa: TC002 - one rule for all modules
from support.odd_certs import (
    ANY_USAGE,
    CLIENT_AUTH,
    SERVER_AUTH,
    Odd,
    at,
    authority_id,
    basic,
    extended,
    generalized_time,
    key,
    key_id,
    san,
    subject_id,
    usage,
    utc_time,
)
from support.picked_encodings import encoding_shapes
from support.shapes import DAY, LEAF, ROOT, ROOT_KEY, ask, below, leaf, middle, root


def picked() -> list[Question]:
    """All of them; names are unique."""
    return [*_names(), *_authorities(), *_chains(), *_usages(), *_times(), *encoding_shapes()]


def _names() -> Iterator[Question]:
    sans: dict[str, tuple[str, ...] | None] = {
        "none": None, "empty": (), "right": ("dns:registry.local",), "other": ("dns:other.local",),
        "two others": ("dns:a.local", "dns:b.local"), "ip only": ("ip:10.0.0.2",),
        "ip as dns": ("dns:10.0.0.2",), "wildcard": ("dns:*.local",), "star": ("dns:*",),
        "inner star": ("dns:registry.*",), "partial star": ("dns:r*.local",),
        "double star": ("dns:*.*.local",), "upper": ("dns:REGISTRY.Local",),
        "final dot": ("dns:registry.local.",), "underscore": ("dns:under_score.local",),
        "idn": ("dns:xn--rgistry-bya.local",), "utf-8": ("dns:r\xe9gistry.local",),
        "space": ("dns:registry.local ",), "empty name": ("dns:",), "ip and other": ("dns:x", "ip:::1"),
        "ipv6": ("ip:fd00::2",), "mapped": ("ip:::ffff:10.0.0.2",), "mail": ("mail:a@registry.local",),
        "uri": ("uri:https://registry.local",), "dir": ("dir:registry.local",),
        "hundred": tuple(f"dns:h{n}.local" for n in range(100)),
        "hundred ip": tuple(f"ip:10.1.0.{n}" for n in range(100)),
        "long label": ("dns:" + "a" * 70 + ".local",), "nul": ("dns:registry.local\x00.x",),
    }  # fmt: skip
    hosts = (
        "registry.local", "REGISTRY.LOCAL", "registry.local.", "registry.local..", "10.0.0.2",
        "10.0.0.02", "[10.0.0.2]", "fd00::2", "[fd00::2]", "FD00:0::2", "::ffff:10.0.0.2",
        "fe80::1%eth0", "a.registry.local", "under_score.local", "xn--rgistry-bya.local",
        "r\xe9gistry.local", "registry", "*.local", "*", ".local", "-a.local", "a..local", " ",
        "registry.local:443", "a" * 70 + ".local", "1.2.3", "0x0a.0.0.2", "10.0.0.2.",
    )  # fmt: skip
    for shape, names in sans.items():
        extensions = () if names is None else (san(*names),)
        for cn in ("registry.local", "*.local", ""):
            one = leaf(subject=common_name(cn), extensions=extensions).der()
            for host in hosts if cn == "registry.local" else hosts[:5]:
                yield ask(f"san {shape}, cn {cn!r}, host {host!r}", one, host=host)
    yield ask("guide", root(subject=common_name("registry.local"),
              issuer=common_name("registry.local"), extensions=(basic(),)))  # fmt: skip
    bare = leaf(version=None, extensions=())
    yield ask("v1 leaf", bare)
    yield ask("v1 leaf trusted itself", bare, pool=[bare])
    yield ask("two names in cn", leaf(
        extensions=(), subject=name(("2.5.4.3", utf8("a")), ("2.5.4.3", utf8("registry.local")))
    ))  # fmt: skip


def _authorities() -> Iterator[Question]:
    shapes: dict[str, Odd] = {
        "no basic constraints": root(extensions=()),
        "not a ca": root(extensions=(basic(False),)),
        "v1": root(version=None, extensions=()), "v2": root(version=1, extensions=()),
        "v4": root(version=3), "v-1": root(version=-1),
        "no cert sign": root(extensions=(basic(), usage(0))),
        "cert sign only": root(extensions=(basic(), usage(5))),
        "empty key usage": root(extensions=(basic(), ("2.5.29.15", True, bits(b"")))),
        "zero key usage": root(extensions=(basic(), ("2.5.29.15", True, bits(b"\x00")))),
        "path length 0": root(extensions=(basic(length=0),)),
        "path length -1": root(extensions=(basic(length=-1),)),
        "path length without ca": root(extensions=(basic(False, 0),)),
        "expired": root(not_after=at(NOW - DAY)), "future": root(not_before=at(NOW + DAY)),
        "sha1 self": root(algorithm="ecdsa-sha1"), "broken self": root(signature=b"\x01\x02"),
        "other name": root(subject=common_name("odd root")),
        "same name other key": root(key=key("p256", 7)),
        "ed25519 key of that name": root(key=key("ed25519")),
        "rsa key of that name": root(key=key("rsa2048")),
        "p224 key of that name": root(key=key("p224")),
        "ed448 key of that name": root(key=key("ed448")), "dsa key of that name": root(key=key("dsa")),
        "critical unknown": root(extensions=(basic(), ("1.2.3.4", True, b""))),
        "server auth": root(extensions=(basic(), extended(SERVER_AUTH))),
        "client auth": root(extensions=(basic(), extended(CLIENT_AUTH))),
        "organization": root(subject=name(("2.5.4.10", utf8('An "Org"'))), key=key("p256", 7)),
        "no name at all": root(subject=seq(), key=key("p256", 7), serial=integer(123456789)),
        "odd cn": root(subject=common_name("Ca\u00e9\u200b\U0001f512\n\x07\u00ad"), key=key("p256", 7)),
    }  # fmt: skip
    for shape, one in shapes.items():
        yield ask(f"root {shape}", leaf(issuer=one.subject), pool=[one])
        yield ask(f"root {shape}, served too", leaf(issuer=one.subject), one, pool=[one])
        yield ask(f"root {shape}, beside the right one", leaf(), pool=[one, ROOT])
        own = dataclasses.replace(
            one, issuer=one.subject, signer=one.key,
            extensions=(*one.extensions, san("dns:registry.local")),
        )  # fmt: skip
        yield ask(f"itself {shape}", own, pool=[own])
        yield ask(f"itself {shape}, trusted with others", own, pool=[ROOT, own])
    yield ask("empty pool", leaf(), pool=[])
    yield ask("leaf in the pool", leaf(), pool=[leaf().der()])
    yield ask("no certificate served twice", leaf(), leaf())


def _chains() -> Iterator[Question]:
    one = middle()
    two = middle(1, issuer=one.subject, signer=one.key)
    end = below(two)
    orders = {"right": (one, two), "turned": (two, one), "lower only": (two,), "upper only": (one,),
              "twice": (two, two, one, one), "with root": (two, one, ROOT), "none": (),
              "with strangers": (middle(5), two, middle(6), one)}  # fmt: skip
    for shape, order in orders.items():
        yield ask(f"chain {shape}", end, *order)
        yield ask(f"chain {shape}, middle trusted", end, *order, pool=[one])
        yield ask(f"chain {shape}, lower trusted", end, *order, pool=[two])
    yield ask("middle first", two, end, one)
    for label, bad in {
        "not ca": middle(extensions=()), "ca false": middle(extensions=(basic(False),)),
        "v1": middle(version=None, extensions=()), "expired": middle(not_after=at(NOW - DAY)),
        "future": middle(not_before=at(NOW + DAY)), "client auth": middle(extensions=(basic(), extended(CLIENT_AUTH))),
        "any auth": middle(extensions=(basic(), extended(ANY_USAGE))),
        "no sign": middle(extensions=(basic(), usage(0))), "bad signature": middle(signature=b"x"),
        "sha1": middle(algorithm="ecdsa-sha1"), "critical": middle(extensions=(basic(), ("1.2.3.4", True, b"")))
    }.items():  # fmt: skip
        yield ask(f"middle {label}", below(bad), bad)
        yield ask(f"middle {label}, trusted", below(bad), bad, pool=[bad])
        yield ask(f"middle {label}, and a good twin", below(bad), bad, one)
        yield ask(f"good, and middle {label}", below(one), one, bad)
    for length in (0, 1, 2):
        high = root(extensions=(basic(length=length),))
        yield ask(f"root length {length}, two middles", end, two, one, pool=[high])
        yield ask(f"root length {length}, one middle", below(one), one, pool=[high])
        short = middle(extensions=(basic(length=length),))
        lower = middle(1, issuer=short.subject, signer=short.key)
        yield ask(f"middle length {length}", below(lower), lower, short)
    cross = root(issuer=common_name("Older Root"), signer=key("p256", 30))
    older = root(
        subject=common_name("Older Root"), issuer=common_name("Older Root"), key=key("p256", 30)
    )
    yield ask("cross-signed root", leaf(), cross, pool=[older])
    yield ask("cross-signed root, both trusted", leaf(), cross, pool=[older, ROOT])
    yield ask("cross-signed root, expired cross", leaf(), dataclasses.replace(cross, not_after=at(NOW - DAY)),
              pool=[older])  # fmt: skip
    loop_a = middle(2, issuer=common_name("Middle 3"), signer=key("p256", 23))
    loop_b = middle(3, issuer=common_name("Middle 2"), signer=key("p256", 22))
    yield ask("loop", below(loop_a), loop_a, loop_b)
    many = [middle(n % 3, serial=integer(n + 1), issuer=common_name(f"Middle {(n + 1) % 3}"),
                   signer=key("p256", 20 + (n + 1) % 3)) for n in range(60)]  # fmt: skip
    yield ask("a maze of middles", below(many[0]), *many)
    stale = [root(key=key("p256", 40 + n)) for n in range(110)]
    yield ask("110 stale roots of one name", leaf(), pool=[*stale, ROOT])
    yield ask("110 stale roots of one name, identified", leaf(
        extensions=(*LEAF.extensions, authority_id(key_id(ROOT_KEY)))
    ), pool=[*stale, root(extensions=(basic(), subject_id(key_id(ROOT_KEY))))])  # fmt: skip


def _usages() -> Iterator[Question]:
    lists = {"server": (SERVER_AUTH,), "client": (CLIENT_AUTH,), "both": (CLIENT_AUTH, SERVER_AUTH),
             "any": (ANY_USAGE,), "other": ("1.2.3",), "empty": (),
             "microsoft": ("1.3.6.1.4.1.311.10.3.3",), "netscape": ("2.16.840.1.113730.4.1",)}  # fmt: skip
    for outer, above in lists.items():
        mid = middle(extensions=(basic(), extended(*above)))
        for inner, held in lists.items():
            extensions = (*LEAF.extensions, extended(*held))
            yield ask(f"usage {inner} under {outer}", below(mid, extensions=extensions), mid)
    for number in range(9):
        value = ("2.5.29.15", True, bits(b"\x00\x80" if number == 8 else bytes([0x80 >> number])))
        yield ask(f"leaf key usage bit {number}", leaf(extensions=(*LEAF.extensions, value)))


def _times() -> Iterator[Question]:
    texts = (
        utc_time("260101000000Z"), utc_time("2601010000Z"), utc_time("260101000000+0000"),
        utc_time("260101000000+0100"), utc_time("260101000000-0730"), utc_time("2601010000+0100"),
        utc_time("260101000000"), utc_time("260101000060Z"), utc_time("260230000000Z"),
        utc_time("261301000000Z"), utc_time("260101240000Z"), utc_time("500101000000Z"),
        utc_time("490101000000Z"), utc_time("26010100000 Z"), utc_time("260101000000z"),
        utc_time("260101000000.5Z"), utc_time("0001010000Z"), utc_time("240229000000Z"),
        generalized_time("20260101000000Z"), generalized_time("99991231235959Z"),
        generalized_time("20260101000000.5Z"), generalized_time("20260101000000+0100"),
        generalized_time("00000101000000Z"), generalized_time("00010101000000Z"),
        generalized_time("202601010000Z"), generalized_time("20260101000000"),
        generalized_time("20260230000000Z"), generalized_time("19490101000000Z"),
        tlv(0x17, b""), tlv(0x13, b"260101000000Z"), tlv(0x17, b"\xff" * 13),
        generalized_time("21000101000000Z"), utc_time("260615120000Z"), utc_time("260615115959Z"),
    )  # fmt: skip
    for text in texts:
        yield ask(f"from {text!r}", leaf(not_before=text))
        yield ask(f"until {text!r}", leaf(not_after=text))
    for zone in (dt.UTC, dt.timezone(dt.timedelta(hours=5, minutes=30))):
        for step in (-1, 0, 1):
            moment = NOW.astimezone(zone) + dt.timedelta(seconds=step)
            yield ask(f"ends now, {step} s, {zone}", leaf(not_after=at(NOW)), now=moment)
            yield ask(f"begins now, {step} s, {zone}", leaf(not_before=at(NOW)), now=moment)
    fraction = NOW + dt.timedelta(milliseconds=500)
    yield ask("half a second late", leaf(not_after=at(NOW)), now=fraction)
    yield ask("turned validity", leaf(not_before=at(NOW + DAY), not_after=at(NOW - DAY)))
