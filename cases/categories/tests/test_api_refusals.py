"""Every kind of bad input is refused by the real process, which goes on answering."""

import json
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from cases.categories.tests.served import Api, api
from cases.categories.tests.weighed import WORDS
from tests.case_api import SECONDS

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
def small(title_folder: Path) -> Iterator[Api]:
    """An API with small limits of products, bytes and time."""
    limits = {"TABSERVE_MAX_ROWS": "3", "TABSERVE_MAX_BODY_BYTES": "5000", "TABSERVE_RECEIVE_SECONDS": "1"}
    with api(title_folder, **limits) as running:
        yield running


def raw(api: Api, text: bytes) -> bytes:
    """Send bytes on a bare connection and return the answer up to its end."""
    with socket.create_connection(("127.0.0.1", api.port), timeout=SECONDS) as connection:
        connection.sendall(text)
        return b"".join(iter(lambda: connection.recv(2**16), b""))


def head(*lines: str) -> bytes:
    """The head of a request that closes the connection after the answer."""
    return "\r\n".join(["POST /v1/categorize HTTP/1.1", "Host: x", "Connection: close", *lines, "", ""]).encode()


@pytest.mark.parametrize("route", ROUTES)
@pytest.mark.parametrize("body", BAD.values(), ids=BAD)
def test_bad_input_is_refused_in_one_sentence(title_api: Api, route: str, body: bytes) -> None:
    """The status is 400, never 422 or 500, and the next request is answered."""
    answer = title_api.ask("POST", route, body)
    assert (answer.status, answer.headers["content-type"]) == (400, "application/json")
    assert [*answer.document] == ["error"]
    assert answer.document["error"].endswith((".", "…"))
    assert title_api.categories(["Lembrancinha"]) == ["Lembrancinhas"]


@pytest.mark.parametrize("route", ROUTES)
def test_a_refusal_names_the_products_index(title_api: Api, route: str) -> None:
    """The message names the product's index and what was expected."""
    answer = title_api.post([{"title": "Quadro"}, {"title": 7}], route)
    assert answer.document == {"error": "products[1].title is 7; expected a text."}


@pytest.mark.parametrize("kind", [None, "", "application/json", "text/plain", "application/x-www-form-urlencoded", "?"])
def test_the_content_type_does_not_matter(title_api: Api, kind: str | None) -> None:
    """JSON is accepted and anything else refused, with any Content-Type."""
    headers = {} if kind is None else {"Content-Type": kind}
    assert title_api.ask("POST", "/v1/categorize", GOOD, headers).status == 200
    assert title_api.ask("POST", "/v1/categorize", b"title=Quadro", headers).status == 400


@pytest.mark.parametrize("tags", [7, [], {}, True])
def test_another_column_of_the_model_must_be_text(tags_api: Api, tags: object) -> None:
    """A model with tags refuses tags that are not text."""
    answer = tags_api.post([{"title": "Quadro", "concatenated_tags": tags}])
    assert answer.status == 400
    assert answer.document["error"].startswith("products[0].concatenated_tags is ")


def test_more_products_than_allowed_get_413(small: Api) -> None:
    """The limit itself is answered; one more gets 413."""
    assert small.post([{"title": "Quadro"}] * 3).status == 200
    answer = small.post([{"title": "Quadro"}] * 4)
    assert (answer.status, answer.document) == (
        413,
        {"error": "The request has 4 products; send at most 3 at a time."},
    )


def test_a_title_of_more_characters_than_allowed_gets_413(title_api: Api) -> None:
    """1,000 characters of any letters are answered; 1,001 get 413."""
    assert title_api.post([{"title": "ê" * 1_000}]).status == 200
    answer = title_api.post([{"title": "Quadro"}, {"title": "ê" * 1_001}])
    assert answer.status == 413
    assert answer.document["error"].startswith("products[1].title has 1001 characters")


def test_a_body_of_more_bytes_than_allowed_gets_413_before_it_is_read(small: Api) -> None:
    """It is refused by its Content-Length, or without one as soon as too many bytes have come."""
    whole = GOOD + b" " * 5_000
    assert raw(small, head(f"Content-Length: {len(whole)}") + whole).startswith(b"HTTP/1.1 413 ")
    assert raw(small, head("Content-Length: 999999999")).startswith(b"HTTP/1.1 413 ")
    chunks = b"".join(b"400\r\n" + b" " * 1024 + b"\r\n" for _ in range(6))
    assert raw(small, head("Transfer-Encoding: chunked") + chunks).startswith(b"HTTP/1.1 413 ")


def test_a_chunked_body_is_read(small: Api) -> None:
    """Chunks of one byte are read."""
    chunks = b"".join(b"%x\r\n%b\r\n" % (1, GOOD[index : index + 1]) for index in range(len(GOOD)))
    answer = raw(small, head("Transfer-Encoding: chunked") + chunks + b"0\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 200 ")
    assert answer.endswith(b'{"categories":["Lembrancinhas"]}')


def test_a_wrong_content_length_harms_no_other_request(small: Api) -> None:
    """A body that is too short is waited for until the deadline; the rest of a longer one is refused."""
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
def test_an_unknown_path_or_method_is_refused_in_json(title_api: Api, method: str, path: str, status: int) -> None:
    """A wrong method gets 405 and an Allow header."""
    answer = title_api.ask(method, path, GOOD)
    assert answer.status == status
    assert [*json.loads(answer.body)] == ["error"]
    assert ("allow" in answer.headers) == (status == 405)
