"""What the HTML page costs: 10,000 nodes, alike and each unlike all others, in Chromium."""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from support.browser import browser, written
from support.large_sites import distinct, one_in_a_hundred

from gapcheck.record import Record


def main(count: int) -> None:
    makers: dict[str, Callable[[], Record]] = {
        "as a site has them": lambda: one_in_a_hundred(count),
        "unlike each other, 40 checks": lambda: distinct(count, 40),
    }
    with browser() as chromium, tempfile.TemporaryDirectory() as scratch:
        for name, make in makers.items():
            start = time.perf_counter()
            record = make()
            made = time.perf_counter() - start
            start = time.perf_counter()
            address = written(record, Path(scratch))
            wrote = time.perf_counter() - start
            size = (Path(scratch) / "report.html").stat().st_size / 2**20
            page = chromium.new_page()
            start = time.perf_counter()
            page.goto(address)
            page.locator("#tools").wait_for()
            opened = time.perf_counter() - start
            start = time.perf_counter()
            page.locator("#filter").fill(f"{count - 1}")
            page.locator("#told:not(:empty)").wait_for()
            filtered = time.perf_counter() - start
            page.close()
            print(
                f"page, {len(record.verdicts)} verdicts of {count} nodes {name}: {size:.1f} MB,"
                f" written in {wrote:.1f} s ({wrote / made:.2f}x of making them),"
                f" opened in {opened:.1f} s, filtered in {filtered:.1f} s"
            )


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 10_000)
