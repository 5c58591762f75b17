"""Programs a test needs: one skip line where one is absent, a failure under CI=1."""

from __future__ import annotations

import os
import shutil

import pytest


def program(name: str) -> str:
    """Path of the program `name`; skips the test where it is absent, fails it under CI=1."""
    path = os.environ.get("PATH", "") + ":/usr/local/sbin:/usr/sbin:/sbin"
    found = shutil.which(name, path=path)
    if found is None:
        absent(f"{name} is not installed")
    return found or ""


def absent(why: str) -> None:
    """End the test: a skip, or a failure under CI=1."""
    if os.environ.get("CI"):
        pytest.fail(why)
    pytest.skip(why)
