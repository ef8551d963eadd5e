"""A real browser shows and prints the report without a complaint, on a telephone and a wide screen, light and dark."""

import base64
from pathlib import Path

from tests.browser import Browser
from tests.reports.html.small_run import Run

from tabserve.reports.html import report
from tabserve.reports.html.page import Page, Section, Table, render

WIDE = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
BOXES = """[...document.querySelectorAll("figure")].map(figure => {
    const box = (element) => element.getBoundingClientRect();
    const inner = box(figure.querySelector("svg")), outer = box(figure);
    const room = outer.right - inner.right, below = outer.bottom - inner.bottom;
    return {width: inner.width, height: inner.height, room, below};
})"""
COLORS = "['backgroundColor', 'color'].map(name => getComputedStyle(document.body)[name])"

CUT = """(() => {
    const cut = (box) => box.scrollWidth > box.clientWidth || box.scrollHeight > box.clientHeight;
    return [...document.querySelectorAll(".scroll")].filter(cut).map(box => box.getAttribute("aria-label"));
})()"""
"""The tables that are not seen whole."""

SIGNS = """[...document.querySelectorAll(".scroll")].map(box => {
    const {overflowX, backgroundAttachment} = getComputedStyle(box);
    return [box.tabIndex, box.getAttribute("role"), overflowX, backgroundAttachment.split(", ").slice(0, 8)];
})"""
"""How a table is reached by keys, and what its shades do: four covers move with it, four shades stay at its edges."""

SIGN = [0, "region", "auto", ["local"] * 4 + ["scroll"] * 4]

CUT_PRINTED = """(() => {
    const right = document.documentElement.clientWidth;
    const cells = [...document.querySelectorAll("th, td, svg")];
    return cells.filter(cell => cell.getBoundingClientRect().right > right + 1).map(cell => cell.textContent);
})()"""

PRINTED = {"width": 688, "height": 1000, "deviceScaleFactor": 1, "mobile": False}
"""The width of a page of A4 between its margins, in pixels."""


def test_a_browser_shows_every_figure(run: Run, browser: Browser, tmp_path: Path) -> None:
    """Nothing is fetched, nothing is wider than the page, and each colour scheme has its own colours."""
    path = tmp_path / "report.html"
    html = report.render(*run, [{"name": "size", "role": "feature", "why": "numbers"}], [("size", "Look.")])
    path.write_text(html, encoding="utf-8")
    with browser.page(path.as_uri()) as page:
        page.wait("document.readyState === 'complete'")
        colors = []
        for scheme in ("light", "dark"):
            page.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
            colors.append(page.evaluate(COLORS))
            for width in (390, 1280):
                options = {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": width < 500}
                page.call("Emulation.setDeviceMetricsOverride", **options)
                assert page.evaluate(WIDE) <= 0
                boxes = page.evaluate(BOXES)
                assert boxes
                assert all(box["width"] > 200 and box["height"] > 60 for box in boxes)
                assert all(box["room"] >= 0 and box["below"] >= 0 for box in boxes)
        assert not {*colors[0]} & {*colors[1]}
        printed = base64.b64decode(page.call("Page.printToPDF", printBackground=True)["data"])
        assert printed.startswith(b"%PDF")
        assert page.complaints == []
        assert page.asked == [path.as_uri()]


def tables() -> str:
    """A page of a table that fits, a long one, and one of many columns, each with a word that is long."""
    word = "a_name_" * 6
    small = Table("small", ["measure", "model"], [("F1", "0.5")])
    words = ["numbers " * 9, "word"]
    long = Table("long", ["column", "role", "why"], [(f"{word}{row}", "feature", words[row % 2]) for row in range(60)])
    broad = Table("broad", ["measure", *[word] * 24], [("balanced accuracy", *["0.641 ± 0.018"] * 24)])
    return render(Page("tables", "", [], [Section("tables", "Tables", blocks=[small, long, broad])]))


def test_a_wide_or_long_table_shows_that_it_scrolls_and_is_printed_whole(browser: Browser, tmp_path: Path) -> None:
    """On a telephone a shade is at the edge of a table that is cut, and keys scroll it; on paper nothing is cut."""
    path = tmp_path / "tables.html"
    path.write_text(tables(), encoding="utf-8")
    with browser.page(path.as_uri()) as page:
        page.wait("document.readyState === 'complete'")
        page.call("Emulation.setDeviceMetricsOverride", **PRINTED | {"width": 390, "mobile": True})
        assert page.evaluate(CUT) == ["long", "broad"]
        assert page.evaluate(SIGNS) == [SIGN] * 3
        page.evaluate("document.querySelector('[aria-label=broad]').focus({preventScroll: true})")
        key = {"key": "ArrowRight", "code": "ArrowRight", "windowsVirtualKeyCode": 39}
        page.call("Input.dispatchKeyEvent", type="keyDown", **key)
        page.call("Input.dispatchKeyEvent", type="keyUp", **key)
        page.wait("document.querySelector('[aria-label=broad]').scrollLeft > 0")
        captions = page.evaluate("[...document.querySelectorAll('caption')].map(each => each.textContent)")
        assert ["scroll down for all" in caption for caption in captions] == [False, True, False]
        page.call("Emulation.setEmulatedMedia", media="print")
        page.call("Emulation.setDeviceMetricsOverride", **PRINTED)
        assert page.evaluate(CUT) == []
        assert page.evaluate(CUT_PRINTED) == []
