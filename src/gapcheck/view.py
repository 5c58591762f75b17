"""What a check may look at: one subject's facts, its relatives', the site, the time.

A view is read-only and cheap; everything it gives was measured before judging began. A
relative that was not measured raises Unmeasured with that relative's name.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from typing import Any, Generic, TypeVar, cast

from gapcheck.errors import Unmeasured
from gapcheck.fixtures.fact_set import FactSet, SubjectFacts
from gapcheck.fixtures.facts import FileFact, NodeFacts, RegistryFacts, ServiceFacts, SiteFacts
from gapcheck.fixtures.kube_facts import ClusterFacts, DnsFacts, ReleaseFacts
from gapcheck.model import CLUSTER, DNS, REGISTRY, RELEASE, SITE, Gap, SubjectId, node_subject
from gapcheck.site import Node, Site, Waiver

F_co = TypeVar("F_co", covariant=True)
T = TypeVar("T")


class View(Generic[F_co]):
    """One subject as a check sees it. `usable_peers` leaves out peers that are blocked."""

    __slots__ = ("_made", "_set", "_uses", "now", "site", "subject", "usable_peers")

    def __init__(
        self,
        subject: SubjectId,
        facts: FactSet,
        site: Site,
        *,
        now: datetime,
        usable_peers: frozenset[SubjectId] | None = None,
        uses: Callable[[Waiver], bool] | None = None,
    ) -> None:
        self._made: dict[tuple[str, str], Any] = {}
        self._uses = uses
        self.subject = subject
        self._set = facts
        self.site = site
        self.now = now
        self.usable_peers = usable_peers

    @property
    def facts(self) -> F_co:
        """This subject's own facts; raises Unmeasured when there are none."""
        return cast("F_co", self._of(self.subject, "anything"))

    @property
    def registry(self) -> RegistryFacts:
        """The registry's facts."""
        return cast("RegistryFacts", self._of(REGISTRY, "the registry"))

    @property
    def cluster(self) -> ClusterFacts:
        """The cluster's facts."""
        return cast("ClusterFacts", self._of(CLUSTER, "the cluster"))

    @property
    def release(self) -> ReleaseFacts:
        """The release's facts."""
        return cast("ReleaseFacts", self._of(RELEASE, "the release"))

    @property
    def dns(self) -> DnsFacts:
        """The facts about name resolution outside the nodes."""
        return cast("DnsFacts", self._of(DNS, "name resolution"))

    @property
    def site_facts(self) -> SiteFacts:
        """The files that the site file names."""
        return cast("SiteFacts", self._of(SITE, "the site's files"))

    @property
    def peers(self) -> Mapping[SubjectId, NodeFacts]:
        """Every measured node that is not blocked, by subject."""
        return dict(self._peers())

    @property
    def node(self) -> Node:
        """The site file's own entry for this node; KeyError for another subject."""
        by_subject = {node_subject(each.name): each for each in self.site.node_list}
        return by_subject[self.subject]

    def of(self, subject: SubjectId) -> View[NodeFacts]:
        """The node `subject` as its own checks see it."""
        view: View[NodeFacts] = View(subject, self._set, self.site, now=self.now)
        return view.sharing(self._made)

    def sharing(self, made: dict[tuple[str, str], Any]) -> View[F_co]:
        """This view, with what `once` has made for other views of the same evaluation."""
        self._made = made
        return self

    def once(self, what: str, make: Callable[[], T], *, everywhere: bool = False) -> T:
        """What `make` returns, made once for this subject, or once for all with `everywhere`.

        It is kept as long as the evaluation that this view belongs to.
        """
        key = (what, "" if everywhere else self.subject)
        if key not in self._made:
            self._made[key] = make()
        return cast("T", self._made[key])

    def has(self, subject: SubjectId) -> bool:
        """Whether `subject` has facts at all."""
        return subject in self._set.by_subject

    @property
    def has_registry(self) -> bool:
        """Whether the registry was looked at."""
        return self.has(REGISTRY)

    @property
    def gaps(self) -> tuple[Gap, ...]:
        """Everything that was to be measured and was not."""
        return self._set.gaps

    def is_used(self, waiver: Waiver) -> bool:
        """Whether `waiver` accepts a finding of this run."""
        return self._uses is not None and self._uses(waiver)

    def gap(self, subject: SubjectId) -> str:
        """Why `subject` was not measured; '' when it was."""
        return next((gap.reason for gap in self._set.gaps if gap.subject == subject), "")

    def blob(self, digest: str) -> bytes:
        """Content by its SHA-256; raises Unmeasured when it was not taken along."""
        try:
            return self._set.blobs[digest]
        except KeyError:
            raise Unmeasured("content", f"blob {digest[:12] or '(none)'} was not taken") from None

    def content(self, file: FileFact) -> bytes:
        """What was taken of `file`; private keys and passwords are not in it."""
        return self.blob(file.blob)

    def chain(self, digests: tuple[str, ...]) -> tuple[bytes, ...]:
        """A served chain's DER certificates."""
        return tuple(self.blob(each) for each in digests)

    def _of(self, subject: SubjectId, what: str) -> SubjectFacts:
        found = self._set.by_subject.get(subject)
        if found is None:
            reason = self.gap(subject) or "the site file does not name it"
            raise Unmeasured(what, reason, subject)
        return found

    def _peers(self) -> Iterator[tuple[SubjectId, NodeFacts]]:
        for subject, facts in self._set.by_subject.items():
            if not isinstance(facts, NodeFacts):
                continue
            if self.usable_peers is None or subject in self.usable_peers:
                yield subject, facts


NodeView = View[NodeFacts]
RegistryView = View[RegistryFacts]
ServiceView = View[ServiceFacts]
ClusterView = View[ClusterFacts]
ReleaseView = View[ReleaseFacts]
DnsView = View[DnsFacts]
SiteView = View[SiteFacts]
NodesView = View[None]
