"""What holds of every route of every port of `tabserve serve`, however its path is spelled."""

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
READ = [
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

ASKED = [path for path, item in DOCUMENTED.items() if "post" in item]
ASKED += [path.replace("/infer", "/generate") for path in ASKED]
"""The paths of all routes that answer inference."""

ROW = json.dumps({"inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 200], "data": [0] * 200}]}).encode()


class Answer(NamedTuple):
    """A response: of its headers, all but the time."""

    status: int
    headers: dict[str, str]
    body: bytes


def asked(server: Server, method: str, path: str, body: bytes | None = None) -> Answer:
    """What the port that has such a path answers, the path as it stands; the Host is one that a stranger made up."""
    address = urlsplit(server.metrics if "metrics" in path else server.url).netloc
    with closing(http.client.HTTPConnection(address, timeout=SECONDS)) as connection:
        connection.request(method, path, body, {"Host": "stranger"})
        response = connection.getresponse()
        headers = {name.lower(): value for name, value in response.getheaders() if name.lower() != "date"}
        return Answer(response.status, headers, response.read())


def steady(path: str, answer: Answer) -> Answer:
    """An answer without what changes from one to the next: the metrics' numbers."""
    return answer._replace(headers=answer.headers | {"content-length": ""}, body=b"") if "metrics" in path else answer


@pytest.mark.parametrize("path", READ)
def test_head_and_options_are_answered_wherever_get_is(edge: Server, path: str) -> None:
    """HEAD with GET's status and headers and no body, OPTIONS by the methods that there are."""
    got, head, options = (asked(edge, method, path) for method in ("GET", "HEAD", "OPTIONS"))
    assert got.status == 200
    assert int(got.headers["content-length"]) == len(got.body) > 0
    assert steady(path, head) == steady(path, got)._replace(body=b"")
    assert (options.status, options.headers["allow"], options.body) == (200, "GET, HEAD, OPTIONS", b"")
    refused = asked(edge, "DELETE", path)
    assert (refused.status, refused.headers["allow"]) == (405, "GET, HEAD, OPTIONS")
    assert json.loads(refused.body).keys() == ({"detail"} if path == "/metrics" else {"error"})


@pytest.mark.parametrize("path", ASKED)
def test_inference_takes_post_alone(edge: Server, path: str) -> None:
    """OPTIONS says so."""
    answer = asked(edge, "OPTIONS", path)
    assert (answer.status, answer.headers["allow"], answer.body) == (200, "OPTIONS, POST", b"")
    assert [asked(edge, method, path).status for method in ("GET", "HEAD", "PUT")] == [405] * 3


def test_options_of_a_whole_port_are_answered(edge: Server) -> None:
    """By the methods of all its routes (RFC 9110, 9.3.7)."""
    for address, allowed in {edge.url: b"GET, HEAD, OPTIONS, POST", edge.metrics: b"GET, HEAD, OPTIONS"}.items():
        with connect(address) as connection:
            connection.sendall(b"OPTIONS * HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            found = b"".join(iter(lambda: connection.recv(65_536), b""))
        assert found.startswith(b"HTTP/1.1 200 ")
        assert b"\r\nallow: " + allowed + b"\r\n" in found
        assert b"\r\ncontent-length: 0\r\n" in found


@pytest.mark.parametrize("path", READ)
def test_a_slash_behind_a_path_says_nothing(edge: Server, path: str) -> None:
    """It is answered, not sent to wherever the Host header says; but for links, which browsers take from that path."""
    plain, slashed = (steady(path, asked(edge, "GET", spelled)) for spelled in (path, f"{path}/"))
    assert slashed.status == 200
    assert "location" not in slashed.headers
    assert slashed == plain or path in DOCS


@pytest.mark.parametrize("path", ASKED)
def test_a_slash_behind_inference_says_nothing(edge: Server, path: str) -> None:
    """The same answer."""
    plain, slashed = (asked(edge, "POST", spelled, ROW) for spelled in (path, f"{path}/"))
    assert plain.status == slashed.status == 200
    assert json.loads(plain.body)["outputs"] == json.loads(slashed.body)["outputs"]


@pytest.mark.parametrize("path", ["/", "//", "/v2//", "/nobody/", "/metrics//", f"/v2/models/{NAME}/nobody/"])
def test_nobody_is_sent_elsewhere(edge: Server, path: str) -> None:
    """What is not there is not found."""
    answer = asked(edge, "GET", path)
    assert (answer.status, "location" in answer.headers) == (404, False)


@pytest.mark.parametrize("slash", ["%2F", "%2f"])
@pytest.mark.parametrize("path", [*READ, *ASKED])
def test_an_encoded_slash_parts_nothing(edge: Server, path: str, slash: str) -> None:
    """Wherever in a path it is, there is no such path, or no model of that name; and so it is at the end."""
    first, *others = path[1:].split("/")
    parts = [first, *others, ""]
    for place in range(1, len(parts)):
        spelled = f"/{'/'.join(parts[:place])}{slash}{'/'.join(parts[place:])}"
        method, body = ("POST", ROW) if path in ASKED else ("GET", None)
        assert asked(edge, method, spelled, body).status == 404, spelled


def test_an_encoded_slash_does_not_pass_the_lock_of_the_repository(edge: Server, small: Server) -> None:
    """It is no route where it is closed, and none where it is open; a slash behind one says nothing."""
    for server, status in ((edge, 403), (small, 200)):
        assert asked(server, "POST", "/v2/repository/index/", b"{}").status == status
        assert asked(server, "POST", "/v2/repository%2Findex", b"{}").status == 404
        assert asked(server, "POST", "/v2%2Frepository/index", b"{}").status == 404


@pytest.mark.parametrize("path", [*READ, *ASKED])
def test_a_request_with_two_hosts_is_refused_on_every_route(edge: Server, path: str) -> None:
    """With 400, and a sentence that says so."""
    for method in ("GET", "HEAD", "POST"):
        with connect(edge.metrics if path == "/metrics" else edge.url) as connection:
            connection.sendall(f"{method} {path} HTTP/1.1\r\nHost: a\r\nHost: a\r\nContent-Length: 0\r\n\r\n".encode())
            found = b"".join(iter(lambda: connection.recv(65_536), b""))
        assert found.startswith(b"HTTP/1.1 400 ")
        assert b"The request has 2 Host headers" in found


@pytest.mark.parametrize("path", ["/v2", f"/v2/models/{NAME}/infer"])
@pytest.mark.parametrize("coding", ["gzip, chunked", "gzip", "identity"])
def test_a_body_that_is_packed_on_its_way_is_refused(edge: Server, path: str, coding: str) -> None:
    """Not read as if it were not: only Content-Encoding says what a body is packed by."""
    with connect(edge.url) as connection:
        connection.sendall(f"POST {path} HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: {coding}\r\n\r\n".encode())
        found = b"".join(iter(lambda: connection.recv(65_536), b""))
    assert found.startswith(b"HTTP/1.1 400 ")
    assert b"Transfer-Encoding may be chunked alone" in found


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"]), min_size=1), min_size=1))
def test_a_path_has_the_parts_that_it_was_made_of(parts: list[str]) -> None:
    """Whatever they hold: a slash within one stays encoded, whichever way; one behind the last is left out."""
    for slash in ("%2F", "%2f"):
        path = "/" + "/".join(quote(part, safe="").replace("%2F", slash) for part in parts)
        expected = "/" + "/".join(part.replace("/", "%2F") for part in parts)
        assert route(path.encode()) == route(f"{path}/".encode()) == expected


def test_the_root_is_a_slash() -> None:
    """It alone; `*` is what OPTIONS asks of no route."""
    assert (route(b"/"), route(b"//"), route(b"*")) == ("/", "/", "*")
