"""Checks for every Swagger UI page, whichever server serves it."""

import http.client
from contextlib import closing
from html.parser import HTMLParser
from urllib.parse import urljoin, urlsplit

import requests
from tests.browser import Page

SECONDS = 20
"""Most time that a server may take to answer."""

FILES = {
    "docs/favicon-32x32.png": "image/png",
    "docs/swagger-ui.css": "text/css; charset=utf-8",
    "docs/swagger-ui-bundle.js": "text/javascript; charset=utf-8",
    "docs/start.js": "text/javascript; charset=utf-8",
}
"""The files that a page loads, with their content type."""


class Links(HTMLParser):
    """The links of a page, and its inline scripts, handlers and styles."""

    def __init__(self, page: str) -> None:
        """Parse a page."""
        super().__init__()
        self.links, self.inline = list[str](), list[str]()
        self._inside = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._inside = tag
        self.links += [value or "" for name, value in attrs if name in {"src", "href", "data-document", "action"}]
        self.inline += [f"{tag} {name}" for name, _ in attrs if name.startswith("on") or name == "style"]

    def handle_data(self, data: str) -> None:
        if self._inside in {"script", "style"} and data.strip():
            self.inline.append(data)


def check_page(url: str, document: str) -> None:
    """Check that a page and its files are served with the right types, and under a policy that allows nothing else.

    Args:
        url: of the page.
        document: the relative link from the page to its OpenAPI document.
    """
    page = requests.get(url, timeout=SECONDS)
    check_answer(url, page, "text/html; charset=utf-8")
    parsed = Links(page.text)
    page_url = url.removesuffix("/")
    expected = [urljoin(page_url, name) for name in (*FILES, document)]
    assert sorted(urljoin(url, link) for link in parsed.links) == sorted(expected)
    assert not [link for link in parsed.links if urlsplit(link).netloc or link.startswith("/")]
    assert parsed.inline == []
    for file_url, kind in zip(expected, FILES.values(), strict=False):
        check_answer(file_url, requests.get(file_url, timeout=SECONDS), kind)
    openapi = requests.get(urljoin(page_url, document), timeout=SECONDS)
    assert openapi.json()["openapi"].startswith("3.1")


def check_answer(url: str, answer: requests.Response, kind: str) -> None:
    """Check the response to GET, that to HEAD, and 304 for a known entity tag."""
    assert (answer.status_code, answer.headers["Content-Type"]) == (200, kind)
    assert answer.content
    head = requests.head(url, timeout=SECONDS)
    assert head.status_code == 200
    assert {**head.headers, "date": ""} == {**answer.headers, "date": ""}
    assert int(head.headers["Content-Length"]) == len(answer.content)
    tag = answer.headers["ETag"]
    for known in (tag, f'"other", W/{tag}'):
        unchanged = requests.get(url, headers={"If-None-Match": known}, timeout=SECONDS)
        assert (unchanged.status_code, unchanged.content, unchanged.headers["ETag"]) == (304, b"", tag)
    assert requests.get(url, headers={"If-None-Match": '"other"'}, timeout=SECONDS).content == answer.content
    for response in (answer, head, unchanged):
        check_headers(response)


def check_headers(answer: requests.Response) -> None:
    """Check that the policy allows this server's files only, and no inline script or style."""
    headers = answer.headers
    rules = dict(rule.strip().split(" ", 1) for rule in headers["Content-Security-Policy"].split(";"))
    assert {name: rules.pop(name) for name in ("img-src", "default-src")} == {
        "img-src": "'self' data:",
        "default-src": "'none'",
    }
    assert {"base-uri", "form-action", "frame-ancestors"} <= {name for name in rules if rules[name] == "'none'"}
    assert set(rules.values()) == {"'self'", "'none'"}
    assert (headers["X-Content-Type-Options"], headers["Cache-Control"]) == ("nosniff", "no-cache")


def check_nothing_else_is_served(page: str) -> None:
    """Check that no other file of the package or beside it is served."""
    for name in (
        "/",
        "index.html",
        "oauth2-redirect.html",
        "oauth2-redirect",
        "swagger-ui.js",
        "__init__.py",
        "../main.py",
        "..%2fmain.py",
        "%2e%2e/main.py",
        "..%5cmain.py",
        "swagger-ui.css%00",
        "/etc/passwd",
        "%2fetc%2fpasswd",
    ):
        assert status_of(f"{page}/{name}") == 404, name
    for method in ("POST", "PUT", "DELETE"):
        refused = requests.request(method, page, timeout=SECONDS)
        assert refused.status_code == 405
        assert refused.json().keys() == {"error"}


def status_of(url: str) -> int:
    """The status of a GET whose path is sent exactly as written."""
    parts = urlsplit(url)
    with closing(http.client.HTTPConnection(parts.netloc, timeout=SECONDS)) as connection:
        connection.request("GET", parts.path)
        return connection.getresponse().status


def operation_paths(page: Page) -> list[str]:
    """Wait until the page shows operations; returns their paths in order."""
    script = "[...document.querySelectorAll('.opblock-summary-path')].map(element => element.dataset.path)"
    page.wait(f"{script}.length")
    paths: list[str] = page.evaluate(script)
    return paths


def try_out(page: Page, path: str, body: str | None = None) -> str:
    """Send a POST by `Try it out`, with a body or the document's example; returns the response that the page shows."""
    block = f'.opblock-post:has([data-path="{path}"])'
    page.click(f"{block} .opblock-summary-control")
    page.click(f"{block} .try-out__btn")
    if body:
        page.type(f"{block} textarea.body-param__text", body)
    page.click(f"{block} .execute")
    answer: str = page.wait(f"document.querySelector('{block} .live-responses-table .response')?.innerText")
    return answer


def check_no_complaints(page: Page, url: str) -> None:
    """Check that the page loaded from this server only, and that the browser's console is empty."""
    assert page.complaints == []
    assert [address for address in page.asked if not address.startswith((f"{url}/", "data:image/"))] == []
