import ast
from pathlib import Path

import pytest

from gapcheck.catalogue_page import checks_page, faults_page, remedies_page
from gapcheck.faults import FAULTS
from gapcheck.registry import Check, catalogue

ROOT = Path(__file__).parents[2]
CHECKS = tuple(catalogue().checks.values())
FORBIDDEN = {
    "socket", "ssl", "subprocess", "os", "pathlib", "requests", "kubernetes", "docker", "testinfra",
    "time", "OpenSSL", "paramiko", "http", "urllib3",
}  # fmt: skip
EDGES = ("gapcheck.fixtures.gather", "gapcheck.fixtures.targets", "gapcheck.fixtures.probes")


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.id)
def test_check_cites_a_step_of_the_guide_and_faults_that_exist(check: Check) -> None:
    assert 0 <= check.source.step <= 8
    assert set(check.source.fault) <= set(FAULTS)


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.id)
def test_check_stands_in_the_folder_of_its_family(check: Check) -> None:
    folders = {
        "CERT": "certificate", "REG": "registry", "NODE": "node", "RUN": "runtime",
        "SECRET": "secret", "REL": "release", "DNS": "dns", "SVC": "service", "SITE": "site",
    }  # fmt: skip
    family = folders[check.id.partition("-")[0]]
    assert check.judge.__module__.startswith(f"gapcheck.checks.{family}.")


@pytest.mark.parametrize("repaired", sorted(catalogue().remedies))
def test_remedy_stands_at_the_same_place_as_its_check(repaired: str) -> None:
    known = catalogue()
    planner = known.remedies[repaired].plan.__module__  # type: ignore[index] # ids are texts
    check = known.checks[repaired].judge.__module__  # type: ignore[index] # the same
    assert planner.replace("remediations", "checks") == check


@pytest.mark.parametrize("folder", ["checks", "remediations"])
def test_judging_and_planning_import_nothing_that_touches_the_world(folder: str) -> None:
    families = [path for path in (ROOT / "checks").iterdir() if path.is_dir()]
    bad = [
        f"{file.relative_to(ROOT)} imports {name}"
        for family in families
        for file in sorted((ROOT / folder / family.name).glob("*.py"))
        for name in imported(file)
        if name.partition(".")[0] in FORBIDDEN or name.startswith(EDGES)
    ]
    assert bad == []


def test_no_clock_is_read_outside_the_use_case() -> None:
    allowed = {
        "src/gapcheck/suite.py",
        "src/gapcheck/commands/options.py",  # --now real
        "src/gapcheck/demo/show.py",  # its certificate starts now
        "remediations/machines/cluster_lease.py",  # a Lease holds the time it was renewed at
    }
    readers = {
        str(path.relative_to(ROOT))
        for folder in ("src/gapcheck", "checks", "remediations", "reports", "fixtures")
        for path in (ROOT / folder).glob("**/*.py")
        if not any(part.is_symlink() for part in path.parents)
        and "datetime.now(" in path.read_text()
    }
    assert readers <= allowed


def test_pytest_is_imported_by_its_front_end_alone() -> None:
    users = {
        str(path.relative_to(ROOT))
        for folder in ("src/gapcheck", "checks", "remediations", "reports", "fixtures")
        for path in (ROOT / folder).glob("**/*.py")
        if not any(part.is_symlink() for part in path.parents) and "pytest" in set(imported(path))
    }
    assert users == {
        "src/gapcheck/plugin.py", "src/gapcheck/pytest_items.py", "src/gapcheck/pytest_run.py",
        "fixtures/pytest_fixtures.py",
    }  # fmt: skip


def test_check_page_is_what_the_catalogue_says() -> None:
    assert (ROOT / "docs/checks.md").read_text() == checks_page()


def test_fault_page_is_what_the_catalogue_says() -> None:
    assert (ROOT / "docs/faults.md").read_text() == faults_page()


def test_remedy_page_is_what_the_planners_can_do() -> None:
    assert (ROOT / "docs/remedies.md").read_text() == remedies_page()


def imported(path: Path) -> list[str]:
    found: list[str] = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        if isinstance(node, ast.ImportFrom) and node.module:
            found.append(node.module)
    return found
