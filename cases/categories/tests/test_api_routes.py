"""HEAD, OPTIONS, trailing slashes and Host headers on every route of the API."""

import socket

import pytest
from cases.categories.tests.served import Api
from tests.case_api import SECONDS, Answer

from tabserve.serving.rest.swagger import KINDS

GET_ROUTES = [
    "/health",
    "/ready",
    "/metrics",
    "/openapi.json",
    "/docs",
    "/docs/start.js",
    *(f"/docs/{name}" for name in KINDS),
]
"""The paths of all routes that answer GET."""

CHANGING = {"/metrics", "/health"}
"""The paths whose answers hold numbers that change."""

POST_ROUTES = ["/v1/categorize", "/v1/probabilities"]
GOOD = b'{"products": [{"title": "Lembrancinha"}]}'


def without_changing_headers(path: str, answer: Answer) -> Answer:
    """An answer without the date and the numbers of metrics and health, which change."""
    changing = {"date", *(["content-length"] if path in CHANGING else [])}
    headers = {name: value for name, value in answer.headers.items() if name not in changing}
    return answer._replace(headers=headers, body=b"" if path in CHANGING else answer.body)


@pytest.mark.parametrize("path", GET_ROUTES)
def test_head_and_options_are_answered_wherever_get_is(title_api: Api, path: str) -> None:
    """HEAD gives GET's status and headers without a body, and OPTIONS the allowed methods."""
    got, head, options = (title_api.ask(method, path) for method in ("GET", "HEAD", "OPTIONS"))
    assert (got.status, head.body) == (200, b"")
    assert int(got.headers["content-length"]) == len(got.body) > 0
    assert without_changing_headers(path, head) == without_changing_headers(path, got)._replace(body=b"")
    assert (options.status, options.headers["allow"], options.body) == (200, "GET, HEAD, OPTIONS", b"")


@pytest.mark.parametrize("path", ["*", *POST_ROUTES])
def test_options_name_post_where_it_is_taken(title_api: Api, path: str) -> None:
    """`*` gives the methods of all routes together."""
    answer = title_api.ask("OPTIONS", path)
    allowed = "GET, HEAD, OPTIONS, POST" if path == "*" else "OPTIONS, POST"
    assert (answer.status, answer.headers["allow"], answer.body) == (200, allowed, b"")


@pytest.mark.parametrize("path", GET_ROUTES)
def test_a_trailing_slash_does_not_matter(title_api: Api, path: str) -> None:
    """Only the page's relative links differ, as browsers resolve them against the path."""
    plain, slashed = (without_changing_headers(path, title_api.ask("GET", spelled)) for spelled in (path, f"{path}/"))
    assert slashed.status == 200
    assert slashed == plain or path == "/docs"


@pytest.mark.parametrize("path", POST_ROUTES)
def test_products_may_be_posted_to_a_path_with_a_trailing_slash(title_api: Api, path: str) -> None:
    """Both paths give the same answer."""
    plain, slashed = (title_api.ask("POST", spelled, GOOD) for spelled in (path, f"{path}/"))
    assert (slashed.status, slashed.body) == (plain.status, plain.body)
    assert slashed.status == 200


@pytest.mark.parametrize(
    "path", ["/docs%2Fstart.js", "/docs%2f", "/health%2F", "/v1%2Fcategorize", "/v1%2fprobabilities"]
)
def test_an_encoded_slash_is_no_separator(title_api: Api, path: str) -> None:
    """A path with an encoded slash gets 404."""
    assert [title_api.ask(method, path, GOOD).status for method in ("GET", "POST")] == [404, 404]


@pytest.mark.parametrize("path", [*GET_ROUTES, *POST_ROUTES, "*"])
def test_a_request_with_two_hosts_is_refused_on_every_route(title_api: Api, path: str) -> None:
    """The answer is 400 and says that there are two Host headers."""
    method = "OPTIONS" if path == "*" else "GET"
    with socket.create_connection(("127.0.0.1", title_api.port), timeout=SECONDS) as connection:
        connection.sendall(f"{method} {path} HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n".encode())
        answer = b"".join(iter(lambda: connection.recv(65_536), b""))
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert b"The request has 2 Host headers" in answer
