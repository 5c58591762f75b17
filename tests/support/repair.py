"""Repairs carried out on facts in memory: plan, edit, and look again, round by round."""

from __future__ import annotations

import hashlib
import posixpath
from collections.abc import Iterable
from typing import Any

import msgspec
from support.healthy import NOW

from gapcheck.engine import Evaluation
from gapcheck.errors import CannotPlan
from gapcheck.fixtures import pki
from gapcheck.fixtures.containerd import load_config
from gapcheck.fixtures.fact_set import FactSet
from gapcheck.fixtures.facts import (
    Absent,
    DirEntry,
    FileFact,
    NodeFacts,
    PluginFact,
    Present,
    UnitFact,
)
from gapcheck.fixtures.trust_store import FAMILIES, pem_block
from gapcheck.model import CheckId, Scope, Status, SubjectId, Verdict
from gapcheck.registry import catalogue
from gapcheck.remediations.edits import apply_edit
from gapcheck.remediations.plan import Change, FileChange, RefreshTrustStore, RestartUnit
from gapcheck.site import Site
from gapcheck.view import View


def planned(check: str, facts: FactSet, site: Site, subject: str) -> list[Change]:
    """What the remedy of `check` plans for all findings about `subject`, equal changes once."""
    found = Evaluation(site, facts, catalogue(), now=NOW)
    return list(_planned(found, found.verdict(CheckId(check), SubjectId(subject))))


def _planned(evaluation: Evaluation, verdict: Verdict) -> Iterable[Change]:
    plan = catalogue().remedies[verdict.check].plan
    changes: dict[str, Change] = {}
    for finding in verdict.findings:
        for change in plan(finding, evaluation.view(verdict.subject)):
            changes[change.id] = change
    return changes.values()


def applied(facts: FactSet, site: Site, changes: Iterable[Change]) -> FactSet:
    """`facts` after `changes`, measured again; every file must be as its change expects it."""
    before = facts
    for change in changes:
        if isinstance(change, FileChange):
            measured: Any = before.by_subject[change.target]
            known = measured.files.get(change.path)
            sha = known.value.sha256 if isinstance(known, Present) else None
            assert change.before_sha256 == sha, change.path
            facts = _edited(facts, change)
        elif isinstance(change, RefreshTrustStore):
            facts = _refreshed(facts, change)
        elif isinstance(change, RestartUnit):
            facts = _restarted(facts, site, change)
        else:
            raise TypeError(type(change).__name__)
    return facts


def settled(facts: FactSet, site: Site, subject: str, *, rounds: int = 4) -> tuple[FactSet, int]:
    """`facts` after rounds of repair of one node, and how many rounds planned something."""
    for done in range(rounds):
        changes: dict[str, Change] = {}
        evaluation = Evaluation(site, facts, catalogue(), now=NOW)
        for check in catalogue().of_scope(Scope.NODE):
            verdict = evaluation.verdict(check.id, SubjectId(subject))
            if verdict.status is not Status.FAIL or check.id not in catalogue().remedies:
                continue
            try:
                changes.update({change.id: change for change in _planned(evaluation, verdict)})
            except CannotPlan:
                continue
        if not changes:
            return facts, done
        ordered = sorted(changes.values(), key=lambda each: isinstance(each, RestartUnit))
        facts = applied(facts, site, ordered)
    return facts, rounds


def failing(facts: FactSet, site: Site, subject: str) -> dict[str, Verdict]:
    """The checks of one node that fail or err, by id."""
    evaluation = Evaluation(site, facts, catalogue(), now=NOW)
    verdicts = (
        evaluation.verdict(check.id, SubjectId(subject))
        for check in catalogue().of_scope(Scope.NODE)
    )
    return {each.check: each for each in verdicts if each.status in (Status.FAIL, Status.ERROR)}


