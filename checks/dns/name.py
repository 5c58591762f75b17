"""The registry's name as this machine and the site's resolvers answer it."""

from __future__ import annotations

from collections.abc import Iterator

from gapcheck.errors import Unmeasured
from gapcheck.fixtures.facts import Observed, measured
from gapcheck.fixtures.hosts import normal_address
from gapcheck.fixtures.pod_names import registry_name
from gapcheck.model import Evidence, Finding, Scope, Severity
from gapcheck.registry import Judgement, Source, check
from gapcheck.view import DnsView

_HERE = "this machine"


@check(
    "DNS-NAME-001",
    scope=Scope.DNS,
    severity=Severity.MAJOR,
    source=Source(step=8, fault=("D01", "D03", "D14")),
    manual="a DNS zone belongs to whoever runs it: add or correct the record of the registry there",
)
def name_is_answered_alike(view: DnsView) -> Judgement:
    """This machine and the site's resolvers answer the registry's name with its address alone.

    Where registry.address is set, nothing here is dialled by the name, so this machine's
    own answer is only told.
    """
    name = registry_name(view)
    facts = view.facts
    gaps: list[Unmeasured] = []
    seen: dict[str, tuple[str, ...]] = {}
    for who, observed in ((_HERE, facts.controller), *facts.resolvers.items()):
        try:
            seen[who] = _addresses(observed, name, who)
        except Unmeasured as gap:
            if who != _HERE or view.site.registry.address is None:
                gaps.append(gap)
            else:
                yield Evidence(who, str(gap))
    for who, addresses in seen.items():
        yield Evidence(who, ", ".join(addresses) or "no address", f"lookup {name}")
        yield from _judge(view, name, who, addresses)
    yield from _disagreement(view, name, seen)
    if gaps:
        raise gaps[0]


def _addresses(observed: Observed[tuple[str, ...]], name: str, who: str) -> tuple[str, ...]:
    found = measured(observed, f"what {who} answers for {name}", "dns") or ()
    return tuple(dict.fromkeys(normal_address(each) or each for each in found))


def _judge(view: DnsView, name: str, who: str, addresses: tuple[str, ...]) -> Iterator[Finding]:
    expected = view.site.expected_address
    told_only = who == _HERE and view.site.registry.address is not None
    if not addresses:
        if not told_only:
            yield _finding(name, who, f"{who} has no address for {name}", addresses)
    elif expected is not None and set(addresses) != {expected}:
        answer = ", ".join(addresses)
        problem = f"{who} answers {answer} for {name}; {expected} is expected"
        yield _finding(name, who, problem, addresses, Severity.INFO if told_only else None)


def _disagreement(view: DnsView, name: str, seen: dict[str, tuple[str, ...]]) -> Iterator[Finding]:
    """With no expected address, that all answer alike is all that can be asked."""
    answers = {frozenset(each) for each in seen.values() if each}
    if view.site.expected_address is None and len(answers) > 1:
        first, *others = [each for each in seen if seen[each]]
        other = next(each for each in others if set(seen[each]) != set(seen[first]))
        yield _finding(
            name,
            other,
            f"{other} answers {', '.join(seen[other])} for {name}, and {first} answers "
            f"{', '.join(seen[first])}",
            seen[other],
        )


def _finding(
    name: str,
    who: str,
    problem: str,
    addresses: tuple[str, ...],
    severity: Severity | None = None,
) -> Finding:
    return Finding(
        problem=problem,
        evidence=(Evidence(f"lookup {name}", ", ".join(addresses) or "no address", who),),
        consequence=f"lookup {name}: no such host"
        if not addresses
        else "clients that ask there talk to another machine: refused, no route, or a wrong "
        "certificate",
        remedy_hint="correct the record, or dns.expected in the site file",
        locus=who,
        severity=severity,
    )
