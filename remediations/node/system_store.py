"""The registry's CA in the system's trust store, as changes."""

from __future__ import annotations

from collections.abc import Iterator

from gapcheck.errors import CannotPlan
from gapcheck.fixtures import pki
from gapcheck.fixtures.node_trust import anchored, node_trust
from gapcheck.fixtures.registry_ca import RegistryCa
from gapcheck.fixtures.trust_store import Family, family_of, pem_block
from gapcheck.remediations.node.whole_files import refreshed, written
from gapcheck.remediations.plan import Change, RestartUnit
from gapcheck.view import NodeView


def system_store(view: NodeView, ca: RegistryCa) -> Iterator[Change]:
    """Anchors, a rebuild and a restart, as far as they are missing.

    Each certificate is a file of its own with its fingerprint in the name: the tools make
    hash links only for new names, and skip files with several certificates.
    """
    family = known_family(view)
    held = node_trust(view).store.fingerprints
    missing = [der for der in ca.certificates if pki.fingerprint(der) not in held]
    if not missing:
        return
    for der in missing:
        known = pki.fingerprint(der)
        if anchored(view, frozenset({known})):
            continue  # it is an anchor already: only the rebuild is missing
        path = f"{family.anchors}/gapcheck-{known[:8]}.crt"
        yield written(view, path, pem_block(der))
    yield from rebuild(view, family)


def known_family(view: NodeView) -> Family:
    """The distribution's family; raises CannotPlan for one whose store gapcheck does not know."""
    family = family_of(view.facts)
    if family is None:
        raise CannotPlan(
            "this distribution's trust store is not known: add the CA by its own means, or set "
            "policy.trust to registry"
        )
    return family


def rebuild(view: NodeView, family: Family) -> Iterator[Change]:
    """A rebuild of the store, and a restart where the runtime needs it to see the CA."""
    yield refreshed(view, family)
    trust = node_trust(view)
    unit = trust.runtime.unit if trust.runtime else None
    if view.facts.running and unit and not trust.registry_holds:
        yield RestartUnit(target=view.subject, unit=unit.name)
