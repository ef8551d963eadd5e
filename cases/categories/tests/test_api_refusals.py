"""Every kind of bad input gets its own answer from the real process, and the next good request a good one."""

import json
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from cases.categories.tests.served import SECONDS, Api, api
from cases.categories.tests.weighed import WORDS

ROUTES = ["/v1/categorize", "/v1/probabilities"]
GOOD = b'{"products": [{"title": "Lembrancinha"}]}'

BAD = {
    "empty body": b"",
    "no JSON": b"products",
    "cut off": GOOD[:-1],
    "something behind": GOOD + b"x",
    "bad UTF-8": b'{"products": [{"title": "Beb\xea"}]}',
    "byte order mark": b"\xef\xbb\xbf" + GOOD,
    "lone surrogate": b'{"products": [{"title": "Quadro \\ud800"}]}',
    "deep nesting": b'{"products": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    "NaN": b'{"products": [{"title": "Quadro", "price": NaN}]}',
    "huge number": b'{"products": [{"title": 1e999}]}',
    "a list": b"[]",
    "a text": b'"products"',
    "null": b"null",
    "no products": b"{}",
    "products null": b'{"products": null}',
    "products an object": b'{"products": {"title": "Quadro"}}',
    "products a text": b'{"products": "Quadro"}',
    "no product": b'{"products": []}',
    "a product null": b'{"products": [null]}',
    "a product a text": b'{"products": ["Quadro"]}',
    "a product a list": b'{"products": [["title", "Quadro"]]}',
    "no title": b'{"products": [{}]}',
    "only a query": b'{"products": [{"query": "quadro"}]}',
    "title of another case": b'{"products": [{"Title": "Quadro"}]}',
    "title null": b'{"products": [{"title": null}]}',
    "title a number": b'{"products": [{"title": 1}]}',
    "title true": b'{"products": [{"title": true}]}',
    "title a list": b'{"products": [{"title": ["Quadro"]}]}',
    "title an object": b'{"products": [{"title": {"pt": "Quadro"}}]}',
    "title empty": b'{"products": [{"title": ""}]}',
    "title blank": '{"products": [{"title": " \\n\u00a0\u2003"}]}'.encode(),
    "title of signs": '{"products": [{"title": "!? 🎉"}]}'.encode(),
    "one of several": b'{"products": [{"title": "Quadro"}, {"title": ""}]}',
}


@pytest.fixture(scope="module")
def small(by_title: Path) -> Iterator[Api]:
    """An API that takes few products, few bytes, and waits for none of them for long."""
    limits = {"TABSERVE_MAX_ROWS": "3", "TABSERVE_MAX_BODY_BYTES": "5000", "TABSERVE_RECEIVE_SECONDS": "1"}
    with api(by_title, **limits) as running:
        yield running


def raw(api: Api, text: bytes) -> bytes:
    """All that comes back for bytes on a bare connection, until it ends."""
    with socket.create_connection(("127.0.0.1", api.port), timeout=SECONDS) as connection:
        connection.sendall(text)
        return b"".join(iter(lambda: connection.recv(2**16), b""))


def head(*lines: str) -> bytes:
    """The head of a request after whose answer the connection ends."""
    return "\r\n".join(["POST /v1/categorize HTTP/1.1", "Host: x", "Connection: close", *lines, "", ""]).encode()


@pytest.mark.parametrize("route", ROUTES)
@pytest.mark.parametrize("body", BAD.values(), ids=BAD)
def test_bad_input_is_refused_in_one_sentence(titled: Api, route: str, body: bytes) -> None:
    """With 400, never 422 or 500; and the application goes on."""
    answer = titled.ask("POST", route, body)
    assert (answer.status, answer.headers["content-type"]) == (400, "application/json")
    assert [*answer.document] == ["error"]
    assert answer.document["error"].endswith((".", "…"))
    assert titled.categories(["Lembrancinha"]) == ["Lembrancinhas"]


@pytest.mark.parametrize("route", ROUTES)
def test_a_refusal_names_the_products_index(titled: Api, route: str) -> None:
    """And what was expected of it."""
    answer = titled.post([{"title": "Quadro"}, {"title": 7}], route)
    assert answer.document == {"error": "products[1].title is 7; expected a text."}


