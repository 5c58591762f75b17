"""Guide step 3: the CA is trusted where this node's pulls read it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

from gapcheck.counting import counted
from gapcheck.errors import NotApplicable
from gapcheck.fixtures import pki
from gapcheck.fixtures.effective import names_no_folder
from gapcheck.fixtures.gotls.verdict import GoVerdict
from gapcheck.fixtures.node_trust import NodeTrust, go_accepts, node_trust
from gapcheck.fixtures.trust_store import StoreFile, copies, family_of
from gapcheck.model import CheckId, Evidence, Finding, Scope, Severity
from gapcheck.registry import Judgement, Source, check
from gapcheck.view import NodeView

UNKNOWN_AUTHORITY = "x509: certificate signed by unknown authority"
_SETTINGS = ("RUN-CONF-001", "RUN-CONF-002", "RUN-REG-001", "RUN-HOSTS-001", "RUN-LOAD-001")


@check(
    "NODE-TRUST-001",
    scope=Scope.NODE,
    severity=Severity.CRITICAL,
    after=("CERT-FILE-001",),
    source=Source(step=3, fault=("N01", "N10", "C19", "C25")),
)
def registry_ca_is_trusted(view: NodeView) -> Judgement:
    """The registry's CA is in a store that this node's container runtime really reads.

    Either the operating system's store as the running daemon loaded it, or the per-registry
    folder that this runtime goes by, holds it; certificates are compared by SHA-256.
    """
    trust = node_trust(view)
    if trust.ca is None:
        yield from _by_go(view, trust)
        return
    if not trust.missing:
        yield from _where(trust)
        return
    verdict = go_accepts(view, trust)
    if verdict and verdict.ok:
        yield _by_another(view, trust, verdict)
        return
    if trust.gaps:
        raise trust.gaps[0]
    yield _untrusted(view, trust)


@check(
    "NODE-TRUST-006",
    scope=Scope.NODE,
    severity=Severity.INFO,
    after=("NODE-TRUST-001",),
    source=Source(step=3, fault=("N06",)),
    manual="One store is enough for pulls. Where curl, git or a push from this node needs the "
    "registry too, set policy.trust to both and repair again.",
)
def both_stores_hold_the_ca(view: NodeView) -> Judgement:
    """Both the operating system's store and the per-registry store hold the CA."""
    trust = _with_ca(view)
    if trust.effective is None and trust.gaps:
        raise trust.gaps[0]
    if trust.store_holds and not _bundle_holds(view, trust):
        yield Finding(
            problem="only Go programs find the registry's CA in the system store",
            evidence=tuple(_held_evidence(trust.store.files, trust)),
            consequence="curl, git and Python read the bundle alone and refuse the registry",
        )
    elif not trust.store_holds:
        yield Finding(
            problem="the registry's CA is in the per-registry store and not in the system store",
            evidence=tuple(_where(trust)),
            consequence="pulls work; curl, git and Python on this node refuse the registry",
        )
    elif trust.runtime and not trust.registry_holds:
        yield Finding(
            problem="the registry's CA is in the system store and not in a per-registry store",
            evidence=tuple(_where(trust)),
            consequence="the registry's CA may sign for any host that this node talks to, and "
            f"{trust.runtime.kind} must be restarted whenever it changes",
        )
    else:
        yield from _where(trust)


