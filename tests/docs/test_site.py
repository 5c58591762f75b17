"""The site builds without a warning and needs no network to be read."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from lxml import html
from support import needs
from support.pages import DOCS, ROOT


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site") / "built"
    words = [sys.executable, "-m", "mkdocs", "build", "--strict", "-q", "-d", str(folder)]
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    done = subprocess.run(
        words, cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return folder


def test_every_page_of_the_docs_is_in_the_site(site: Path) -> None:
    wanted = {each.relative_to(DOCS).with_suffix(".html") for each in DOCS.rglob("*.md")}
    assert wanted <= {each.relative_to(site) for each in site.rglob("*.html")}


def test_nothing_is_loaded_from_elsewhere(site: Path) -> None:
    loads = ("//script/@src", "//img/@src", "//link[@rel!='canonical']/@href", "//iframe/@src")
    for page in site.rglob("*.html"):
        tree = html.document_fromstring(page.read_bytes())
        for path in (found for query in loads for found in tree.xpath(query)):
            assert not re.match(r"(https?:)?//", path), f"{page.name} loads {path}"
    for sheet in site.rglob("*.css"):
        assert not re.search(r"(url\(|@import )[\"']?(https?:)?//", sheet.read_text()), sheet


def test_links_and_anchors_between_pages_lead_somewhere(site: Path) -> None:
    for page in site.rglob("*.html"):
        tree = html.document_fromstring(page.read_bytes())
        for link in tree.xpath("//article//a/@href"):
            if re.match(r"[a-z]+:", link):
                continue
            name, _, anchor = link.partition("#")
            target = (page.parent / name).resolve() if name else page
            assert target.is_file(), f"{page.name}: {link}"
            if anchor:
                there = html.document_fromstring(target.read_bytes())
                assert there.xpath(f"//*[@id='{anchor}']"), f"{page.name}: {link}"


def test_search_works_from_a_file_without_network(site: Path, tmp_path: Path) -> None:
    chromium = needs.program("chromium")
    asked = (site / "index.html").as_uri() + "?q=hosts.toml"
    words = [
        chromium, "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path}",
        "--host-resolver-rules=MAP * ~NOTFOUND", "--virtual-time-budget=20000", "--dump-dom", asked,
    ]  # fmt: skip
    done = subprocess.run(words, capture_output=True, text=True, timeout=120, check=False)
    found = html.document_fromstring(done.stdout).xpath(
        "//li[@class='md-search-result__item']//a/@href"
    )
    assert found, done.stderr[-2000:]
