"""What holds of every page that shows an OpenAPI document, whoever serves it."""

import http.client
from contextlib import closing
from html.parser import HTMLParser
from urllib.parse import urljoin, urlsplit

import requests
from tests.browser import Page

SECONDS = 20
"""That a server may take to answer."""

FILES = {
    "docs/favicon-32x32.png": "image/png",
    "docs/swagger-ui.css": "text/css; charset=utf-8",
    "docs/swagger-ui-bundle.js": "text/javascript; charset=utf-8",
    "docs/start.js": "text/javascript; charset=utf-8",
}
"""What a page loads, and of which kind it is."""


class Links(HTMLParser):
    """A page's links, and what of it would run or be drawn without being loaded."""

    def __init__(self, page: str) -> None:
        """Read a page."""
        super().__init__()
        self.found, self.inline = list[str](), list[str]()
        self._inside = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._inside = tag
        self.found += [value or "" for name, value in attrs if name in {"src", "href", "data-document", "action"}]
        self.inline += [f"{tag} {name}" for name, _ in attrs if name.startswith("on") or name == "style"]

    def handle_data(self, data: str) -> None:
        if self._inside in {"script", "style"} and data.strip():
            self.inline.append(data)


def check_page(url: str, document: str) -> None:
    """It and all that it loads are served here, of the right kind, under a policy that allows nothing else.

    Args:
        url: the page's.
        document: that of OpenAPI, as a link from the page.
    """
    page = requests.get(url, timeout=SECONDS)
    check_answer(url, page, "text/html; charset=utf-8")
    links = Links(page.text)
    page_url = url.removesuffix("/")
    expected = [urljoin(page_url, name) for name in (*FILES, document)]
    assert sorted(urljoin(url, link) for link in links.found) == sorted(expected)
    assert not [link for link in links.found if urlsplit(link).netloc or link.startswith("/")]
    assert links.inline == []
    for there, kind in zip(expected, FILES.values(), strict=False):
        check_answer(there, requests.get(there, timeout=SECONDS), kind)
    shown = requests.get(urljoin(page_url, document), timeout=SECONDS)
    assert shown.json()["openapi"].startswith("3.1")


def check_answer(url: str, answer: requests.Response, kind: str) -> None:
    """It is whole, and so are its head alone and the word that it has not changed."""
    assert (answer.status_code, answer.headers["Content-Type"]) == (200, kind)
    assert answer.content
    head = requests.head(url, timeout=SECONDS)
    assert head.status_code == 200
    assert {**head.headers, "date": ""} == {**answer.headers, "date": ""}
    assert int(head.headers["Content-Length"]) == len(answer.content)
    tag = answer.headers["ETag"]
    for known in (tag, f'"other", W/{tag}'):
        same = requests.get(url, headers={"If-None-Match": known}, timeout=SECONDS)
        assert (same.status_code, same.content, same.headers["ETag"]) == (304, b"", tag)
    assert requests.get(url, headers={"If-None-Match": '"other"'}, timeout=SECONDS).content == answer.content
    for each in (answer, head, same):
        check_headers(each)


def check_headers(answer: requests.Response) -> None:
    """The policy allows what this server has, and no script or style that is written into a page."""
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
    """Of the package that the files come from, and of its neighbours, nothing else can be had."""
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
    """The status of a path that is asked for as it stands."""
    found = urlsplit(url)
    with closing(http.client.HTTPConnection(found.netloc, timeout=SECONDS)) as connection:
        connection.request("GET", found.path)
        return connection.getresponse().status


def operation_paths(page: Page) -> list[str]:
    """The paths of all operations that a browser shows, in their order, once they can be seen."""
    paths = "[...document.querySelectorAll('.opblock-summary-path')].map(each => each.dataset.path)"
    page.wait(f"{paths}.length")
    found: list[str] = page.evaluate(paths)
    return found


def try_out(page: Page, path: str, body: str | None = None) -> str:
    """What the page shows as the answer to a POST, tried out on it with a body or with the document's example."""
    block = f'.opblock-post:has([data-path="{path}"])'
    page.click(f"{block} .opblock-summary-control")
    page.click(f"{block} .try-out__btn")
    if body:
        page.type(f"{block} textarea.body-param__text", body)
    page.click(f"{block} .execute")
    answer: str = page.wait(f"document.querySelector('{block} .live-responses-table .response')?.innerText")
    return answer


def check_no_complaints(page: Page, url: str) -> None:
    """It has asked the server alone, and the browser's console is empty."""
    assert page.complaints == []
    assert [each for each in page.asked if not each.startswith((f"{url}/", "data:image/"))] == []
