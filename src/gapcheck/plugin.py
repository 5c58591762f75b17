"""The pytest front end: `pytest checks --site site.yaml` gives the verdicts as test items.

Every pytest run in an environment that has gapcheck loads this module, so it imports nothing
of gapcheck until --site or --bundle is given.
"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from gapcheck.pytest_run import Run

OPTIONS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("site", {"metavar": "FILE", "help": "Site file to judge."}),
    ("bundle", {"metavar": "FILE", "help": "Judge what `gapcheck collect` measured."}),
    ("select", {"action": "append", "default": [], "metavar": "ID", "help": "Only these checks."}),
    ("target", {"action": "append", "default": [], "metavar": "SUBJECT", "help": "Only these."}),
    ("fix", {"action": "store_true", "help": "Repair what fails before the items are shown."}),
    ("max-risk", {"choices": ["safe", "restart", "outage"], "help": "Costliest repair allowed."}),
    ("with-roots", {"action": "store_true", "help": "With --select: repair the roots, too."}),
    ("fail-on", {"choices": ["warn"], "help": "Let warnings fail the run."}),
    ("now", {"metavar": "TIME", "help": "Judge for this time (ISO 8601, or `real`)."}),
    ("report", {"action": "append", "default": [], "metavar": "FORMAT:PATH",
                "help": "Also write json, junit, html, sarif or openmetrics."}),
    ("per-subject", {"choices": ["auto", "always", "never"], "default": "auto",
                     "help": "One item a subject, or one a check; auto: up to 5,000 items."}),
)  # fmt: skip

_RUN = pytest.StashKey["Run"]()
_UNSITED = pytest.StashKey[bool]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options; a name that another plugin has already becomes --gapcheck-NAME only."""
    group = parser.getgroup("gapcheck", "gapcheck: judge an air-gapped site")
    renamed: list[str] = []
    for name, settings in OPTIONS:
        given = {**settings, "dest": f"gapcheck_{name.replace('-', '_')}"}
        try:
            group.addoption(f"--{name}", f"--gapcheck-{name}", **given)
        except (ValueError, argparse.ArgumentError):
            renamed.append(name)
            group.addoption(f"--gapcheck-{name}", **given)
    parser.addini("gapcheck_renamed", "options that are taken by another plugin", default=renamed)


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """Do nothing without --site and --bundle; else take over --junitxml and get ready."""
    if not (config.getoption("gapcheck_site") or config.getoption("gapcheck_bundle")):
        if config.getoption("gapcheck_fix"):
            raise pytest.UsageError("--fix needs --site FILE")
        return
    from gapcheck.fixtures import pytest_fixtures
    from gapcheck.pytest_run import Run

    config.stash[_RUN] = Run(config)
    config.pluginmanager.register(pytest_fixtures, "gapcheck-fixtures")


def run_of(config: pytest.Config) -> Run | None:
    """The gapcheck run of this session; None where neither --site nor --bundle was given."""
    return config.stash.get(_RUN, None)


def pytest_report_header(config: pytest.Config) -> list[str]:
    """Say what is judged, and which options had to be renamed."""
    renamed = config.getini("gapcheck_renamed")
    lines = [f"gapcheck: use --gapcheck-{name} (--{name} is another plugin's)" for name in renamed]
    run = run_of(config)
    return [*lines, *(run.header() if run else ())]


@pytest.hookimpl(tryfirst=True)
def pytest_sessionstart(session: pytest.Session) -> None:
    """Measure and repair, once and in the controlling process, before anything is collected."""
    run = run_of(session.config)
    if run is not None and not session.config.option.collectonly:
        run.start()


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:  # noqa: ANN401 - a type of pytest-xdist
    """Hand the measured facts to a worker of pytest-xdist."""
    run = run_of(node.config)
    if run is not None:
        node.workerinput["gapcheck"] = run.handed_over()


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers(config: pytest.Config) -> int | None:
    """Judging is too cheap to be shipped between processes: `-n auto` stays in one."""
    run = run_of(config)
    return 0 if run is not None and run.only_checks() else None


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> pytest.Collector | None:
    """The checks of a file of gapcheck.checks."""
    if parent.session.isinitpath(file_path):
        return None  # pytest makes a module of what the command line names: see below
    return _check_file(file_path, parent)


def pytest_pycollect_makemodule(
    module_path: Path, parent: pytest.Collector
) -> pytest.Collector | None:
    """A file of gapcheck.checks that the command line names is no test module."""
    return _check_file(module_path, parent)


def _check_file(path: Path, parent: pytest.Collector) -> pytest.Collector | None:
    if path.suffix != ".py" or path.name == "__init__.py" or path.parent.parent.name != "checks":
        return None
    from gapcheck.pytest_items import CheckFile, module_of

    if module_of(path) is None:
        return None
    run = run_of(parent.config)
    if run is None:
        parent.config.stash[_UNSITED] = True
        return None
    return CheckFile.from_parent(parent, path=path)


def pytest_collection_finish(session: pytest.Session) -> None:
    """Refuse to collect checks without a site: nothing would have been judged."""
    if session.config.stash.get(_UNSITED, False):
        raise pytest.UsageError(
            "gapcheck's checks need a site: add --site FILE, or --bundle FILE, or try"
            " `gapcheck demo`, which leaves both in a folder"
        )


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item) -> bool | None:
    """A check is judged without setup, capture or teardown: it is pure."""
    from gapcheck.pytest_items import CheckItem

    if not isinstance(item, CheckItem):
        return None
    item.ihook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
    item.ihook.pytest_runtest_logreport(report=item.report())
    item.ihook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)
    return True


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Write the reports and set the exit code of the table both front ends share."""
    run = run_of(session.config)
    if run is not None:
        run.finish(session)


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:  # noqa: ANN401 - pytest exports no type for it
    """Root causes first, as the command line shows them."""
    run = run_of(config)
    if run is not None:
        run.summarise(terminalreporter)
