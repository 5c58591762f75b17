"""For the clone alone: options of its own tests, and a word where it is not installed."""

from __future__ import annotations

import importlib.util
import os
import signal
from pathlib import Path

import pytest

HERE = Path(__file__).parent
pytest_plugins = ["pytester"]


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add --lab."""
    group = parser.getgroup("gapcheck-tests", "gapcheck: the project's own tests")
    group.addoption("--lab", action="store_true", help="Also run what needs root and real systems.")


def pytest_configure(config: pytest.Config) -> None:
    """Refuse to test another gapcheck than the one in this clone."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        # A shell's background job ignores it, and so would every program that a test interrupts.
        signal.signal(signal.SIGINT, signal.default_int_handler)
    config.addinivalue_line("markers", "lab: needs root and real systems; --lab or GAPCHECK_LAB=1")
    found = importlib.util.find_spec("gapcheck")
    places = list(found.submodule_search_locations or []) if found else []
    if (HERE / "src/gapcheck").resolve() not in [Path(place).resolve() for place in places]:
        raise pytest.UsageError("this clone is not the installed gapcheck; pip install -e .")


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Leave the lab out where nobody asked for it."""
    asked = config.getoption("lab") or os.environ.get("GAPCHECK_LAB")
    return True if collection_path == HERE / "tests/lab" and not asked else None