@pytest.mark.parametrize("kind", [None, "", "application/json", "text/plain", "application/x-www-form-urlencoded", "?"])
def test_what_the_content_type_says_does_not_matter(titled: Api, kind: str | None) -> None:
    """What is JSON is read as such, and what is not is refused as such."""
    headers = {} if kind is None else {"Content-Type": kind}
    assert titled.ask("POST", "/v1/categorize", GOOD, headers).status == 200
    assert titled.ask("POST", "/v1/categorize", b"title=Quadro", headers).status == 400


@pytest.mark.parametrize("tags", [7, [], {}, True])
def test_another_column_of_the_model_must_be_text(tagged: Api, tags: object) -> None:
    """Where it was trained with it."""
    answer = tagged.post([{"title": "Quadro", "concatenated_tags": tags}])
    assert answer.status == 400
    assert answer.document["error"].startswith("products[0].concatenated_tags is ")


def test_more_products_than_allowed_are_too_large(small: Api) -> None:
    """413, and as many as allowed are answered."""
    assert small.post([{"title": "Quadro"}] * 3).status == 200
    answer = small.post([{"title": "Quadro"}] * 4)
    assert (answer.status, answer.document) == (
        413,
        {"error": "The request has 4 products; send at most 3 at a time."},
    )


def test_a_title_of_more_characters_than_allowed_is_too_large(titled: Api) -> None:
    """413, whatever letters they are."""
    assert titled.post([{"title": "ê" * 1_000}]).status == 200
    answer = titled.post([{"title": "Quadro"}, {"title": "ê" * 1_001}])
    assert answer.status == 413
    assert answer.document["error"].startswith("products[1].title has 1001 characters")


def test_a_body_of_more_bytes_than_allowed_is_too_large(small: Api) -> None:
    """413, before it is here: from its length where that is told, else as soon as too much has come."""
    whole = GOOD + b" " * 5_000
    assert raw(small, head(f"Content-Length: {len(whole)}") + whole).startswith(b"HTTP/1.1 413 ")
    assert raw(small, head("Content-Length: 999999999")).startswith(b"HTTP/1.1 413 ")
    chunks = b"".join(b"400\r\n" + b" " * 1024 + b"\r\n" for _ in range(6))
    assert raw(small, head("Transfer-Encoding: chunked") + chunks).startswith(b"HTTP/1.1 413 ")


def test_a_chunked_body_is_read(small: Api) -> None:
    """However it is cut."""
    chunks = b"".join(b"%x\r\n%b\r\n" % (1, GOOD[place : place + 1]) for place in range(len(GOOD)))
    answer = raw(small, head("Transfer-Encoding: chunked") + chunks + b"0\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 200 ")
    assert answer.endswith(b'{"categories":["Lembrancinhas"]}')


def test_a_length_that_lies_harms_nobody_else(small: Api) -> None:
    """A body shorter than told is waited for, not for ever; of a longer one the rest is no request."""
    assert raw(small, head(f"Content-Length: {len(GOOD) + 1}") + GOOD) == b""
    assert raw(small, head(f"Content-Length: {len(GOOD) - 1}") + GOOD).startswith(b"HTTP/1.1 400 ")
    assert raw(small, head("Content-Length: -1") + GOOD).startswith(b"HTTP/1.1 400 ")
    assert small.categories([*WORDS][:1]) == ["Lembrancinhas"]


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/", 404),
        ("POST", "/v1/categorise", 404),
        ("POST", "/v1/categorize//", 404),
        ("GET", "/v1/categorize", 405),
        ("PUT", "/v1/probabilities", 405),
        ("DELETE", "/health", 405),
        ("POST", "/metrics", 405),
    ],
)
def test_what_is_not_there_is_refused_as_everything_else(titled: Api, method: str, path: str, status: int) -> None:
    """In JSON; and a wrong method is told the right one."""
    answer = titled.ask(method, path, GOOD)
    assert answer.status == status
    assert [*json.loads(answer.body)] == ["error"]
    assert ("allow" in answer.headers) == (status == 405)
