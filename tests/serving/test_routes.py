"""All routes of `tabserve serve` treat methods, slashes, Host headers and encodings alike."""

import http.client
import json
from contextlib import closing
from typing import NamedTuple
from urllib.parse import quote, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.serving.wire import SECONDS, connect

from tabserve.client.local_server import Server
from tabserve.serving.rest.openapi import document
from tabserve.serving.rest.paths import route
from tabserve.serving.rest.swagger import KINDS

NAME, VERSION = "xgboost-model", "v0.1.0"
DOCUMENTED = {
    path.format(model_name=NAME, model_version=VERSION): item
    for path, item in document([], admin=False)["paths"].items()
}
DOCS = [f"{base}/docs" for base in ("/v2", f"/v2/models/{NAME}", f"/v2/models/{NAME}/versions/{VERSION}")]
GET_PATHS = [
    *(path for path, item in DOCUMENTED.items() if "get" in item),
    "/openapi.json",
    *(
        f"{page}{file}"
        for page in DOCS
        for file in ("", "/dataplane.json", "/start.js", *(f"/{name}" for name in KINDS))
    ),
    "/metrics",
]
"""The paths of all routes that answer GET."""

INFERENCE = [path for path, item in DOCUMENTED.items() if "post" in item]
INFERENCE += [path.replace("/infer", "/generate") for path in INFERENCE]
"""The paths of all routes that answer inference."""

