"""Whether the served certificate is valid for the names that clients ask for."""

from __future__ import annotations

from collections.abc import Iterator

from gapcheck.errors import Unmeasured
from gapcheck.fixtures.gotls.hostname import hostname_error
from gapcheck.fixtures.pki import Cert
from gapcheck.fixtures.served import (
    go_leaf,
    images_unread,
    is_address,
    measured_at,
    names_in_use,
    served_leaf,
)
from gapcheck.model import CheckId, Evidence, Finding, Scope, Severity
from gapcheck.registry import Judgement, Source, check
from gapcheck.view import RegistryView

RESTART_PENDING = (CheckId("CERT-SERVED-001"),)
"""Where the file already holds another certificate, that is why the old one is still met."""


@check(
    "CERT-SAN-001",
    scope=Scope.REGISTRY,
    severity=Severity.CRITICAL,
    after=("CERT-SERVED-002",),
    source=Source(step=1, fault=("C01", "C02", "C03", "C04", "C15")),
)
def alternative_names_cover_every_name_in_use(view: RegistryView) -> Judgement:
    """The certificate's subject alternative name covers every name that image references use.

    Go reads no common name (since 1.15, without a way back since 1.17), so a certificate with
    a CN alone is refused by containerd, kubelet and docker, although curl and openssl accept
    it. An address must stand there as an address, not as a DNS name.
    """
    leaf, parsed = served_leaf(view), go_leaf(view)
    where = measured_at(view)
    shown = ", ".join((*leaf.dns_names, *leaf.addresses)) or "none"
    names = names_in_use(view)
    yield Evidence("names in use", ", ".join(names), "site file and image references")
    yield Evidence("subject alternative names", shown, where)
    for name in names:
        error = hostname_error(parsed, name)
        if error:
            yield _uncovered(leaf, name, error, where)
        else:
            yield from _wide_wildcard(leaf, name, where)
    unread = images_unread(view)
    if unread:
        raise Unmeasured("the names in image references", unread, view.subject)


def _uncovered(leaf: Cert, name: str, error: str, where: str) -> Finding:
    return Finding(
        problem=_problem(leaf, name),
        evidence=(
            Evidence("Go says", error, "rules of Go's VerifyHostname"),
            Evidence("subject alternative names", _shown(leaf), where),
            Evidence("common name", leaf.common_name or "none", where),
        ),
        consequence=f"pulls fail: tls: failed to verify certificate: {error}{_lenient(leaf, name)}",
        remedy_hint=f"issue a certificate whose subject alternative name holds {name}",
        locus=name,
        data={"name": name},
        because=RESTART_PENDING,
    )


def _problem(leaf: Cert, name: str) -> str:
    if not leaf.has_san:
        return f"the certificate has no subject alternative name, clients ask for {name}"
    if is_address(name) and name in leaf.dns_names:
        return f"the certificate holds the address {name} as a DNS name, not as an address"
    return f"the certificate is valid for {_shown(leaf)}, clients ask for {name}"


def _lenient(leaf: Cert, name: str) -> str:
    """Which clients accept the name nevertheless, and why that proves nothing."""
    if leaf.dns_names or leaf.common_name.lower() != name:
        return ""
    return "; openssl (and, without any alternative name, curl) accepts it by its common name"


def _shown(leaf: Cert) -> str:
    return ", ".join((*leaf.dns_names, *leaf.addresses)) or "no name"


def _wide_wildcard(leaf: Cert, name: str, where: str) -> Iterator[Finding]:
    """`*.local` is enough for Go; OpenSSL wants two labels right of the star."""
    if is_address(name) or name in (each.lower() for each in leaf.dns_names):
        return
    matching = [p for p in leaf.dns_names if p.startswith("*.") and _covers(p.lower(), name)]
    if not matching or any(pattern.count(".") > 1 for pattern in matching):
        return
    yield Finding(
        problem=f"{name} is covered only by the wildcard {matching[0]}, which OpenSSL refuses",
        evidence=(Evidence("subject alternative names", _shown(leaf), where),),
        consequence="Go clients accept it; curl, Python and openssl fail: hostname mismatch (62)",
        remedy_hint=f"issue a certificate that names {name} itself",
        locus=name,
        severity=Severity.MAJOR,
        data={"name": name},
        because=RESTART_PENDING,
    )


def _covers(pattern: str, name: str) -> bool:
    return name.partition(".")[2] == pattern.removeprefix("*.")


@check(
    "CERT-CN-001",
    scope=Scope.REGISTRY,
    severity=Severity.INFO,
    after=("CERT-SERVED-002",),
    source=Source(step=1),
    manual="nothing needs it: no Go client reads the common name. A certificate that is issued "
    "for another reason takes the registry's name as its common name.",
)
def common_name_is_the_registrys_name(view: RegistryView) -> Judgement:
    """The certificate's common name is the registry's name, as the guide asks."""
    leaf = served_leaf(view)
    host = view.site.registry.host
    seen = Evidence("common name", leaf.common_name or "none", measured_at(view))
    if leaf.common_name.lower() == host.lower():
        yield seen
        return
    yield Finding(
        problem=f"the common name is {leaf.common_name or 'empty'}, the registry's name is {host}",
        evidence=(seen,),
        consequence="none for Go clients, curl and Python, which read alternative names",
        remedy_hint="set it when the certificate is issued again",
    )
