"""The page in a real browser: reading without a script, filters, links, keys, print, axe."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect
from support.browser import browser, written
from support.large_sites import one_in_a_hundred, three_roots
from support.records import every_status

from gapcheck.record import Record

Scheme = Literal["light", "dark"]


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with browser() as found:
        yield found


@pytest.fixture(scope="module")
def site_300() -> Record:
    return three_roots(300)


@pytest.fixture(scope="module")
def address(site_300: Record, tmp_path_factory: pytest.TempPathFactory) -> str:
    return written(site_300, tmp_path_factory.mktemp("site"))


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> str:
    return written(every_status(), tmp_path_factory.mktemp("small"))


class Told:
    """An open page, what it asked for and what it complained of."""

    def __init__(self, chromium: Browser, address: str, **options: Any) -> None:
        self.page: Page = chromium.new_page(**options)
        self.requests: list[str] = []
        self.complaints: list[str] = []
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.on("console", lambda said: self.complaints.append(said.text))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.goto(address)


@pytest.fixture
def page(chromium: Browser, address: str) -> Iterator[Page]:
    told = Told(chromium, address, viewport={"width": 1400, "height": 900})
    yield told.page
    assert told.complaints == []
    told.page.close()


def shown_cards(page: Page) -> list[str]:
    return [card.get_attribute("id") or "" for card in page.locator("article:visible").all()]


def test_page_asks_for_nothing_but_itself_and_complains_of_nothing(
    chromium: Browser, small: str
) -> None:
    told = Told(chromium, small)
    told.page.wait_for_load_state("networkidle")
    assert told.requests == [small]
    assert told.complaints == []


def test_findings_read_without_a_script(chromium: Browser, small: str) -> None:
    page = Told(chromium, small, java_script_enabled=False).page
    expect(page.locator("#tools")).to_be_hidden()
    card = page.locator("[id='CERT-SAN-001']")
    expect(card.get_by_text("CN=registry.local")).to_be_visible()
    explain = card.get_by_text("gapcheck explain CERT-SAN-001")
    expect(explain).to_be_hidden()
    card.get_by_text("what this check requires").click()
    expect(explain).to_be_visible()


def test_link_opens_a_closed_finding_and_marks_it(chromium: Browser, small: str) -> None:
    page = Told(chromium, f"{small}#NODE-TRUST-006").page
    card = page.locator("[id='NODE-TRUST-006']")
    expect(card.locator("details").first).to_have_attribute("open", "")
    expect(card).to_have_class("card warn found")
    expect(card).to_be_in_viewport()
    expect(card.locator("summary").first).to_be_focused()


def test_link_to_a_check_without_a_finding_leads_to_its_line(chromium: Browser, small: str) -> None:
    page = Told(chromium, f"{small}#REG-NET-001").page
    expect(page.get_by_text("connected: 10.0.0.2:443")).to_be_visible()
    expect(page.locator("[id='check.REG-NET-001']")).to_be_in_viewport()


def test_link_to_a_verdict_shows_the_finding_that_holds_the_node(
    chromium: Browser, address: str
) -> None:
    page = Told(chromium, f"{address}#NODE-TRUST-001::node/rack0-n00005").page
    expect(page.locator("[id='NODE-TRUST-001']")).to_have_class("card fail found")
    expect(page.locator("#filter")).to_have_value("node/rack0-n00005")
    row = page.locator("#matrix tbody tr")
    expect(row).to_have_count(1)
    expect(row.locator("th")).to_have_text("rack0-n00005 (and 59 equal nodes)")


def test_link_to_a_node_shows_what_concerns_it_alone(chromium: Browser, address: str) -> None:
    page = Told(chromium, f"{address}#node/rack0-n00005").page
    assert "NODE-TRUST-001" in shown_cards(page)
    assert "CERT-LIFE-001" not in shown_cards(page)
    expect(page.locator("#findings h3:visible")).to_have_text(
        [re.compile("Root causes"), re.compile("Warnings")]
    )
    page.goto("about:blank")
    page.goto(f"{address}#node/rack0-n00001")
    assert "NODE-TRUST-001" not in shown_cards(page)


def test_filter_by_check_leaves_that_column_alone(page: Page) -> None:
    page.locator("#filter").fill("node-trust-001")
    finding, gap = shown_cards(page)
    assert finding == "NODE-TRUST-001"
    expect(page.locator(f"[id='{gap}']")).to_contain_text("NODE-TRUST-001")
    expect(page.locator("#matrix thead th.check:visible")).to_have_text(["NODE-TRUST-001"])
    expect(page.locator("#matrix tbody td:visible")).to_have_count(
        page.locator("#matrix tbody tr").count()
    )
    lines = page.locator("table.checks tbody tr:visible").all()
    assert lines
    assert all("NODE-TRUST-001" in (line.text_content() or "") for line in lines)


def test_filter_by_status_leaves_nodes_that_have_it(page: Page) -> None:
    page.get_by_role("button", name="failed").click()
    expect(page.get_by_role("button", name="failed")).to_have_attribute("aria-pressed", "true")
    cards = page.locator("article:visible")
    assert {card.get_attribute("data-s") for card in cards.all()} == {"f"}
    expect(page.locator("#told")).to_contain_text("60 nodes")


def test_filter_is_in_the_address_and_opens_again(page: Page) -> None:
    page.locator("#filter").fill("rack3 node-trust")
    page.get_by_role("button", name="failed").click()
    told = page.locator("#told").text_content()
    address = page.url
    assert "q=rack3" in address
    page.goto("about:blank")
    page.goto(address)
    expect(page.locator("#told")).to_have_text(told or "nothing")
    expect(page.locator("#filter")).to_have_value("rack3 node-trust")


def test_escape_shows_everything_again(page: Page) -> None:
    before = page.locator("#main").inner_text()
    page.keyboard.press("/")
    page.keyboard.type("rack3")
    assert len(shown_cards(page)) < page.locator("article").count()
    page.keyboard.press("Escape")
    expect(page.locator("article:visible")).to_have_count(page.locator("article").count())
    expect(page.locator("#filter")).not_to_be_focused()
    assert page.locator("#main").inner_text() == before


def test_j_and_k_walk_the_findings_and_enter_opens_one(page: Page) -> None:
    cards = shown_cards(page)
    for _ in range(3):
        page.keyboard.press("j")
    page.keyboard.press("k")
    focused = page.locator("article:has(> details > summary:focus)")
    expect(focused).to_have_attribute("id", cards[1])
    is_open = focused.locator("> details").get_attribute("open")
    page.keyboard.press("Enter")
    assert (focused.locator("> details").get_attribute("open") is None) != (is_open is None)


def test_keys_typed_into_the_filter_are_text(page: Page) -> None:
    page.keyboard.press("/")
    page.keyboard.type("jk?t/")
    expect(page.locator("#filter")).to_have_value("jk?t/")
    expect(page.locator("#help")).to_be_hidden()


def test_question_mark_tells_the_keys(page: Page) -> None:
    page.keyboard.press("?")
    expect(page.get_by_role("dialog", name="Keys")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.locator("#help")).to_be_hidden()


def test_theme_is_the_system_s_until_it_is_chosen(chromium: Browser, small: str) -> None:
    page = Told(chromium, small, color_scheme="dark").page
    dark = background(page)
    page.keyboard.press("t")
    assert background(page) != dark
    page.keyboard.press("t")
    assert background(page) == dark
    expect(page.locator("#theme")).to_have_text("theme: dark")


def background(page: Page) -> str:
    found: str = page.evaluate("getComputedStyle(document.body).backgroundColor")
    return found


@pytest.mark.parametrize("script", [True, False], ids=["script", "no script"])
def test_print_opens_what_is_folded(chromium: Browser, small: str, script: bool) -> None:
    page = Told(chromium, small, java_script_enabled=script).page
    folded = page.locator("[id='NODE-TRUST-006']").get_by_text("gapcheck explain NODE-TRUST-006")
    expect(folded).to_be_hidden()
    page.emulate_media(media="print")
    box = folded.bounding_box()
    assert box is not None
    assert box["height"] > 0
    assert folded.evaluate("e => e.checkVisibility({contentVisibilityAuto: true})")
    expect(page.locator("#bar")).to_be_hidden()


def test_ten_thousand_nodes_open_and_one_is_found(chromium: Browser, tmp_path: Path) -> None:
    page = Told(chromium, written(one_in_a_hundred(10_000), tmp_path)).page
    expect(page.locator("#matrix tbody tr")).to_have_count(2)
    page.locator("#filter").fill("n04242")
    expect(page.locator("#matrix tbody th")).to_have_text("n04242 (and 9,899 equal nodes)")


@pytest.mark.parametrize("width", [390, 800, 1400])
def test_nothing_is_wider_than_the_window(chromium: Browser, address: str, width: int) -> None:
    page = Told(chromium, address, viewport={"width": width, "height": 900}).page
    assert page.evaluate("document.documentElement.scrollWidth") <= width


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1400])
def test_axe_finds_nothing(
    chromium: Browser, address: str, small: str, scheme: Scheme, width: int
) -> None:
    for each in (address, small):
        told = Told(chromium, each, viewport={"width": width, "height": 900}, color_scheme=scheme)
        told.page.evaluate(
            "for (const box of document.querySelectorAll('details')) box.open = true"
        )
        found = Axe().run(told.page)
        assert found.violations_count == 0, found.generate_report()
        told.page.close()
