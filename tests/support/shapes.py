"""The root, the leaf and the middles that picked shapes vary, and how one is asked for."""

from __future__ import annotations

import dataclasses
import datetime as dt
from typing import Any

from support.certs import NOW
from support.der import (
    common_name,
)
from support.goclient import Question
from support.odd_certs import (
    Odd,
    basic,
    key,
    pem,
    san,
    usage,
)

ROOT_KEY = key("p256", 1)
ROOT = Odd(
    subject=common_name("Odd Root"),
    key=ROOT_KEY,
    extensions=(basic(), usage(5, 6)),
)
LEAF = Odd(extensions=(san("dns:registry.local", "ip:10.0.0.2"),))
DAY = dt.timedelta(days=1)


def leaf(**changes: Any) -> Odd:
    return dataclasses.replace(LEAF, **changes)


def root(**changes: Any) -> Odd:
    return dataclasses.replace(ROOT, **changes)


def ask(name: str, *served: Odd | bytes, pool: Any = None, host: str = "registry.local",
        now: dt.datetime = NOW) -> Question:  # fmt: skip
    ders = tuple(each if isinstance(each, bytes) else each.der() for each in served)
    pool = [ROOT] if pool is None else pool
    if not isinstance(pool, bytes):
        pool = pem(each if isinstance(each, bytes) else each.der() for each in pool)
    return Question(name=name, served=ders, pool=pool, host=host, now=now)


def middle(number: int = 0, **changes: Any) -> Odd:
    made = Odd(
        subject=common_name(f"Middle {number}"), key=key("p256", 20 + number),
        extensions=(basic(), usage(5)),
    )  # fmt: skip
    return dataclasses.replace(made, **changes)


def below(parent: Odd, **changes: Any) -> Odd:
    return leaf(issuer=parent.subject, signer=parent.key, **changes)
