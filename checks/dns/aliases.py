"""hostAliases of the release's pods."""

from __future__ import annotations

import re
from collections.abc import Iterator

from gapcheck.fixtures.hosts import normal_address
from gapcheck.fixtures.kube_facts import HostAlias, Workload
from gapcheck.fixtures.pod_names import aliases_of, registry_name
from gapcheck.fixtures.workload_images import refuse_partial, release_workloads
from gapcheck.model import Evidence, Finding, Scope, Severity
from gapcheck.registry import Judgement, Source, check
from gapcheck.view import ReleaseView

_SUBDOMAIN = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")


@check(
    "DNS-ALIAS-001",
    scope=Scope.RELEASE,
    severity=Severity.MAJOR,
    after=("SITE-CLUSTER-001",),
    source=Source(step=8, fault=("D11", "D16", "H09")),
)
def host_aliases_are_right(view: ReleaseView) -> Judgement:
    """Every hostAliases gives the registry its expected address alone, in the pod's own spec."""
    name = registry_name(view)
    workloads = release_workloads(view)
    for workload in workloads:
        found = aliases_of(workload, name)
        if found:
            addresses = ", ".join(each.ip for each in found)
            yield Evidence(f"{workload.kind} {workload.name}", addresses, workload.locus)
        yield from _stale(view, name, workload)
        yield from _misplaced(workload)
        yield from _refused(workload)
    yield from _apart(view, name, workloads)
    refuse_partial(view, "every hostAliases entry")


def _finding(
    workload: Workload, problem: str, consequence: str, hint: str, what: str, seen: str
) -> Finding:
    return Finding(
        problem=f"{workload.kind} {workload.name}: {problem}",
        evidence=(Evidence("hostAliases", seen, workload.locus),),
        consequence=consequence,
        remedy_hint=hint,
        locus=f"{workload.kind}/{workload.namespace}/{workload.name}",
        data={"what": what},
    )


def _listed(aliases: tuple[HostAlias, ...]) -> str:
    return "; ".join(f"{each.ip} {' '.join(each.hostnames)}" for each in aliases) or "none"


def _stale(view: ReleaseView, name: str, workload: Workload) -> Iterator[Finding]:
    expected = view.site.expected_address
    found = aliases_of(workload, name)
    addresses = list(dict.fromkeys(normal_address(each.ip) or each.ip for each in found))
    if expected is None and len(addresses) < 2:  # noqa: PLR2004 - one address agrees with itself
        return
    if addresses and addresses != [expected]:
        wanted = f"; {expected} is expected" if expected else ""
        yield _finding(
            workload,
            f"hostAliases give {name} {', '.join(addresses)}{wanted}",
            "the pod asks there before any DNS: i/o timeout, connection refused or a wrong "
            "certificate",
            "correct the address of the entry",
            "stale",
            _listed(workload.host_aliases),
        )


def _misplaced(workload: Workload) -> Iterator[Finding]:
    for container in workload.containers:
        if "hostAliases" in container.unknown_fields:
            yield _finding(
                workload,
                f"hostAliases stand inside the container {container.name}",
                "the API server drops them with a warning and exit code 0: "
                'unknown field "spec.template.spec.containers[0].hostAliases"',
                "move them to the level of containers",
                "misplaced",
                f"in container {container.name}",
            )


def _refused(workload: Workload) -> Iterator[Finding]:
    names = [host for alias in workload.host_aliases for host in alias.hostnames]
    bad = [host for host in names if not _SUBDOMAIN.fullmatch(host)]
    bad += [alias.ip for alias in workload.host_aliases if not normal_address(alias.ip)]
    if bad:
        yield _finding(
            workload,
            f"hostAliases hold {', '.join(map(repr, bad))}, which the API server refuses",
            "the whole object is refused: hostnames must be a lowercase RFC 1123 subdomain, ip a "
            "valid IP address; variables are not expanded in YAML",
            "write the name and the address out",
            "refused",
            _listed(workload.host_aliases),
        )


def _apart(view: ReleaseView, name: str, workloads: tuple[Workload, ...]) -> Iterator[Finding]:
    """With no expected address, workloads must at least agree with each other."""
    if view.site.expected_address is not None:
        return
    given = [(w, {each.ip for each in aliases_of(w, name)}) for w in workloads]
    given = [(workload, addresses) for workload, addresses in given if addresses]
    for workload, addresses in given[1:]:
        first, others = given[0]
        if addresses != others:
            yield _finding(
                workload,
                f"hostAliases give {name} {', '.join(sorted(addresses))}, and "
                f"{first.kind} {first.name} has {', '.join(sorted(others))}",
                "one of them talks to another machine",
                "set dns.expected in the site file, and correct the wrong one",
                "apart",
                _listed(workload.host_aliases),
            )