@check(
    "NODE-TRUST-007",
    scope=Scope.NODE,
    severity=Severity.MAJOR,
    after=("CERT-FILE-001",),
    source=Source(step=3, fault=("N05",)),
)
def daemon_loaded_the_store(view: NodeView) -> Judgement:
    """The container runtime was started after the system store got the registry's CA.

    Go loads the system's roots once per process and never again.
    """
    trust = _with_ca(view)
    unit = trust.runtime.unit if trust.runtime else None
    if not view.facts.running:
        raise NotApplicable("the root of an image runs no daemon")
    if trust.runtime is None:
        raise NotApplicable("no container runtime is on this node")
    if not trust.store_holds:
        raise NotApplicable("the system store does not hold the registry's CA")
    if unit is None:
        raise next(gap for gap in trust.gaps if gap.what.startswith("the start time"))
    if trust.ca is not None and trust.ca.fingerprints <= trust.loaded.fingerprints:
        yield Evidence("started", _moment(unit.started), unit.name)
        return
    held = [each for each in trust.store.files if each.fingerprints & _wanted(trust)]
    newest = max(held, key=lambda each: each.fact.mtime)
    yield Finding(
        problem=f"{trust.runtime.kind} was started before the system store got the registry's CA",
        evidence=(
            Evidence("started", _moment(unit.started), unit.name),
            Evidence("store changed", _moment(newest.fact.mtime), newest.path),
        ),
        consequence="no loss while the per-registry store holds the CA"
        if trust.registry_holds
        else f"pulls fail until a restart: {UNKNOWN_AUTHORITY}",
        remedy_hint=f"restart {unit.name}",
        severity=Severity.INFO if trust.registry_holds else None,
        locus=unit.name,
    )


def _by_go(view: NodeView, trust: NodeTrust) -> Judgement:
    """Without a CA file the node's own roots have to verify what the registry serves."""
    verdict = go_accepts(view, trust)
    if verdict and verdict.ok:
        yield Evidence("verified by", f"{counted(len(verdict.anchors), 'root')} of this node")
        return
    if trust.gaps:
        raise trust.gaps[0]
    if verdict is None:
        raise NotApplicable("the site file names no CA, and the registry served no chain")
    yield Finding(
        problem=f"this node's roots do not verify the registry: {verdict.error}",
        evidence=tuple(_stores(trust)),
        consequence=f"pulls fail: {verdict.error}",
        remedy_hint="name the registry's CA as registry.ca_file in the site file",
        because=(CheckId("REG-TLS-001"),),
        data={"reason": "no-ca-file"},
    )


def _untrusted(view: NodeView, trust: NodeTrust) -> Finding:
    assert trust.ca is not None
    found = copies(view, trust.missing)
    skips = trust.effective and trust.effective.skip_verify
    consequence = f"pulls from {view.site.registry.netloc} fail: {UNKNOWN_AUTHORITY}"
    if skips:
        consequence = f"pulls work only because nothing is verified ({skips})"
    return Finding(
        problem=f"the CA of {view.site.registry.netloc} is not trusted by this node",
        evidence=(
            *(Evidence("wanted", _named(der), trust.ca.path) for der in trust.ca.anchors),
            *_stores(trust),
            *(Evidence("copy not in effect", path) for path in found),
        ),
        consequence=consequence,
        remedy_hint="install the CA where the runtime reads it",
        because=tuple(CheckId(each) for each in _roots(view, trust, found)),
        data={"in_store": "yes" if trust.store_holds else "no"},
    )


def _roots(view: NodeView, trust: NodeTrust, found: tuple[str, ...]) -> Iterator[str]:
    """The checks whose defect keeps a copy that is there from having effect."""
    family = family_of(view.facts)
    folder = trust.effective.folder if trust.effective else None
    if trust.store_holds:
        yield "NODE-TRUST-007"
    if folder and (folder.fatal or folder.is_empty or (folder.hosts and folder.hosts.defect)):
        yield "RUN-HOSTS-001"
    if not found and trust.effective and names_no_folder(view, trust.effective):
        yield "RUN-REG-001"
    if family and any(family.takes(path) for path in found):
        yield "NODE-TRUST-003"
    if any(path.split("/")[-3:-2] == ["certs.d"] for path in found):
        yield from _SETTINGS
    if found:
        yield "NODE-TRUST-002"


