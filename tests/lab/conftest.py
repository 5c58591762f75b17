"""What takes minutes is built before the first test, where no test's time limit counts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lab import programs
from lab.cluster import build

if TYPE_CHECKING:
    import pytest


def pytest_sessionstart(session: pytest.Session) -> None:
    """Build in the process that the workers belong to, once."""
    if not hasattr(session.config, "workerinput") and not programs.missing():
        build()
