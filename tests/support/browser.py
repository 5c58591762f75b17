"""A real browser for pages: Debian's Chromium, driven by playwright."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Browser, sync_playwright
from support.needs import program

from gapcheck.record import Record
from gapcheck.reports import html


@contextmanager
def browser() -> Iterator[Browser]:
    """A headless Chromium; skips the test where there is none, fails it under CI=1."""
    path = program("chromium")
    with sync_playwright() as driver:
        # Chromium's own sandbox does not run as root, and the pages are ours.
        found = driver.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield found
        found.close()


def page_text(record: Record) -> str:
    """The page of `record`."""
    out = io.StringIO()
    html.write(record, out)
    return out.getvalue()


def written(record: Record, folder: Path) -> str:
    """The address of the page of `record`, written below `folder`."""
    path = folder / "report.html"
    path.write_text(page_text(record), encoding="utf-8")
    return path.as_uri()
