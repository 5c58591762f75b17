"""Guide step 3, ahead of time: the CA of tomorrow stands beside the one of today."""

from __future__ import annotations

from collections.abc import Sequence

from gapcheck.errors import NotApplicable
from gapcheck.fixtures.node_trust import NodeTrust, node_trust
from gapcheck.fixtures.pki import Cert
from gapcheck.model import Evidence, Finding, Scope, Severity
from gapcheck.registry import Judgement, Source, check
from gapcheck.view import NodeView


@check(
    "NODE-TRUST-008",
    scope=Scope.NODE,
    severity=Severity.MINOR,
    after=("NODE-TRUST-001",),
    source=Source(step=3),
)
def ca_to_come_is_here(view: NodeView) -> Judgement:
    """Every CA of the site's CA file stands where today's CA stands on this node.

    A CA that does not sign what the registry serves yet is missed by nobody until the
    certificate is exchanged, and then by every pull.
    """
    trust = node_trust(view)
    if trust.ca is None:
        raise NotApplicable("the site file names no registry.ca_file")
    if not trust.ca.to_come:
        raise NotApplicable(f"{trust.ca.path} gives no CA beside the one in use")
    held = trust.by_registry | trust.loaded.fingerprints
    nowhere = [each for each in trust.ca.to_come if each.fingerprint not in held]
    if nowhere and trust.gaps:
        raise trust.gaps[0]
    if nowhere:
        yield _absent(view, trust, nowhere)
        return
    for place, wanted, found in _places(trust):
        lacking = [each for each in trust.ca.to_come if each.fingerprint not in found]
        if wanted and lacking:
            yield _absent_there(trust, lacking, place)
        elif wanted:
            yield Evidence("holds every CA of the file", place)


def _places(trust: NodeTrust) -> Sequence[tuple[str, bool, frozenset[str]]]:
    """Each store: its name, whether it holds today's CA, and all that it holds."""
    assert trust.ca is not None
    return [
        (name, trust.ca.fingerprints <= found, found)
        for name, found in (
            ("the system store", trust.store.fingerprints),
            ("the per-registry store", trust.by_registry),
        )
    ]


def _absent(view: NodeView, trust: NodeTrust, lacking: Sequence[Cert]) -> Finding:
    assert trust.ca is not None
    unread = all(each.fingerprint in trust.store.fingerprints for each in lacking)
    where = "was not loaded by the running daemon" if unread else "is in no store of this node"
    return Finding(
        problem=f"{_names(lacking)}, which {trust.ca.path} gives beside today's CA, {where}",
        evidence=tuple(_lives(lacking, trust.ca.path)),
        consequence=f"pulls work until {view.site.registry.netloc} serves a certificate of that "
        "CA, and then fail: x509: certificate signed by unknown authority",
        remedy_hint="spread it before the certificate is exchanged; a former CA is taken out of "
        f"{trust.ca.path} instead",
        data={"lacking": "everywhere"},
    )


def _absent_there(trust: NodeTrust, lacking: Sequence[Cert], place: str) -> Finding:
    assert trust.ca is not None
    return Finding(
        problem=f"{_names(lacking)}, which {trust.ca.path} gives beside today's CA, is not in "
        f"{place}, where today's is",
        evidence=tuple(_lives(lacking, trust.ca.path)),
        consequence="pulls go on by the other store; programs that read this one alone refuse "
        "the registry once its certificate is exchanged",
        remedy_hint="spread it to both",
        locus=place,
        severity=Severity.INFO,
        data={"lacking": place},
    )


def _names(lacking: Sequence[Cert]) -> str:
    return " and ".join(each.named for each in lacking)


def _lives(lacking: Sequence[Cert], path: str) -> Sequence[Evidence]:
    return [
        Evidence("valid", f"{each.not_before:%Y-%m-%d} to {each.not_after:%Y-%m-%d}", path)
        for each in lacking
    ]
