"""What judging costs: verdicts a second and memory, for many equal nodes with 1 % of them bad."""

from __future__ import annotations

import resource
import sys
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

import msgspec
from support.certs import NOW
from support.healthy import healthy, site

from gapcheck.engine import Evaluation
from gapcheck.fixtures.fact_set import FactSet
from gapcheck.fixtures.facts import Unreadable
from gapcheck.model import SubjectId
from gapcheck.registry import catalogue


def many(count: int) -> tuple[Any, FactSet]:
    """The healthy site with `count` nodes; every hundredth has lost its hosts file."""
    _, facts = healthy()
    names = [f"n{number:05d}" for number in range(count)]
    of = site(nodes=[{"name": name, "target": f"ssh://root@{name}"} for name in names])
    one: Any = facts.by_subject[SubjectId("node/debian")]
    bad = msgspec.structs.replace(
        one, files={**one.files, "/etc/hosts": Unreadable("permission denied")}
    )
    nodes = {
        SubjectId(f"node/{name}"): bad if number % 100 == 0 else one
        for number, name in enumerate(names)
    }
    others = {s: f for s, f in facts.by_subject.items() if not s.startswith("node/")}
    return of, msgspec.structs.replace(facts, by_subject={**others, **nodes})


def main(count: int) -> None:
    of, facts = many(count)
    known = catalogue()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    start = time.perf_counter()
    verdicts = tuple(Evaluation(of, facts, known, now=NOW).all())
    seconds = time.perf_counter() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(
        f"judging: {len(verdicts)} verdicts of {count} nodes in {seconds:.1f} s,"
        f" {len(verdicts) / seconds / 1000:.0f}k a second, {(peak - before) / 1024:.0f} MB more,"
        f" {peak / 1024:.0f} MB in all"
    )


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 10_000)