ROW = json.dumps({"inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 200], "data": [0] * 200}]}).encode()


class Answer(NamedTuple):
    """A response; its headers leave out Date."""

    status: int
    headers: dict[str, str]
    body: bytes


def ask(server: Server, method: str, path: str, body: bytes | None = None) -> Answer:
    """The response of the port with this path, which is sent unchanged, with a made-up Host header."""
    address = urlsplit(server.metrics if "metrics" in path else server.url).netloc
    with closing(http.client.HTTPConnection(address, timeout=SECONDS)) as connection:
        connection.request(method, path, body, {"Host": "stranger"})
        response = connection.getresponse()
        headers = {name.lower(): value for name, value in response.getheaders() if name.lower() != "date"}
        return Answer(response.status, headers, response.read())


def without_numbers(path: str, answer: Answer) -> Answer:
    """The answer without what changes between requests: the body of the metrics and its length."""
    return answer._replace(headers=answer.headers | {"content-length": ""}, body=b"") if "metrics" in path else answer


@pytest.mark.parametrize("path", GET_PATHS)
def test_every_route_with_get_answers_head_and_options(edge: Server, path: str) -> None:
    """HEAD gets the status and headers of GET without a body, OPTIONS the allowed methods, and others 405."""
    got, head, options = (ask(edge, method, path) for method in ("GET", "HEAD", "OPTIONS"))
    assert got.status == 200
    assert int(got.headers["content-length"]) == len(got.body) > 0
    assert without_numbers(path, head) == without_numbers(path, got)._replace(body=b"")
    assert (options.status, options.headers["allow"], options.body) == (200, "GET, HEAD, OPTIONS", b"")
    refused = ask(edge, "DELETE", path)
    assert (refused.status, refused.headers["allow"]) == (405, "GET, HEAD, OPTIONS")
    assert json.loads(refused.body).keys() == ({"detail"} if path == "/metrics" else {"error"})


@pytest.mark.parametrize("path", INFERENCE)
def test_inference_takes_only_post_and_options(edge: Server, path: str) -> None:
    """OPTIONS lists both, and other methods get 405."""
    answer = ask(edge, "OPTIONS", path)
    assert (answer.status, answer.headers["allow"], answer.body) == (200, "OPTIONS, POST", b"")
    assert [ask(edge, method, path).status for method in ("GET", "HEAD", "PUT")] == [405] * 3


def test_options_of_a_whole_port_lists_all_its_methods(edge: Server) -> None:
    """`OPTIONS *` is answered as in RFC 9110, section 9.3.7."""
    for address, allowed in {edge.url: b"GET, HEAD, OPTIONS, POST", edge.metrics: b"GET, HEAD, OPTIONS"}.items():
        with connect(address) as connection:
            connection.sendall(b"OPTIONS * HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            response = b"".join(iter(lambda: connection.recv(65_536), b""))
        assert response.startswith(b"HTTP/1.1 200 ")
        assert b"\r\nallow: " + allowed + b"\r\n" in response
        assert b"\r\ncontent-length: 0\r\n" in response


@pytest.mark.parametrize("path", GET_PATHS)
def test_a_trailing_slash_of_a_path_is_ignored(edge: Server, path: str) -> None:
    """The route answers itself, not by a redirect to the Host header; only relative links of pages differ."""
    plain, slashed = (without_numbers(path, ask(edge, "GET", spelled)) for spelled in (path, f"{path}/"))
    assert slashed.status == 200
    assert "location" not in slashed.headers
    assert slashed == plain or path in DOCS


@pytest.mark.parametrize("path", INFERENCE)
def test_a_trailing_slash_of_an_inference_path_is_ignored(edge: Server, path: str) -> None:
    """The outputs are the same with and without it."""
    plain, slashed = (ask(edge, "POST", spelled, ROW) for spelled in (path, f"{path}/"))
    assert plain.status == slashed.status == 200
    assert json.loads(plain.body)["outputs"] == json.loads(slashed.body)["outputs"]


@pytest.mark.parametrize("path", ["/", "//", "/v2//", "/nobody/", "/metrics//", f"/v2/models/{NAME}/nobody/"])
def test_an_unknown_path_is_not_found_and_not_redirected(edge: Server, path: str) -> None:
    """The status is 404, and there is no Location header."""
    answer = ask(edge, "GET", path)
    assert (answer.status, "location" in answer.headers) == (404, False)


@pytest.mark.parametrize("slash", ["%2F", "%2f"])
@pytest.mark.parametrize("path", [*GET_PATHS, *INFERENCE])
def test_an_encoded_slash_does_not_separate_parts_of_a_path(edge: Server, path: str, slash: str) -> None:
    """A path with an encoded slash anywhere, also at its end, is not found."""
    first, *others = path[1:].split("/")
    parts = [first, *others, ""]
    for index in range(1, len(parts)):
        spelled = f"/{'/'.join(parts[:index])}{slash}{'/'.join(parts[index:])}"
        method, body = ("POST", ROW) if path in INFERENCE else ("GET", None)
        assert ask(edge, method, spelled, body).status == 404, spelled


def test_an_encoded_slash_does_not_open_the_closed_repository(edge: Server, small: Server) -> None:
    """A path with one is not found, whether the repository is closed or open."""
    for server, status in ((edge, 403), (small, 200)):
        assert ask(server, "POST", "/v2/repository/index/", b"{}").status == status
        assert ask(server, "POST", "/v2/repository%2Findex", b"{}").status == 404
        assert ask(server, "POST", "/v2%2Frepository/index", b"{}").status == 404


@pytest.mark.parametrize("path", [*GET_PATHS, *INFERENCE])
def test_a_request_with_two_hosts_is_refused_on_every_route(edge: Server, path: str) -> None:
    """The status is 400, and the sentence names the two Host headers."""
    for method in ("GET", "HEAD", "POST"):
        with connect(edge.metrics if path == "/metrics" else edge.url) as connection:
            connection.sendall(f"{method} {path} HTTP/1.1\r\nHost: a\r\nHost: a\r\nContent-Length: 0\r\n\r\n".encode())
            response = b"".join(iter(lambda: connection.recv(65_536), b""))
        assert response.startswith(b"HTTP/1.1 400 ")
        assert b"The request has 2 Host headers" in response


@pytest.mark.parametrize("path", ["/v2", f"/v2/models/{NAME}/infer"])
@pytest.mark.parametrize("coding", ["gzip, chunked", "gzip", "identity"])
def test_a_transfer_encoding_other_than_chunked_is_refused(edge: Server, path: str, coding: str) -> None:
    """A body is compressed only as Content-Encoding says."""
    with connect(edge.url) as connection:
        connection.sendall(f"POST {path} HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: {coding}\r\n\r\n".encode())
        response = b"".join(iter(lambda: connection.recv(65_536), b""))
    assert response.startswith(b"HTTP/1.1 400 ")
    assert b"Transfer-Encoding may be chunked alone" in response


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"]), min_size=1), min_size=1))
def test_routing_keeps_the_parts_of_a_path(parts: list[str]) -> None:
    """A slash within a part stays encoded, in upper case, and a trailing slash is removed."""
    for slash in ("%2F", "%2f"):
        path = "/" + "/".join(quote(part, safe="").replace("%2F", slash) for part in parts)
        expected = "/" + "/".join(part.replace("/", "%2F") for part in parts)
        assert route(path.encode()) == route(f"{path}/".encode()) == expected


def test_the_root_path_is_a_slash() -> None:
    """`*`, the target of OPTIONS for the whole server, stays as it is."""
    assert (route(b"/"), route(b"//"), route(b"*")) == ("/", "/", "*")
