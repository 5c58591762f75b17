"""The registry's name on a node: what its resolver answers, and what its hosts file says."""

from __future__ import annotations

from collections.abc import Iterator

from gapcheck.errors import Unmeasured
from gapcheck.fixtures.facts import Present, measured
from gapcheck.fixtures.hosts import HostsFile, HostsLine, normal_address, same_family
from gapcheck.fixtures.node_names import HOSTS, NSSWITCH, dns_alone, hosts_file, lookup_order
from gapcheck.fixtures.pod_names import registry_name
from gapcheck.model import DNS, Evidence, Finding, Scope, Severity
from gapcheck.registry import Judgement, Source, check
from gapcheck.view import NodeView

_INTERMITTENT = (
    "containerd and kubelet try them in turn: connection refused, no route to host or a wrong "
    "certificate, now and then"
)


@check(
    "DNS-HOSTS-001",
    scope=Scope.NODE,
    severity=Severity.MAJOR,
    source=Source(step=8, fault=("D02", "H09")),
)
def hosts_file_is_unambiguous(view: NodeView) -> Judgement:
    """The node's hosts file has no conflicting, repeated or empty entry for the registry."""
    name = registry_name(view)
    file = hosts_file(view)
    lines = file.of(name)
    yield Evidence(name, ", ".join(file.addresses(name)) or "no entry", HOSTS)
    yield from _conflict(name, file)
    repeated = [line for line in lines if sum(e.address == line.address for e in lines) > 1]
    if repeated:
        yield Finding(
            problem=f"{HOSTS} gives {name} the address {repeated[0].address} on {len(repeated)} "
            f"lines ({_numbers(repeated)})",
            evidence=_shown(repeated),
            consequence="none today; after a change of address one of them stays behind",
            remedy_hint="keep one entry",
            locus=HOSTS,
            severity=Severity.MINOR,
        )
    empty = [line for line in file.nameless() if _is_ours(view, line)]
    if empty:
        works = bool(lines) or _resolves(view, name)
        yield Finding(
            problem=f"{HOSTS} has the address {empty[0].address} with no name behind it "
            f"(line {_numbers(empty)}): the variable for the name was empty",
            evidence=_shown(empty),
            consequence="the line is skipped in silence"
            if works
            else f"lookup {name}: no such host",
            remedy_hint=f"write {empty[0].address} {name}",
            locus=HOSTS,
            severity=Severity.MINOR if works else None,
        )


def _conflict(name: str, file: HostsFile) -> Iterator[Finding]:
    addresses = file.addresses(name)
    if any(same_family(one, other) for one in addresses for other in addresses if one != other):
        yield Finding(
            problem=f"{HOSTS} gives {name} {len(addresses)} addresses: {', '.join(addresses)}",
            evidence=_shown(file.of(name)),
            consequence=_INTERMITTENT,
            remedy_hint="keep the entry of the registry's address alone",
            locus=HOSTS,
        )


def _is_ours(view: NodeView, line: HostsLine) -> bool:
    """Whether a line without a name was meant for the registry, as far as an address tells."""
    expected = view.site.expected_address
    return not line.managed and (expected is None or line.address == expected)


def _resolves(view: NodeView, name: str) -> bool:
    observed = view.facts.resolver.get(name)
    return isinstance(observed, Present) and bool(observed.value)


def _shown(lines: tuple[HostsLine, ...] | list[HostsLine]) -> tuple[Evidence, ...]:
    return tuple(Evidence(f"line {each.number}", each.text.strip(), HOSTS) for each in lines)


def _numbers(lines: list[HostsLine]) -> str:
    return ", ".join(str(each.number) for each in lines)


