"""Guide step 3: the CA's files lie where the distribution's own tool takes them."""

from __future__ import annotations

from gapcheck.counting import counted
from gapcheck.errors import NotApplicable
from gapcheck.fixtures import pki
from gapcheck.fixtures.facts import NodeFacts
from gapcheck.fixtures.node_files import content_at, file_at
from gapcheck.fixtures.node_trust import anchored, is_trusted, misplaced, node_trust
from gapcheck.fixtures.registry_ca import RegistryCa, registry_ca
from gapcheck.fixtures.trust_store import Family, blocked, family_of
from gapcheck.model import Evidence, Finding, Scope, Severity
from gapcheck.registry import Judgement, Source, check
from gapcheck.view import NodeView


@check(
    "NODE-TRUST-002",
    scope=Scope.NODE,
    severity=Severity.MAJOR,
    after=("CERT-FILE-001",),
    source=Source(step=3, fault=("N02", "N03", "H09")),
)
def anchors_lie_where_something_reads_them(view: NodeView) -> Judgement:
    """Every copy of the registry's CA lies where some program looks for it."""
    ca = _ca(view)
    family = family_of(view.facts)
    trusted = is_trusted(view)
    for path in misplaced(view, _all(view, ca)):
        yield Finding(
            problem=f"{path} holds the registry's CA and nothing reads it there",
            evidence=(Evidence("file", path), Evidence("distribution", _name(family))),
            consequence="it is mistaken for trust: nothing trusts the CA by this file",
            remedy_hint=f"anchors go to {family.anchors}/*{family.suffix}" if family else "",
            locus=path,
            severity=Severity.MINOR if trusted else None,
            data={"path": path},
        )


@check(
    "NODE-TRUST-003",
    scope=Scope.NODE,
    severity=Severity.MAJOR,
    after=("CERT-FILE-001",),
    source=Source(step=3, fault=("N04",)),
)
def anchors_are_in_the_bundle(view: NodeView) -> Judgement:
    """The bundle was rebuilt after the registry's CA was put among the anchors.

    A blocklist of the distribution takes a certificate out again, whatever the anchors hold.
    """
    ca = _ca(view)
    facts: NodeFacts = view.facts
    family = family_of(facts)
    if family is None:
        raise NotApplicable("this distribution's trust store is not known")
    paths = anchored(view, ca.fingerprints)
    if not paths:
        raise NotApplicable(f"{family.anchors} holds no copy of the registry's CA")
    out = blocked(view, family, ca.fingerprints)
    for path, _ in out:
        yield _blocked(view, path, family)
    if out:
        return
    bundle = content_at(view, facts, family.bundle)
    held = pki.fingerprints(bundle) if bundle is not None else frozenset()
    trusted = is_trusted(view)
    for path in paths:
        file = file_at(facts, path)
        wanted = pki.fingerprints(view.content(file)) & ca.fingerprints if file else frozenset()
        if wanted <= held:
            yield Evidence("anchor in the bundle", path, family.bundle)
            continue
        yield Finding(
            problem=f"{path} is an anchor and is not in {family.bundle}",
            evidence=(Evidence("bundle", counted(len(held), "root"), family.bundle),),
            consequence="clients of the system store refuse the registry: "
            "x509: certificate signed by unknown authority",
            remedy_hint="rebuild the trust store",
            locus=path,
            severity=Severity.MINOR if trusted else None,
            data={"path": path, "kind": "not-rebuilt"},
        )


def _blocked(view: NodeView, path: str, family: Family) -> Finding:
    return Finding(
        problem=f"{path} takes the registry's CA out of {family.bundle}, although it is an anchor",
        evidence=(Evidence("distrusted by", path), Evidence("anchors", family.anchors)),
        consequence="from the next rebuild of the store on, clients of it refuse the registry: "
        "x509: certificate signed by unknown authority",
        remedy_hint="take it out of the blocklist if it is trusted again, then rebuild the store",
        locus=path,
        severity=Severity.MINOR if node_trust(view).registry_holds else None,
        data={"path": path, "kind": "blocked"},
    )


def _ca(view: NodeView) -> RegistryCa:
    ca = registry_ca(view)
    if ca is None:
        raise NotApplicable("the site file names no registry.ca_file")
    return ca


def _all(view: NodeView, ca: RegistryCa) -> frozenset[str]:
    """The CA file's certificates, and what the registry serves."""
    served = view.registry.tls.chain if view.has_registry else ()
    ders = (*ca.certificates, *view.chain(served))
    return frozenset(pki.fingerprint(der) for der in ders)


def _name(family: Family | None) -> str:
    return f"{family.name} family" if family else "not known"
