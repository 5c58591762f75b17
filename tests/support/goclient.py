"""The real Go client: built once per state of its source, asked in batches or by a handshake."""

from __future__ import annotations

import base64
import datetime as dt
import hashlib
import json
import os
import subprocess
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from support.needs import program as needed

SOURCE = Path(__file__).parents[1] / "goclient"


@dataclass(frozen=True, kw_only=True)
class Question:
    """A served chain, a CA file's bytes, the name asked for ("" = none) and the time."""

    name: str
    served: tuple[bytes, ...]
    pool: bytes
    host: str
    now: dt.datetime


@dataclass(frozen=True, kw_only=True)
class Answer:
    ok: bool
    error: str
    loaded: int = 0


@cache
def program() -> Path:
    """The built program; skips the test where there is no Go, fails it under CI=1."""
    go = needed("go")
    files = [*sorted(SOURCE.glob("*.go")), SOURCE / "go.mod"]
    version = subprocess.run([go, "version"], capture_output=True, check=True).stdout
    digest = hashlib.sha256(version + b"".join(f.read_bytes() for f in files)).hexdigest()
    home = Path(tempfile.gettempdir()) / f"gapcheck-goclient-{os.getuid()}"
    home.mkdir(mode=0o700, exist_ok=True)
    built = home / digest[:16]
    if not built.exists():
        fresh = built.with_suffix(f".{os.getpid()}")
        subprocess.run([go, "build", "-o", str(fresh), "."], cwd=SOURCE, check=True, timeout=240)
        fresh.rename(built)
    return built


def ask(questions: Iterable[Question]) -> list[Answer]:
    """What Go says to each of `questions`, offline."""
    lines = "\n".join(
        json.dumps(
            {
                "Served": [base64.b64encode(der).decode() for der in q.served],
                "Pool": base64.b64encode(q.pool).decode(),
                "Host": q.host,
                "Now": q.now.isoformat(),
            }
        )
        for q in questions
    )
    ran = subprocess.run([program()], input=lines.encode(), capture_output=True, check=True)
    return [Answer(**json.loads(line)) for line in ran.stdout.splitlines()]


def dial(host: str, address: str, ca_file: Path, *, limit_s: float = 10) -> Answer:
    """What a real handshake with `address` (host:port) comes to."""
    arguments = [program(), host, address, str(ca_file), f"{limit_s}s"]
    ran = subprocess.run(arguments, capture_output=True, check=True, timeout=60)
    return Answer(**json.loads(ran.stdout))


def disagreements(questions: Sequence[Question]) -> list[str]:
    """One line for each question that Python and Go answer differently."""
    from gapcheck.fixtures.gotls.pool import parse_pool
    from gapcheck.fixtures.gotls.verdict import judge_chain

    found = []
    for question, go in zip(questions, ask(questions), strict=True):
        pool = parse_pool(question.pool)
        host = question.host or None
        ours = judge_chain(question.served, roots=pool, host=host, now=question.now)
        said = Answer(ok=ours.ok, error=ours.error, loaded=len(pool.certificates))
        if said != go:
            found.append(f"{question.name}:\n  go   {go}\n  ours {said}")
    return found
