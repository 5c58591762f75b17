from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from gapcheck.model import CheckId, Finding, Risk
from gapcheck.registry import Remedy, catalogue
from gapcheck.remediations.plan import Change, PatchObject, RemoveFile, RestartUnit
from gapcheck.remedy_reach import Reach, reach_of


def names(check: str) -> set[str]:
    return {each.__name__ for each in reach_of(catalogue().remedies[CheckId(check)]).kinds}


def of(planner: Any) -> Reach:
    return reach_of(Remedy(repairs=CheckId("X-Y-001"), risk=Risk.SAFE, doc="", plan=planner))


def test_a_planner_reaches_what_it_yields_itself() -> None:
    assert names("NODE-TRUST-002") == {"RemoveFile"}


def test_a_planner_reaches_what_the_functions_it_calls_make() -> None:
    assert {"EditToml", "WriteFile", "RestartUnit"} <= names("RUN-TLS-001")
    assert {"EditYaml", "PatchObject"} <= names("DNS-ALIAS-001")


def test_an_annotation_is_no_change() -> None:
    def planner(finding: Finding, view: Any) -> Iterator[RemoveFile | RestartUnit]:
        del finding
        yield RemoveFile(target=view.subject, path="/x", before_sha256=None)

    assert of(planner).kinds == {RemoveFile}


def test_the_base_of_all_changes_is_none_itself() -> None:
    def planner(finding: Finding, view: Any) -> Iterator[Change]:
        del finding
        assert isinstance(view, Change)
        yield from ()

    assert of(planner).kinds == frozenset()


def test_what_cannot_be_undone_is_seen() -> None:
    def planner(finding: Finding, view: Any) -> Iterator[PatchObject]:
        del finding
        yield PatchObject(
            target=view.subject,
            api_version="v1",
            kind="Secret",
            namespace="n",
            name="s",
            uid="",
            resource_version="",
            patch={},
            final=True,
        )

    assert of(planner).final
    assert reach_of(catalogue().remedies[CheckId("SECRET-KEY-001")]).final
    assert not reach_of(catalogue().remedies[CheckId("SECRET-CA-001")]).final


def test_every_remedy_reaches_something() -> None:
    assert [k for k, each in catalogue().remedies.items() if not reach_of(each).kinds] == []
