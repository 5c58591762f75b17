"""CoreDNS's own configuration, and NodeLocal DNSCache in front of it."""

from __future__ import annotations

from gapcheck.counting import counted
from gapcheck.errors import NotApplicable, Unmeasured
from gapcheck.fixtures.caddyfile import CorefileError, parse
from gapcheck.fixtures.corefile import Answer, answer
from gapcheck.fixtures.corefile_problems import EXTERNAL, Problem, text_problems
from gapcheck.fixtures.facts import Present, Unreadable
from gapcheck.fixtures.pod_names import (
    TO_CORE_DNS,
    ClusterDns,
    Named,
    cluster_dns,
    registry_name,
    upstream,
)
from gapcheck.model import Evidence, Finding, Scope, Severity
from gapcheck.registry import Judgement, Source, check
from gapcheck.view import DnsView

_HINT = "one hosts block in a server block, with fallthrough on a line of its own"
_HINTS = {"unknown-plugin": "spell the plugin as the build in use knows it (`coredns -plugins`)"}


@check(
    "DNS-CORE-001",
    scope=Scope.DNS,
    severity=Severity.MAJOR,
    after=("SITE-CLUSTER-001",),
    source=Source(step=8, fault=("D05", "D06", "D15")),
)
def corefile_is_sound(view: DnsView) -> Judgement:
    """CoreDNS can start with its Corefile, and no hosts block of it shuts out other names."""
    texts = _texts(view)
    core = texts.core
    if core is None:
        reason = "no Corefile of CoreDNS was found"
        raise NotApplicable(reason)
    yield Evidence("Corefile", counted(len(texts.core_text.splitlines()), "line"), core.locus)
    for problem in text_problems(texts.core_text, texts.imports or None):
        if problem.kind == "unknown-plugin" and (known := _known_to_the_build(view, problem)):
            yield known
            continue
        yield Finding(
            problem=f"Corefile line {problem.line}: {problem.text}",
            evidence=(Evidence(f"line {problem.line}", problem.kind, core.locus), *_build(view)),
            consequence=problem.consequence,
            remedy_hint=_HINTS.get(problem.kind, _HINT),
            locus=f"ConfigMap/{core.namespace}/{core.name}/{core.key}:{problem.kind}",
            severity=Severity.MINOR if _only_warns(problem) else None,
            data={"kind": problem.kind},
        )


def _only_warns(problem: Problem) -> bool:
    """Whether CoreDNS goes on, or may well: a plugin that others publish may be built in."""
    return problem.kind == "hosts-line-ignored" or problem.name in EXTERNAL


def _known_to_the_build(view: DnsView, problem: Problem) -> Evidence | None:
    """Proof that the build which runs has the plugin; Unmeasured where nobody could look."""
    match view.dns.coredns_pods:
        case Present(value=pods) if pods.loaded:
            shown = f"started with this Corefile: {', '.join(pods.images)}"
            return Evidence(f"plugin {problem.name}", shown, f"line {problem.line}")
        case Unreadable(reason=reason) if not _only_warns(problem) and "meant?" not in problem.text:
            what = f"whether the CoreDNS in use has the plugin {problem.name}"
            raise Unmeasured(what, reason, "dns")
    return None


def _build(view: DnsView) -> tuple[Evidence, ...]:
    pods = view.dns.coredns_pods
    if not isinstance(pods, Present):
        return ()
    seen = f"{', '.join(pods.value.images)}: not ready, or older than the Corefile"
    return (Evidence("CoreDNS", seen, "pods of kube-system"),)


@check(
    "DNS-CORE-002",
    scope=Scope.DNS,
    severity=Severity.MAJOR,
    after=("DNS-CORE-001",),
    source=Source(step=8, fault=("D07",)),
)
def node_local_cache_knows_the_name(view: DnsView) -> Judgement:
    """Where pods ask NodeLocal DNSCache, it too has the registry's name, or asks CoreDNS for it."""
    name = registry_name(view)
    texts = _texts(view)
    local = texts.node_local
    if local is None:
        reason = "there is no NodeLocal DNSCache"
        raise NotApplicable(reason)
    if texts.core is None or texts.ask(name).kind not in ("hosts", "rewrite"):
        reason = f"CoreDNS itself holds no entry for {name} that could be passed by"
        raise NotApplicable(reason)
    try:
        found = answer(parse(texts.node_local_text), name)
    except CorefileError as bad:
        found = Answer(kind="servfail", line=bad.line, detail=bad.why)
    named = _behind(view, name, found)
    if named is None:
        yield Evidence("NodeLocal DNSCache", "asks CoreDNS for it", local.locus)
        return
    seen = Evidence("NodeLocal DNSCache", f"{named.by}: {_shown(named)}", local.locus)
    yield seen
    expected = view.site.expected_address
    if not named.addresses or (expected and set(named.addresses) != {expected}):
        yield Finding(
            problem=f"CoreDNS holds {name}, and NodeLocal DNSCache, which pods ask first, does "
            f"not: {_shown(named)}",
            evidence=(seen, Evidence("CoreDNS", "holds an entry", texts.core.locus)),
            consequence=f"lookup {name}: no such host, in every pod",
            remedy_hint="put the same hosts block into the config map node-local-dns",
            locus=f"ConfigMap/{local.namespace}/{local.name}/{local.key}",
        )


def _behind(view: DnsView, name: str, found: Answer) -> Named | None:
    """What NodeLocal gives by itself; None where it asks CoreDNS."""
    by = f"{found.kind} (line {found.line})"
    if found.kind == "hosts":
        return Named(addresses=found.addresses, by=by)
    if found.kind != "forward":
        return Named(addresses=(), by=f"{by} {found.detail}".strip())
    if found.upstreams == (TO_CORE_DNS,):
        return None
    return upstream(view, found.upstreams, name)


def _shown(named: Named) -> str:
    return ", ".join(named.addresses) or "no address"


def _texts(view: DnsView) -> ClusterDns:
    """The cluster's name service; NotApplicable where it is not part of the site."""
    if view.site.cluster is None:
        reason = "the site file names no cluster"
        raise NotApplicable(reason)
    if not view.site.dns.pods:
        reason = "dns.pods is false: pods need not resolve the registry"
        raise NotApplicable(reason)
    texts = cluster_dns(view)
    if texts is None:
        reason = "no config map of CoreDNS was found"
        raise NotApplicable(reason)
    return texts
