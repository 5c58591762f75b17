"""The words every stage shares: status, severity, subject, finding, verdict, gap.

Values are msgspec structs: as frozen as dataclasses, several times cheaper to make
(400,000 verdicts a run), and encoded without a second description of their shape.
"""

from __future__ import annotations

from enum import StrEnum
from fnmatch import fnmatchcase
from typing import NewType

import msgspec

CheckId = NewType("CheckId", str)
SubjectId = NewType("SubjectId", str)

SITE = SubjectId("site")
REGISTRY = SubjectId("registry")
CLUSTER = SubjectId("cluster")
NODES = SubjectId("nodes")
RELEASE = SubjectId("release")
DNS = SubjectId("dns")


def node_subject(name: str) -> SubjectId:
    """Subject of the node called `name`."""
    return SubjectId(f"node/{name}")


def service_subject(host: str) -> SubjectId:
    """Subject of the HTTPS service `host` (host or host:port as the site file writes it)."""
    return SubjectId(f"service/{host}")


def is_named(pattern: str, subject: SubjectId) -> bool:
    """Whether `pattern` names `subject`: whole, by the name behind the slash, or as a glob."""
    return fnmatchcase(subject, pattern) or fnmatchcase(subject.partition("/")[2], pattern)


class Scope(StrEnum):
    """The kind of subject a check judges."""

    SITE = "site"
    REGISTRY = "registry"
    CLUSTER = "cluster"
    NODE = "node"
    NODES = "nodes"
    RELEASE = "release"
    DNS = "dns"
    SERVICE = "service"


class Status(StrEnum):
    """What a verdict says; only FAIL and ERROR block dependants."""

    PASS = "pass"  # noqa: S105 - a status, not a password
    FAIL = "fail"
    WARN = "warn"
    ERROR = "error"
    BLOCKED = "blocked"
    WAIVED = "waived"
    NOT_APPLICABLE = "not_applicable"


class Severity(StrEnum):
    """How much a finding matters; minor and info only warn."""

    CRITICAL = "critical"
    MAJOR = "major"
    MINOR = "minor"
    INFO = "info"

    @property
    def fails(self) -> bool:
        """Whether a finding of this severity makes its check fail."""
        return self in (Severity.CRITICAL, Severity.MAJOR)

    @property
    def rank(self) -> int:
        """Order of weight, 0 = critical."""
        return _WEIGHTS[self]


_WEIGHTS = {each: place for place, each in enumerate(Severity)}


class Risk(StrEnum):
    """What a repair may cost while it runs."""

    SAFE = "safe"
    RESTART = "restart"
    OUTAGE = "outage"
    MANUAL = "manual"

    @property
    def rank(self) -> int:
        """Order of cost, 0 = safe."""
        return _COSTS[self]


_COSTS = {each: place for place, each in enumerate(Risk)}


class Evidence(msgspec.Struct, frozen=True):
    """One measured thing: what it is, its value with unit, and where it was read."""

    label: str
    value: str
    source: str = ""


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """One defect of one subject.

    `locus` names the file, image or object inside the subject; it is stable from run to
    run, so that a waiver can match it. `severity` overrides the check's own. `because`
    names checks that, where they fail too, are the root of this finding.
    """

    problem: str
    evidence: tuple[Evidence, ...] = ()
    consequence: str = ""
    remedy_hint: str = ""
    locus: str = ""
    severity: Severity | None = None
    because: tuple[CheckId, ...] = ()
    data: dict[str, str] = {}


class Cause(msgspec.Struct, frozen=True, order=True):
    """A verdict named as the root of another."""

    check: CheckId
    subject: SubjectId

    def __str__(self) -> str:
        return f"{self.check}::{self.subject}"


class RemedyInfo(msgspec.Struct, frozen=True, kw_only=True):
    """What can be done about a verdict: risk, whether planned, and why not."""

    risk: Risk
    planned: bool = False
    why_not: str = ""


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """What one check says of one subject, with all that supports it."""

    check: CheckId
    subject: SubjectId
    status: Status
    severity: Severity
    findings: tuple[Finding, ...] = ()
    evidence: tuple[Evidence, ...] = ()
    reason: str = ""
    root_causes: tuple[Cause, ...] = ()
    waived_by: str = ""
    remedy: RemedyInfo | None = None
    fixed: bool = False

    @property
    def cause(self) -> Cause:
        """This verdict as others name it."""
        return Cause(self.check, self.subject)


class Gap(msgspec.Struct, frozen=True, kw_only=True):
    """Something that was to be measured and was not."""

    subject: SubjectId
    stage: str
    reason: str
