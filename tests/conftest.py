"""For every test: a scratch state folder, also in processes that tests start; the lab's builds."""

from __future__ import annotations

import os
import sys
import tempfile

import pytest

_FOLDER = pytest.StashKey[tempfile.TemporaryDirectory[str]]()


def pytest_configure(config: pytest.Config) -> None:
    """Keep what full runs remember out of the user's own history.

    Options for this run are not for the runs of pytest that tests start.
    """
    os.environ.pop("PYTEST_ADDOPTS", None)
    if "GAPCHECK_STATE" not in os.environ:
        config.stash[_FOLDER] = tempfile.TemporaryDirectory(prefix="gapcheck-test-state-")
        os.environ["GAPCHECK_STATE"] = config.stash[_FOLDER].name


def pytest_sessionstart(session: pytest.Session) -> None:
    """Build the lab's programs before the first test, where no test's time limit counts."""
    asked = session.config.getoption("lab", default=False) or os.environ.get("GAPCHECK_LAB")
    if asked and not hasattr(session.config, "workerinput"):
        from lab import programs
        from lab.cluster import build

        if sys.platform == "linux" and os.getuid() == 0:
            programs.install_host_packages()
        if not programs.missing():
            build()


def pytest_unconfigure(config: pytest.Config) -> None:
    """Leave nothing behind."""
    folder = config.stash.get(_FOLDER, None)
    if folder is not None:
        os.environ.pop("GAPCHECK_STATE", None)
        folder.cleanup()
