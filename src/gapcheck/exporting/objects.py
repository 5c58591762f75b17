"""A site whose manifests lie in a folder, as if their objects were live. Pure.

Planners then say what to change in the objects instead of editing the folder's files.
"""

from __future__ import annotations

from typing import Any, TypeVar

import msgspec

from gapcheck.fixtures.fact_set import FactSet
from gapcheck.fixtures.facts import Observed, Present
from gapcheck.fixtures.kube_facts import ConfigMapFact, DnsFacts, ReleaseFacts, SecretFact, Workload
from gapcheck.model import DNS, RELEASE
from gapcheck.site import Cluster, Site

F = TypeVar("F", Workload, SecretFact, ConfigMapFact)


def live_objects(site: Site, facts: FactSet) -> tuple[Site, FactSet]:
    """The site and its facts with every object taken out of its file."""
    by_subject: dict[Any, Any] = dict(facts.by_subject)
    release, dns = by_subject.get(RELEASE), by_subject.get(DNS)
    if isinstance(release, ReleaseFacts):
        by_subject[RELEASE] = msgspec.structs.replace(
            release, workloads=_bare(release.workloads), secrets=_bare(release.secrets)
        )
    if isinstance(dns, DnsFacts):
        by_subject[DNS] = msgspec.structs.replace(dns, coredns=_bare(dns.coredns))
    if site.cluster is not None and site.cluster.manifests:
        site = site.model_copy(update={"cluster": Cluster(kubeconfig="-")})
    return site, msgspec.structs.replace(facts, by_subject=by_subject)


def _bare(observed: Observed[tuple[F, ...]]) -> Observed[tuple[F, ...]]:
    if not isinstance(observed, Present):
        return observed
    return Present(tuple(_without_file(each) for each in observed.value))


def _without_file(fact: F) -> F:
    return msgspec.structs.replace(fact, file="", document=0, object_path=())


def secret_names(facts: FactSet) -> tuple[str, ...]:
    """Names of the measured secrets of the release's namespace."""
    release = facts.by_subject.get(RELEASE)
    if not isinstance(release, ReleaseFacts) or not isinstance(release.secrets, Present):
        return ()
    return tuple(s.name for s in release.secrets.value if s.namespace == release.namespace)
