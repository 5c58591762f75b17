"""Checks of secrets, releases and names judged by themselves, and repaired on real files.

The catalogue here holds those families and the site's own checks alone, so that a test of one
of them does not depend on what a foreign prerequisite says.
"""

from __future__ import annotations

import dataclasses
import hashlib
import importlib
import pkgutil
from functools import cache
from pathlib import Path
from typing import Any

from support.certs import NOW
from support.healthy import Blobs, ca, healthy, with_facts
from support.manifests import NAMESPACE, coderd, secret, timescale, write

from gapcheck import registry
from gapcheck.engine import Evaluation
from gapcheck.fixtures.fact_set import FactSet
from gapcheck.fixtures.facts import Present
from gapcheck.fixtures.kube_facts import ConfigMapFact
from gapcheck.fixtures.probes.cluster import probe_cluster, probe_coredns
from gapcheck.fixtures.probes.probed import Probed
from gapcheck.fixtures.probes.release import probe_release
from gapcheck.model import CheckId, SubjectId, Verdict
from gapcheck.registry import Catalogue, make_catalogue
from gapcheck.remediations.edits import apply_edit
from gapcheck.remediations.plan import Change, EditYaml, WriteFile
from gapcheck.site import Site

FAMILIES = ("secret", "release", "dns", "site")
GOOD_TIMESCALE = "registry.local/coderenvs/timescale:1.44.3"
VALUES = """# values of the site
certs:
  secret:
    name: local-registry-cert
    key: registry.crt
coderd:
  image: registry.local/coderenvs/coder-service:1.44.3
envbox:
  image: registry.local/coderenvs/envbox:1.44.3
postgres:
  default:
    image: registry.local/coderenvs/timescale:1.44.3
"""
ALIASES = """      hostAliases:
        - ip: 10.0.0.2
          hostnames:
            - registry.local
"""


DNS_ENTRY = "    hosts {\n        10.0.0.2 registry.local\n        fallthrough\n    }\n"
NODE_LOCAL = """cluster.local:53 {
    forward . __PILLAR__CLUSTER__DNS__
}
.:53 {
    forward . __PILLAR__UPSTREAM__SERVERS__
}
"""


def with_texts(facts: FactSet | None = None, /, **texts: str) -> FactSet:
    """The name service's config maps hold `texts`: coredns, node_local_dns, coredns_custom."""
    blobs = Blobs()
    maps = tuple(
        ConfigMapFact(
            namespace="kube-system",
            name=name.replace("_", "-"),
            key="x.server" if name == "coredns_custom" else "Corefile",
            blob=blobs.add(text.encode()),
            locus=f"ConfigMap/kube-system/{name.replace('_', '-')}",
            uid="u-9",
            resource_version="7",
        )
        for name, text in texts.items()
    )
    return with_facts(facts or healthy()[1], "dns", blobs.held, coredns=Present(maps))


def with_upstream(*answers: str) -> FactSet:
    """DNS alone answers `answers` on every node."""
    facts = healthy()[1]
    for node in ("node/debian", "node/rhel"):
        facts = with_facts(facts, node, dns_only={"registry.local": Present(answers)})
    return facts


@cache
def families() -> Catalogue:
    for folder in ("checks", "remediations"):
        for family in FAMILIES:
            package = importlib.import_module(f"gapcheck.{folder}.{family}")
            for found in pkgutil.iter_modules(package.__path__, f"{package.__name__}."):
                importlib.import_module(found.name)
    ours = {
        check_id: check
        for check_id, check in registry._pool.checks.items()
        if any(f"/checks/{family}/" in check.file for family in FAMILIES)
    }
    alone = [
        dataclasses.replace(check, after=tuple(each for each in check.after if each in ours))
        for check in ours.values()
    ]
    remedies = [each for each in registry._pool.remedies.values() if each.repairs in ours]
    return make_catalogue(alone, remedies)


def judged(check: str, facts: FactSet, site: Site, subject: str) -> Verdict:
    """What `check` says of `subject`; prerequisites of the same families count."""
    return _evaluation(facts, site).verdict(CheckId(check), SubjectId(subject))


def planned(check: str, facts: FactSet, site: Site, subject: str) -> list[Change]:
    """What the remedy of `check` plans for all its findings, equal changes once."""
    evaluation = _evaluation(facts, site)
    plan = families().remedies[CheckId(check)].plan
    changes: dict[str, Change] = {}
    for finding in evaluation.verdict(CheckId(check), SubjectId(subject)).findings:
        changes |= {each.id: each for each in plan(finding, evaluation.view(SubjectId(subject)))}
    return list(changes.values())


def _evaluation(facts: FactSet, site: Site) -> Evaluation:
    return Evaluation(site, facts, families(), now=NOW)


class Folder:
    """A site of manifests in real files: measured by the real probes, repaired in place."""

    def __init__(self, base: Path, site: Site | None = None, **files: str | None) -> None:
        self.base = base
        base_site, self.rest = healthy()
        texts: dict[str, str | None] = {
            "namespace": NAMESPACE,
            "coderd": coderd(extra=ALIASES),
            "timescale": timescale(image=GOOD_TIMESCALE),
            "secret": secret({"registry.crt": ca().pem}),
            **files,
        }
        self.site = site or base_site.model_validate(
            {
                **base_site.model_dump(by_alias=True),
                "cluster": {"manifests": "manifests"},
                "dns": {},
            }
        )
        write(base / "manifests", {f"{k}.yaml": v for k, v in texts.items() if v is not None})
        if "values" not in files:
            write(base, {"values.yaml": VALUES})

    def values(self, text: str) -> Folder:
        write(self.base, {"values.yaml": text})
        return self

    def text(self, path: str) -> str:
        return (self.base / path).read_text()

    def facts(self) -> FactSet:
        release = probe_release(self.site, base=self.base, timeout_s=5)
        probes: list[tuple[str, Probed[Any]]] = [("release", release)]
        if self.site.cluster:
            probes.append(("cluster", probe_cluster(self.site, base=self.base, timeout_s=5)))
        coredns = probe_coredns(self.site, base=self.base, timeout_s=5)
        facts = self.rest
        for subject, probed in probes:
            changes: dict[str, Any] = {
                name: getattr(probed.facts, name) for name in probed.facts.__struct_fields__
            }
            facts = with_facts(facts, subject, probed.blobs, **changes)
        return with_facts(facts, "dns", coredns.blobs, coredns=coredns.facts, resolvers={}, pods={})

    def verdict(self, check: str, subject: str = "release") -> Verdict:
        return judged(check, self.facts(), self.site, subject)

    def plan(self, check: str, subject: str = "release") -> list[Change]:
        return planned(check, self.facts(), self.site, subject)

    def repair(self, *checks: str, subject: str = "release") -> list[Change]:
        """Carry out one round of what is planned, on the true bytes; the plan is given back."""
        facts = self.facts()
        changes = [each for check in checks for each in planned(check, facts, self.site, subject)]
        found: dict[Path, bytes | None] = {}
        for change in changes:
            assert isinstance(change, EditYaml | WriteFile)
            path = self.base / change.path
            content = path.read_bytes() if path.exists() else None
            known = None if content is None else hashlib.sha256(content).hexdigest()
            assert change.before_sha256 == known
            found[path] = apply_edit(change, found.get(path, content))
        for path, after in found.items():
            assert after is not None
            path.write_bytes(after)
        return changes


def no_cluster(site: Site) -> Site:
    return site.model_copy(update={"cluster": None})
