"""What holds of every route of the API, however its path is spelled and whoever names the host."""

import socket

import pytest
from cases.categories.tests.served import SECONDS, Answer, Api

from tabserve.serving.rest.swagger import KINDS

READ = [
    "/health",
    "/ready",
    "/metrics",
    "/openapi.json",
    "/docs",
    "/docs/start.js",
    *(f"/docs/{name}" for name in KINDS),
]
"""The paths of all routes that answer GET."""

ASKED = ["/v1/categorize", "/v1/probabilities"]
GOOD = b'{"products": [{"title": "Lembrancinha"}]}'


def steady(path: str, answer: Answer) -> Answer:
    """An answer without what changes from one to the next: the time, and the metrics' numbers."""
    changing = {"date", *(["content-length"] if path == "/metrics" else [])}
    headers = {name: value for name, value in answer.headers.items() if name not in changing}
    return answer._replace(headers=headers, body=b"" if path == "/metrics" else answer.body)


@pytest.mark.parametrize("path", READ)
def test_head_and_options_are_answered_wherever_get_is(titled: Api, path: str) -> None:
    """HEAD with GET's status and headers and no body, OPTIONS by the methods that there are."""
    got, head, options = (titled.ask(method, path) for method in ("GET", "HEAD", "OPTIONS"))
    assert (got.status, head.body) == (200, b"")
    assert int(got.headers["content-length"]) == len(got.body) > 0
    assert steady(path, head) == steady(path, got)._replace(body=b"")
    assert (options.status, options.headers["allow"], options.body) == (200, "GET, HEAD, OPTIONS", b"")


@pytest.mark.parametrize("path", ["*", *ASKED])
def test_options_name_post_where_it_is_taken(titled: Api, path: str) -> None:
    """`*` asks for the methods of all routes together."""
    answer = titled.ask("OPTIONS", path)
    allowed = "GET, HEAD, OPTIONS, POST" if path == "*" else "OPTIONS, POST"
    assert (answer.status, answer.headers["allow"], answer.body) == (200, allowed, b"")


@pytest.mark.parametrize("path", READ)
def test_a_slash_behind_a_path_says_nothing(titled: Api, path: str) -> None:
    """But for links, which browsers take from that path."""
    plain, slashed = (steady(path, titled.ask("GET", spelled)) for spelled in (path, f"{path}/"))
    assert slashed.status == 200
    assert slashed == plain or path == "/docs"


@pytest.mark.parametrize("path", ASKED)
def test_products_may_be_sent_to_a_path_with_a_slash_behind_it(titled: Api, path: str) -> None:
    """The same answer."""
    plain, slashed = (titled.ask("POST", spelled, GOOD) for spelled in (path, f"{path}/"))
    assert (slashed.status, slashed.body) == (plain.status, plain.body)
    assert slashed.status == 200


@pytest.mark.parametrize(
    "path", ["/docs%2Fstart.js", "/docs%2f", "/health%2F", "/v1%2Fcategorize", "/v1%2fprobabilities"]
)
def test_an_encoded_slash_parts_nothing(titled: Api, path: str) -> None:
    """There is no such path."""
    assert [titled.ask(method, path, GOOD).status for method in ("GET", "POST")] == [404, 404]


@pytest.mark.parametrize("path", [*READ, *ASKED, "*"])
def test_a_request_with_two_hosts_is_refused_on_every_route(titled: Api, path: str) -> None:
    """With 400, and a sentence that says so."""
    method = "OPTIONS" if path == "*" else "GET"
    with socket.create_connection(("127.0.0.1", titled.port), timeout=SECONDS) as connection:
        connection.sendall(f"{method} {path} HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n".encode())
        found = b"".join(iter(lambda: connection.recv(65_536), b""))
    assert found.startswith(b"HTTP/1.1 400 ")
    assert b"The request has 2 Host headers" in found
