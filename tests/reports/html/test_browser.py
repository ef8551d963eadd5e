"""A real browser shows and prints the report without a complaint, on a telephone and a wide screen, light and dark."""

import base64
from pathlib import Path

from tests.browser import Browser
from tests.reports.html.small_run import Run

from tabserve.reports.html import report

WIDE = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
BOXES = """[...document.querySelectorAll("figure")].map(figure => {
    const box = (element) => element.getBoundingClientRect();
    const inner = box(figure.querySelector("svg")), outer = box(figure);
    const room = outer.right - inner.right, below = outer.bottom - inner.bottom;
    return {width: inner.width, height: inner.height, room, below};
})"""
COLORS = "['backgroundColor', 'color'].map(name => getComputedStyle(document.body)[name])"


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