def _by_another(view: NodeView, trust: NodeTrust, verdict: GoVerdict) -> Finding:
    """The node verifies the registry, and not by the CA of the site file."""
    assert trust.ca is not None
    leaf = view.chain(view.registry.tls.chain[:1])
    if set(leaf) & set(verdict.anchors):
        return _leaf_only(trust)
    path, roots = trust.ca.path, ", ".join(map(_named, verdict.anchors))
    its_leaf = set(leaf) & set(trust.ca.certificates)
    holds = "the registry's own certificate" if its_leaf else "another certificate"
    return Finding(
        problem=f"this node verifies the registry by {roots}; {path} holds {holds} instead",
        evidence=(
            *(Evidence("verified by", _named(der), "this node") for der in verdict.anchors),
            *(Evidence("given", _named(der), path) for der in trust.ca.anchors),
        ),
        consequence="pulls work; whoever is given that file is not given what this node trusts",
        remedy_hint=f"let registry.ca_file hold {roots}",
        severity=Severity.MINOR,
        data={"in_store": "no", "kind": "another-ca"},
    )


def _leaf_only(trust: NodeTrust) -> Finding:
    return Finding(
        problem="this node trusts the registry's own certificate and not the CA that signed it",
        evidence=tuple(_stores(trust)),
        consequence="Go clients pull until the certificate is renewed; curl and Python refuse "
        "the registry (unable to get local issuer certificate)",
        remedy_hint="install the CA itself",
        severity=Severity.MINOR,
        data={"in_store": "no"},
    )


def _with_ca(view: NodeView) -> NodeTrust:
    trust = node_trust(view)
    if trust.ca is None:
        raise NotApplicable("the site file names no registry.ca_file")
    return trust


def _wanted(trust: NodeTrust) -> frozenset[str]:
    return trust.ca.fingerprints if trust.ca else frozenset()


def _bundle_holds(view: NodeView, trust: NodeTrust) -> bool:
    """Whether programs that read the bundle alone find the CA."""
    family = family_of(view.facts)
    if family is None:
        return True
    paths = {family.bundle, "/etc/pki/tls/certs/ca-bundle.crt"} if family.der else {family.bundle}
    held = [each for each in trust.store.files if each.path in paths]
    return any(_wanted(trust) <= each.fingerprints for each in held)


def _where(trust: NodeTrust) -> Iterator[Evidence]:
    wanted = _wanted(trust)
    yield from _held_evidence(trust.loaded.files, trust)
    if trust.effective:
        folder = trust.effective.folder
        files = (*(folder.ca_files if folder else ()), *trust.effective.legacy)
        for each in files:
            if each.fingerprints & wanted:
                yield Evidence("held by", each.path, trust.effective.runtime.named)


def _held_evidence(files: tuple[StoreFile, ...], trust: NodeTrust) -> Iterator[Evidence]:
    for each in files:
        if each.fingerprints & _wanted(trust):
            yield Evidence("held by", each.path, "system store")


def _stores(trust: NodeTrust) -> Iterator[Evidence]:
    """What each store in use holds instead."""
    count = len(trust.loaded.fingerprints)
    files = ", ".join(each.path for each in trust.loaded.files[:2]) or "no file"
    if trust.runtime is None:
        yield Evidence("container runtime", "none on this node")
    unit = trust.runtime.unit if trust.runtime else None
    for name in ("SSL_CERT_FILE", "SSL_CERT_DIR"):
        if unit and name in unit.environment:
            yield Evidence(name, unit.environment[name], unit.name)
    yield Evidence("system store", counted(count, "root"), files)
    effective = trust.effective
    if effective is None:
        return
    if effective.fatal:
        yield Evidence("per-registry settings", effective.fatal, effective.runtime.named)
    elif effective.folder:
        count = len(effective.folder.fingerprints)
        yield Evidence("per-registry folder", counted(count, "CA"), effective.folder.path)
    elif effective.ignored_list:
        yield Evidence("per-registry folders", "ignored: a list of two", effective.ignored_list)
    else:
        yield Evidence("per-registry folder", "none", ", ".join(effective.roots) or "not set up")


def _named(der: bytes) -> str:
    try:
        return pki.read_certificate(der).named
    except ValueError:
        return f"SHA-256 {pki.fingerprint(der)}"


def _moment(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")
