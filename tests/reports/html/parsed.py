"""Read a report as a browser does, and check what is true of every report."""

import re
from html.parser import HTMLParser
from xml.etree import ElementTree as ET

VOID = {"meta", "br", "hr", "img", "link", "input"}
"""Elements of HTML without an end tag."""

MAX_BYTES = 2_000_000


class Page(HTMLParser):
    """A page's elements, ids, table cells and text; raises AssertionError if elements are not closed in order."""

    def __init__(self, html: str) -> None:
        """Parse a page."""
        super().__init__()
        self.tags, self.ids, self.links, self.labels = list[str](), list[str](), list[str](), list[str]()
        self.rows: list[int] = []
        self.text = ""
        self._open: list[str] = []
        self.feed(html)
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        named = {name: value or "" for name, value in attrs}
        self.tags.append(tag)
        self.ids += [named["id"]] if "id" in named else []
        self.links += [named[name] for name in ("href", "src") if name in named]
        self.labels += [named["aria-label"]] if tag == "figure" else []
        assert not [name for name in named if name.startswith("on")]
        if tag == "tr":
            self.rows.append(0)
        elif tag in {"th", "td"}:
            self.rows[-1] += 1
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self._open.pop()

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self._open and self._open[-1] != "style":
            self.text += f"{data}\n"


def check(html: str) -> Page:
    """Check that a report stands alone, is well-formed, labels its figures, and holds no script."""
    page = Page(html)
    assert html.startswith('<!doctype html>\n<html lang="en">')
    assert len(html.encode()) < MAX_BYTES
    assert {"script", "img", "link", "iframe", "b>"} & {*page.tags} == set()
    assert re.findall(r"https?:|@import|url\((?!#)", html) == []
    assert {link[0] for link in page.links} == {"#"}
    assert {link[1:] for link in page.links} <= {*page.ids}
    assert len({*page.ids}) == len(page.ids)
    assert "" not in page.labels
    assert len(page.labels) == page.tags.count("figure") == page.tags.count("svg") > 0
    assert "nan" not in page.text.split()
    for svg in re.findall(r"<svg.*?</svg>", html, flags=re.DOTALL):
        ET.fromstring(svg)
    return page
