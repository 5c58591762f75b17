"""For every test: the state folder is a scratch one, also in the processes that tests start."""

from __future__ import annotations

import os
import tempfile

import pytest

_FOLDER = pytest.StashKey[tempfile.TemporaryDirectory[str]]()


def pytest_configure(config: pytest.Config) -> None:
    """Keep what full runs remember out of the user's own history."""
    if "GAPCHECK_STATE" not in os.environ:
        config.stash[_FOLDER] = tempfile.TemporaryDirectory(prefix="gapcheck-test-state-")
        os.environ["GAPCHECK_STATE"] = config.stash[_FOLDER].name


def pytest_unconfigure(config: pytest.Config) -> None:
    """Leave nothing behind."""
    folder = config.stash.get(_FOLDER, None)
    if folder is not None:
        os.environ.pop("GAPCHECK_STATE", None)
        folder.cleanup()
