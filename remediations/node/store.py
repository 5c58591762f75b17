"""Repairs of guide step 3: stale, broken and leaking files in the trust places."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

from gapcheck.counting import counted
from gapcheck.errors import CannotPlan
from gapcheck.fixtures import pki
from gapcheck.fixtures.facts import FileFact, NodeFacts
from gapcheck.fixtures.node_files import file_at
from gapcheck.fixtures.node_trust import node_trust
from gapcheck.fixtures.trust_store import ANCHOR_FOLDERS, pem_block
from gapcheck.model import Finding, Risk
from gapcheck.registry import remedy
from gapcheck.remediations.node.system_store import known_family
from gapcheck.remediations.node.whole_files import refreshed, removed, written
from gapcheck.remediations.plan import Change, RemoveFile
from gapcheck.remediations.runtime.settle import settle, site_ca
from gapcheck.view import NodeView


@remedy("NODE-TRUST-004", risk=Risk.OUTAGE, withdraws=True)
def plan_removal_of_stale(finding: Finding, view: NodeView) -> Iterator[Change]:
    """Remove the old CA, once the new one has been here for policy.ca_overlap_days.

    Its own anchor file goes; the registry's ca.crt is written with the site's CA alone.
    """
    path = finding.data["path"]
    trust = node_trust(view)
    if trust.ca is None or trust.missing:
        raise CannotPlan("the new CA is not trusted here yet; the old one stays until it is")
    days = view.site.policy.ca_overlap_days
    since = view.now - timedelta(days=days)
    if max(_current(view, trust.ca.fingerprints), default=0.0) > since.timestamp():
        raise CannotPlan(
            f"the new CA came less than {counted(days, 'day')} ago (policy.ca_overlap_days)"
        )
    if path.endswith("/ca.crt") and "/certs.d/" in path:
        yield written(view, path, b"".join(pem_block(der) for der in trust.ca.certificates))
        return
    if not path.startswith(ANCHOR_FOLDERS):
        raise CannotPlan(f"{path} is made from other files, or is not gapcheck's to edit")
    file = file_at(view.facts, path)
    if file is None or len(pki.fingerprints(view.content(file))) != 1:
        raise CannotPlan(f"{path} holds other certificates as well: take the old CA out by hand")
    yield from _removal(view, path)


@remedy("NODE-TRUST-005", risk=Risk.RESTART)
def plan_removal_of_broken(finding: Finding, view: NodeView) -> Iterator[Change]:
    """Remove the file from its trust place; the registry's own CA file is written anew.

    A private key that lay there counts as leaked: it is taken out for good, the certificates
    beside it stay, and the certificate has to be reissued.
    """
    path = finding.data["path"]
    is_leak = finding.data["kind"] == "private-key"
    if "/certs.d/" in path:
        if path.rpartition("/")[0].endswith(view.site.registry.netloc) and path.endswith("ca.crt"):
            site_ca(view)
            yield from settle(view)
            return
        yield _without_key(view, path) if is_leak else removed(view, path)
        return
    if not path.startswith((*ANCHOR_FOLDERS, "/etc/ssl/certs/", "/etc/pki/tls/certs/")):
        raise CannotPlan(f"{path} is made from other files: find the one that is broken")
    yield from _removal(view, path, keep_certificates=is_leak)


def _without_key(view: NodeView, path: str) -> Change:
    """The certificates of the file alone; the file gone where it holds none, or is a link."""
    file = file_at(view.facts, path)
    if "/certs.d/" in path and not path.endswith(".crt"):
        # Nothing says what it is for: it may be a client's only copy, so an undo brings it back.
        before = None if file is None else file.sha256
        return RemoveFile(target=view.subject, path=path, before_sha256=before)
    if file is None or file.link:
        return removed(view, path)
    held = pki.pool(view.content(file)).certificates if file.blob else ()
    if not held:
        return removed(view, path)
    return written(view, path, b"".join(map(pem_block, held)))


def _removal(view: NodeView, path: str, *, keep_certificates: bool = False) -> Iterator[Change]:
    family = known_family(view)
    if path == family.bundle:
        raise CannotPlan(f"{path} is made from the anchors: run the distribution's own tool")
    yield _without_key(view, path) if keep_certificates else removed(view, path)
    yield refreshed(view, family)


def _current(view: NodeView, fingerprints: frozenset[str]) -> Iterator[float]:
    """When the files that hold the current CA were last changed."""
    trust = node_trust(view)
    facts: NodeFacts = view.facts
    files: list[FileFact] = [
        each.fact for each in trust.store.files if each.fingerprints & fingerprints
    ]
    folder = trust.effective.folder if trust.effective else None
    for each in folder.ca_files if folder else ():
        file = file_at(facts, each.path)
        files += [file] if file else []
    yield from (each.mtime for each in files)
