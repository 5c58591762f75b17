"""Files of a node that are written or removed as a whole.

Where one holds a private key, the key counts as leaked: the change is final, so that no backup
keeps a copy of it.
"""

from __future__ import annotations

from gapcheck.fixtures.facts import NodeFacts
from gapcheck.fixtures.node_files import before_sha256, leaks
from gapcheck.fixtures.trust_store import ANCHOR_FOLDERS, Family
from gapcheck.remediations.machines.base import TRUST_TREES
from gapcheck.remediations.plan import Literal, RefreshTrustStore, RemoveFile, WriteFile
from gapcheck.view import NodeView


def written(view: NodeView, path: str, content: bytes) -> WriteFile:
    """The file with `content` in the place of what was measured there."""
    return WriteFile(
        target=view.subject,
        path=path,
        before_sha256=before_sha256(view.facts, path),
        content=Literal(content),
        final=leaks(view.facts, path),
    )


def removed(view: NodeView, path: str) -> RemoveFile:
    """The file gone; of a link only the link goes, so nothing is lost with it."""
    facts: NodeFacts = view.facts
    known = facts.files.get(path)
    is_link = bool(getattr(getattr(known, "value", None), "link", ""))
    return RemoveFile(
        target=view.subject,
        path=path,
        before_sha256=before_sha256(facts, path),
        final=leaks(facts, path) and not is_link,
    )


def refreshed(view: NodeView, family: Family) -> RefreshTrustStore:
    """The store rebuilt; final where what its tool reads or makes holds a private key."""
    facts: NodeFacts = view.facts
    folders = tuple(f"{each}/" for each in (*ANCHOR_FOLDERS, *TRUST_TREES.get(family.name, ())))
    return RefreshTrustStore(
        target=view.subject,
        family=family.name,
        fresh=family.fresh,
        final=any(leaks(facts, path) for path in facts.files if path.startswith(folders)),
    )