def _edited(facts: FactSet, change: FileChange) -> FactSet:
    node: Any = facts.by_subject[change.target]
    known = node.files.get(change.path)
    content = facts.blobs[known.value.blob] if isinstance(known, Present) else None
    after = apply_edit(change, content)
    files = dict(node.files)
    dirs = dict(node.dirs)
    blobs = dict(facts.blobs)
    if after is None:
        files[change.path] = Absent()
        unlist_entry(dirs, change.path)
    else:
        digest = hashlib.sha256(after).hexdigest()
        blobs[digest] = after
        files[change.path] = Present(
            FileFact(
                path=change.path,
                sha256=digest,
                size=len(after),
                blob=digest,
                mtime=NOW.timestamp(),
            )
        )
        list_entry(dirs, change.path)
    return _with(facts, change.target, msgspec.structs.replace(node, files=files, dirs=dirs), blobs)


def list_entry(dirs: dict[str, Any], path: str, kind: str = "file") -> None:
    parent, name = posixpath.split(path)
    if not name:
        return
    known = dirs.get(parent)
    if isinstance(known, Present):
        if all(entry.name != name for entry in known.value):
            dirs[parent] = Present((*known.value, DirEntry(name=name, kind=kind)))
        return
    if "certs.d" in parent or isinstance(known, Absent):
        dirs[parent] = Present((DirEntry(name=name, kind=kind),))
        list_entry(dirs, parent, "dir")


def unlist_entry(dirs: dict[str, Any], path: str) -> None:
    parent, name = posixpath.split(path)
    known = dirs.get(parent)
    if isinstance(known, Present):
        dirs[parent] = Present(tuple(entry for entry in known.value if entry.name != name))


def _refreshed(facts: FactSet, change: RefreshTrustStore) -> FactSet:
    family = FAMILIES[change.family]
    node: Any = facts.by_subject[change.target]
    old = facts.blobs[node.files[family.bundle].value.blob]
    anchors = [
        facts.blobs[known.value.blob]
        for path, known in node.files.items()
        if isinstance(known, Present) and family.takes(path)
    ]
    shipped = pki.pool(old).certificates[:1]
    bundle = b"".join([*map(pem_block, shipped), *anchors])
    digest = hashlib.sha256(bundle).hexdigest()
    fact = FileFact(
        path=family.bundle, sha256=digest, size=len(bundle), blob=digest, mtime=NOW.timestamp()
    )
    paths = (family.bundle, "/etc/pki/tls/certs/ca-bundle.crt")
    files = dict(node.files)
    for path in paths:
        if path in files:
            files[path] = Present(msgspec.structs.replace(fact, path=path))
    changed = msgspec.structs.replace(node, files=files)
    return _with(facts, change.target, changed, {**facts.blobs, digest: bundle})


def _restarted(facts: FactSet, site: Site, change: RestartUnit) -> FactSet:
    node: Any = facts.by_subject[change.target]
    unit: UnitFact = node.units[change.unit].value
    unit = msgspec.structs.replace(
        unit, started=NOW.timestamp() + 1, active_state="active", need_daemon_reload=False
    )
    node = msgspec.structs.replace(node, units={**node.units, change.unit: Present(unit)})
    facts = _with(facts, change.target, node, facts.blobs)
    view: View[NodeFacts] = View(change.target, facts, site, now=NOW)
    config = load_config(view)
    plugins = [PluginFact(type="io.containerd.grpc.v1", id="cri", status="ok")]
    if config.generation.is_2:
        exports = {"RegistryConfigPath": config.config_path}
        plugins.append(
            PluginFact(type="io.containerd.cri.v1", id="images", status="ok", exports=exports)
        )
    node = msgspec.structs.replace(
        node, containerd_plugins=Present(tuple(plugins)), containerd_valid=Present("")
    )
    return _with(facts, change.target, node, facts.blobs)


def _with(facts: FactSet, subject: SubjectId, node: Any, blobs: dict[str, bytes]) -> FactSet:
    return msgspec.structs.replace(
        facts, by_subject={**facts.by_subject, subject: node}, blobs=blobs
    )