@check(
    "DNS-NODE-001",
    scope=Scope.NODE,
    severity=Severity.CRITICAL,
    after=("DNS-HOSTS-001",),
    source=Source(step=8, fault=("D01", "D03", "D09", "D10")),
)
def node_resolves_the_registry(view: NodeView) -> Judgement:
    """The node resolves the registry's name to the expected address and to no other.

    An image that is not running has no resolver: there its hosts file is judged, and the
    site's resolvers for what it leaves open.
    """
    name = registry_name(view)
    if not view.facts.running:
        yield from _image(view, name)
        return
    observed = view.facts.resolver.get(name)
    if observed is None:
        raise Unmeasured(f"what the node answers for {name}", "it was not asked", view.subject)
    found = measured(observed, f"what the node answers for {name}", view.subject) or ()
    addresses = tuple(dict.fromkeys(normal_address(each) or each for each in found))
    seen = Evidence(f"lookup {name}", ", ".join(addresses) or "no address", "getent ahosts")
    yield seen
    yield from _answer(view, name, addresses, (seen, *_sources(view, name)))


def _answer(
    view: NodeView, name: str, addresses: tuple[str, ...], evidence: tuple[Evidence, ...]
) -> Iterator[Finding]:
    expected = view.site.expected_address
    if not addresses:
        yield Finding(
            problem=f"{name} has no address on this node",
            evidence=evidence,
            consequence=f"every pull from the registry fails: lookup {name}: no such host",
            remedy_hint="hold the name in the node's hosts file, or add a DNS record",
            locus=name,
        )
        return
    if expected is None:
        return
    others = [each for each in addresses if each != expected]
    if expected not in addresses or any(same_family(each, expected) for each in others):
        yield Finding(
            problem=f"{name} is {', '.join(addresses)} on this node; {expected} is expected",
            evidence=evidence,
            consequence=_INTERMITTENT
            if expected in addresses
            else "containerd and kubelet talk to another machine: connection refused, "
            "i/o timeout or a wrong certificate",
            remedy_hint=_hint(view),
            locus=name,
        )
    elif others:
        yield Finding(
            problem=f"{name} is also {', '.join(others)} on this node; the site file names "
            f"{expected} alone",
            evidence=evidence,
            consequence="clients that prefer that address family go there first",
            remedy_hint="see that the registry listens there too",
            locus=name,
            severity=Severity.MINOR,
        )


def _hint(view: NodeView) -> str:
    try:
        dns_wins = lookup_order(view).dns_wins
    except Unmeasured:
        dns_wins = False  # a hint only; what was not read is told as evidence
    if dns_wins:
        return f"let files come before dns in {NSSWITCH}"
    return "correct the entry in the hosts file or the DNS record"


def _sources(view: NodeView, name: str) -> Iterator[Evidence]:
    """What the sources of the answer say, as far as they were read."""
    try:
        yield Evidence("hosts file", ", ".join(hosts_file(view).addresses(name)) or "none", HOSTS)
        order = lookup_order(view)
        yield Evidence("lookup order", " ".join(order.sources) or "none", NSSWITCH)
    except Unmeasured as gap:
        yield Evidence("not read", str(gap))
        return
    alone = dns_alone(view.facts, name)
    if alone is not None:
        yield Evidence("DNS alone", ", ".join(alone) or "no address", "getent -s dns")
    if order.uses_mdns and name.endswith(".local"):
        text = "multicast DNS is asked first for .local (RFC 6762)"
        yield Evidence("mdns", text, NSSWITCH)


def _image(view: NodeView, name: str) -> Judgement:
    """Judge the root of an image by its hosts file, and by the site's resolvers."""
    addresses = hosts_file(view).addresses(name)
    seen = Evidence(name, ", ".join(addresses) or "no entry", f"{HOSTS} of the image")
    order = lookup_order(view)
    if addresses and not order.reads_hosts_file:
        yield Evidence("lookup order", " ".join(order.sources), NSSWITCH)
        addresses = ()  # an entry that nothing reads is none
    yield seen
    if addresses:
        yield from _answer(view, name, addresses, (seen,))
        return
    resolvers = view.dns.resolvers if view.has(DNS) else {}
    answers = [
        (resolver, measured(observed, f"what {resolver} answers for {name}", "dns") or ())
        for resolver, observed in resolvers.items()
    ]
    for resolver, found in answers:
        yield Evidence(f"resolver {resolver}", ", ".join(found) or "no address")
    if not answers or any(not found for _, found in answers):
        yield from _answer(view, name, (), (seen,))
