"""The catalogue: checks and remedies by id, discovered by importing their folders.

Decorators attach a frozen description and return the function unchanged, so a test calls
the plain function.
"""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Any, TypeVar

from gapcheck.errors import CatalogueError
from gapcheck.model import CheckId, Evidence, Finding, Risk, Scope, Severity

if TYPE_CHECKING:
    from gapcheck.remediations.plan import Change
    from gapcheck.view import View

Judgement = Iterator[Finding | Evidence]
Judge = Callable[["View[Any]"], Judgement]
Planner = Callable[[Finding, "View[Any]"], Iterable["Change"]]
J = TypeVar("J", bound=Callable[..., Judgement])
P = TypeVar("P", bound=Callable[..., Iterable[Any]])

FAMILIES = ("CERT", "REG", "NODE", "RUN", "SECRET", "REL", "DNS", "SVC", "SITE")
RELATED: Mapping[Scope, frozenset[Scope]] = {
    Scope.SITE: frozenset(),
    Scope.REGISTRY: frozenset({Scope.SITE, Scope.DNS}),
    Scope.CLUSTER: frozenset({Scope.SITE}),
    Scope.DNS: frozenset({Scope.SITE, Scope.CLUSTER}),
    Scope.NODE: frozenset({Scope.SITE, Scope.REGISTRY, Scope.DNS}),
    Scope.NODES: frozenset({Scope.SITE, Scope.CLUSTER, Scope.NODE}),
    Scope.RELEASE: frozenset({Scope.SITE, Scope.CLUSTER, Scope.REGISTRY, Scope.DNS}),
    Scope.SERVICE: frozenset({Scope.SITE, Scope.RELEASE, Scope.REGISTRY}),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """Where a check comes from: the guide's step (0 = none of them) and fault ids."""

    step: int
    fault: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One check: what it claims, of what kind of subject, and after which others."""

    id: CheckId
    title: str
    doc: str
    scope: Scope
    severity: Severity
    after: tuple[CheckId, ...]
    source: Source
    manual: str
    judge: Judge
    file: str
    line: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Remedy:
    """The planner that repairs what one check found; `risk` is the most it may cost.

    `after_roots`: it is of use only where nothing else explains what was found.
    `withdraws`: it takes trust away from clients, and costs `risk` whatever its changes cost.
    """

    repairs: CheckId
    risk: Risk
    doc: str
    plan: Planner
    after_roots: bool = False
    withdraws: bool = False


@dataclass(slots=True)
class _Pool:
    checks: dict[CheckId, Check] = field(default_factory=dict)
    remedies: dict[CheckId, Remedy] = field(default_factory=dict)


_pool = _Pool()


def check(
    check_id: str,
    *,
    scope: Scope,
    severity: Severity,
    source: Source,
    after: Iterable[str] = (),
    manual: str = "",
) -> Callable[[J], J]:
    """Register a check; the first line of its docstring is its title.

    `manual` says why no repair is made and what a person does; it is given exactly where no
    remedy is registered. Raises CatalogueError on an id that is taken.
    """

    def register(judge: J) -> J:
        known = CheckId(check_id)
        code = judge.__code__
        if known in _pool.checks and _pool.checks[known].file != code.co_filename:
            raise CatalogueError(check_id, "this id is taken")
        doc = inspect.cleandoc(judge.__doc__ or "")  # Python 3.13 cleans it by itself
        _pool.checks[known] = Check(
            id=known,
            title=doc.partition("\n")[0].rstrip("."),
            doc=doc,
            scope=scope,
            severity=severity,
            after=tuple(CheckId(each) for each in after),
            source=source,
            manual=manual,
            judge=judge,
            file=code.co_filename,
            line=code.co_firstlineno,
        )
        return judge

    return register


def remedy(
    check_id: str, *, risk: Risk, after_roots: bool = False, withdraws: bool = False
) -> Callable[[P], P]:
    """Register the planner that repairs what check `check_id` finds."""

    def register(planner: P) -> P:
        known = CheckId(check_id)
        doc = inspect.cleandoc(planner.__doc__ or "")
        _pool.remedies[known] = Remedy(
            repairs=known,
            risk=risk,
            doc=doc,
            plan=planner,
            after_roots=after_roots,
            withdraws=withdraws,
        )
        return planner

    return register


@dataclass(frozen=True, slots=True, kw_only=True)
class Catalogue:
    """Every check in an order that respects prerequisites, and the remedies by check id."""

    checks: Mapping[CheckId, Check]
    remedies: Mapping[CheckId, Remedy]

    def of_scope(self, scope: Scope) -> tuple[Check, ...]:
        """The checks that judge subjects of `scope`, in catalogue order."""
        return tuple(each for each in self.checks.values() if each.scope is scope)


@cache
def catalogue() -> Catalogue:
    """Discover, validate and order all checks; raises CatalogueError on a contradiction."""
    checks = importlib.import_module("gapcheck.checks")
    for family in pkgutil.iter_modules(checks.__path__):
        for folder in ("checks", "remediations") if family.ispkg else ():
            package = importlib.import_module(f"gapcheck.{folder}.{family.name}")
            for found in pkgutil.iter_modules(package.__path__, f"{package.__name__}."):
                importlib.import_module(found.name)
    return make_catalogue(_pool.checks.values(), _pool.remedies.values())


def make_catalogue(checks: Iterable[Check], remedies: Iterable[Remedy]) -> Catalogue:
    """A catalogue of just these; raises CatalogueError on unknown ids, cycles and half pairs."""
    by_id = {each.id: each for each in checks}
    repairs = {each.repairs: each for each in remedies}
    for known in repairs:
        if known not in by_id:
            raise CatalogueError(known, "a remedy repairs a check that does not exist")
    for each in by_id.values():
        _validate(each, by_id, repairs)
    return Catalogue(checks=_ordered(by_id), remedies=repairs)


def _validate(
    each: Check, by_id: Mapping[CheckId, Check], repairs: Mapping[CheckId, Remedy]
) -> None:
    if each.id.partition("-")[0] not in FAMILIES:
        raise CatalogueError(each.id, f"its family is not one of {', '.join(FAMILIES)}")
    if not each.title:
        raise CatalogueError(each.id, "its docstring is missing")
    if bool(each.manual) == (each.id in repairs):
        raise CatalogueError(each.id, "needs exactly one of a remedy and a manual text")
    for prerequisite in each.after:
        other = by_id.get(prerequisite)
        if other is None:
            raise CatalogueError(each.id, f"its prerequisite {prerequisite} does not exist")
        if other.scope is not each.scope and other.scope not in RELATED[each.scope]:
            raise CatalogueError(each.id, f"{prerequisite} judges {other.scope}, not related")


def _ordered(by_id: Mapping[CheckId, Check]) -> dict[CheckId, Check]:
    done: dict[CheckId, Check] = {}

    def visit(each: Check, trail: tuple[CheckId, ...]) -> None:
        if each.id in trail:
            raise CatalogueError(each.id, f"depends on itself: {' -> '.join((*trail, each.id))}")
        if each.id in done:
            return
        for prerequisite in each.after:
            visit(by_id[prerequisite], (*trail, each.id))
        done[each.id] = each

    family = {name: rank for rank, name in enumerate(FAMILIES)}
    for each in sorted(by_id.values(), key=lambda c: (family[c.id.partition("-")[0]], c.id)):
        visit(each, ())
    return done
