"""Requests and responses on one connection follow the rules of HTTP, whether they are for inference or not."""

import gzip
import inspect
import json
import re
import socket
import time
from contextlib import suppress
from functools import partial
from types import SimpleNamespace

import pytest
from tests.serving.wire import INFER, SECONDS, connect, head
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from tabserve.client.local_server import Server
from tabserve.serving.rest.exchange import Exchange, join_repeated
from tabserve.serving.rest.inference import Target

BODY = json.dumps({"inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 200], "data": [0] * 200}]}).encode()
REQUEST = head(len(BODY)) + BODY
HEALTH = b"GET /v2/health/live HTTP/1.1\r\nHost: x\r\n\r\n"
CLOSE = b"Connection: close\r\n\r\n"


def receive(server: Server, *sent: bytes) -> bytes:
    """All bytes that the server sends before it closes the connection."""
    with connect(server.url) as connection:
        for part in sent:
            connection.sendall(part)
        return b"".join(iter(lambda: connection.recv(65_536), b""))


@pytest.mark.parametrize("sent", [[REQUEST, HEALTH, REQUEST], [HEALTH, REQUEST, HEALTH], [REQUEST] * 5])
def test_responses_come_in_the_order_of_the_requests(edge: Server, sent: list[bytes]) -> None:
    """Even if all are sent before the first is answered."""
    *others, last = sent
    received = receive(edge, b"".join([*others, last.replace(b"\r\n\r\n", b"\r\n" + CLOSE, 1)]))
    assert re.findall(rb"HTTP/1.1 (\d+)", received) == [b"200"] * len(sent)
    assert [b"outputs" in response for response in received.split(b"HTTP/1.1 ")[1:]] == [
        part is REQUEST for part in sent
    ]


def test_a_body_may_arrive_byte_by_byte_or_in_chunks(edge: Server) -> None:
    """The next request begins where the body ends."""
    chunks = [b"%x\r\n%b\r\n" % (len(part), part) for part in (BODY[:1], BODY[1:400], BODY[400:])]
    chunked = b"".join([head(0).replace(b"Content-Length: 0", b"Transfer-Encoding: chunked"), *chunks, b"0\r\n\r\n"])
    last = head(len(BODY))[:-2] + CLOSE
    received = receive(edge, chunked, last, *(BODY[index : index + 1] for index in range(len(BODY))))
    assert re.findall(rb"HTTP/1.1 (\d+)", received) == [b"200", b"200"]


def test_expect_100_continue_is_answered_before_the_body(edge: Server) -> None:
    """By 100, or by the refusal if the body is too large."""
    with connect(edge.url) as connection:
        connection.sendall(head(len(BODY))[:-2] + b"Expect: 100-continue\r\n" + CLOSE)
        assert connection.recv(65_536) == b"HTTP/1.1 100 Continue\r\n\r\n"
        connection.sendall(BODY)
        assert connection.recv(65_536).startswith(b"HTTP/1.1 200 ")
    with connect(edge.url) as connection:
        connection.sendall(head(10**9)[:-2] + b"Expect: 100-continue\r\n" + CLOSE)
        assert connection.recv(65_536).startswith(b"HTTP/1.1 413 ")


UPGRADES = {
    "HTTP/2": b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n",
    "a websocket": b"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
    b"Sec-WebSocket-Version: 13\r\n",
}


@pytest.mark.parametrize("upgrade", UPGRADES.values(), ids=list(UPGRADES))
@pytest.mark.parametrize("cut", [False, True], ids=["in one", "in parts"])
def test_a_request_to_upgrade_is_answered_in_http_1_1(edge: Server, upgrade: bytes, cut: bool) -> None:
    """Its body is read however it is split into packets; the requests after it are answered too."""
    request = head(len(BODY))[:-2] + upgrade + b"\r\n"
    health = HEALTH[:-2] + upgrade + b"\r\n"
    last = request[:-2] + CLOSE
    sent = [request, BODY, health, request, BODY[:300], BODY[300:], REQUEST, last, BODY]
    with connect(edge.url) as connection:
        for part in sent if cut else [b"".join(sent)]:
            connection.sendall(part)
            time.sleep(0.02)  # so that the parts arrive apart
        received = b"".join(iter(lambda: connection.recv(65_536), b""))
    assert re.findall(rb"HTTP/1.1 (\d+)", received) == [b"200"] * 5
    assert [b"outputs" in response for response in received.split(b"HTTP/1.1 ")[1:]] == [True, False, True, True, True]


def test_a_half_closed_client_gets_its_responses(edge: Server) -> None:
    """To every complete request; then the server closes the connection."""
    for sent in (REQUEST, REQUEST * 3, REQUEST + HEALTH, REQUEST + b"POST /v2/mod"):
        with connect(edge.url) as connection:
            connection.sendall(sent)
            connection.shutdown(socket.SHUT_WR)
            received = b"".join(iter(partial(connection.recv, 65_536), b""))
        assert re.findall(rb"HTTP/1.1 (\d+)", received) == [b"200"] * sent.count(b"Host"), sent


@pytest.mark.parametrize("sent", [b"", b"POST /v2/mod", head(9), head(9) + b"12345678"])
def test_half_a_request_of_a_half_closed_client_gets_no_response(edge: Server, sent: bytes) -> None:
    """The server closes the connection."""
    with connect(edge.url) as connection:
        connection.sendall(sent)
        connection.shutdown(socket.SHUT_WR)
        assert not connection.recv(65_536)


@pytest.mark.parametrize("path", [b"/v2/models/nobody/infer", INFER.encode()])
def test_a_client_that_is_still_sending_gets_the_refusal(edge: Server, path: bytes) -> None:
    """The rest of the body is read and dropped; then the server closes the connection."""
    size = 80 * 2**20
    request = head(size).replace(INFER.encode(), path)[:-2] + CLOSE
    with connect(edge.url) as connection:
        connection.sendall(request)
        for _ in range(80):
            connection.sendall(bytes(2**20))
        received = b"".join(iter(partial(connection.recv, 65_536), b""))
    assert re.findall(rb"HTTP/1.1 (\d+) .*connection: close.*error", received, re.DOTALL) in ([b"404"], [b"413"])


def test_a_client_that_never_stops_sending_is_cut_off(edge: Server) -> None:
    """After the receive timeout, which is 2 seconds here."""
    deadline = time.monotonic() + SECONDS
    with connect(edge.url) as connection, suppress(BrokenPipeError, ConnectionResetError):
        connection.sendall(head(10**9)[:-2] + CLOSE)
        while time.monotonic() < deadline:
            connection.sendall(b" ")
            time.sleep(0.05)
    assert time.monotonic() < deadline


INVALID = {
    "text": b"hello\r\n\r\n",
    "a huge head": head(0)[:-2] + b"X: " + b"a" * 200_000 + b"\r\n\r\n",
    "a chunk without a length": head(0).replace(b"Content-Length: 0", b"Transfer-Encoding: chunked") + b"zz\r\n",
    "a tunnel to this server": f"CONNECT {INFER} HTTP/1.1\r\nHost: a\r\n\r\n".encode(),
    **{
        f"{name}, {method.decode()}": method + b" HTTP/1.1\r\n" + hosts + b"Content-Length: 0\r\n\r\n"
        for method in (b"GET /nobody", b"GET /v2/health/live", b"POST " + INFER.encode(), b"OPTIONS *")
        for name, hosts in {
            "no host": b"",
            "two hosts": b"Host: a\r\nHost: a\r\n",
            "a bracket as host": b"Host: [\r\n",
            "a host with a path": b"Host: a/b?\r\n",
        }.items()
    },
    "a tunnel": b"CONNECT a:1 HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: h2c\r\n\r\n",
}


@pytest.mark.parametrize("sent", INVALID.values(), ids=list(INVALID))
def test_an_invalid_request_is_refused_with_a_json_sentence(edge: Server, sent: bytes) -> None:
    """Behind a valid request it gets no response of its own: that to the valid one is the last."""
    with connect(edge.url) as connection:
        connection.sendall(sent)
        connection.shutdown(socket.SHUT_WR)
        received = b"".join(iter(partial(connection.recv, 65_536), b""))
    start, _, body = received.partition(b"\r\n\r\n")
    assert start.startswith(b"HTTP/1.1 400 ")
    assert b"content-type: application/json" in start
    assert list(json.loads(body)) == ["error"]
    if b"chunked" not in sent:
        received = receive(edge, REQUEST + sent)
        assert re.findall(rb"HTTP/1.1 (\d+)", received) == [b"200"]
        assert b"connection: close" in received


def test_white_space_around_a_header_value_is_ignored(edge: Server) -> None:
    """As RFC 9112, 5 demands."""
    packed = gzip.compress(BODY)
    request = head(len(packed)).replace(b"Host: x", b"Host: \t x \t")[:-2] + b"Content-Encoding: gzip \r\n" + CLOSE
    assert receive(edge, request + packed).startswith(b"HTTP/1.1 200 ")


@pytest.mark.parametrize("upgrade", ["", "Connection: upgrade\r\nUpgrade: h2c\r\n"], ids=["HTTP/1.1", "HTTP/2"])
def test_a_request_without_a_host_is_refused(edge: Server, upgrade: str) -> None:
    """Even if it asks to upgrade."""
    assert b"The request has 0 Host headers" in receive(edge, f"GET /v2 HTTP/1.1\r\n{upgrade}\r\n".encode())


@pytest.mark.parametrize("path", ["/v2", "/v2/docs", "/v2/docs/", "/v2/health/live", INFER])
@pytest.mark.parametrize("host", ["[1]", "[:]", "[1.2.3.4]", "[::1", "[::1]", "[::ffff:1.2.3.4]:80", "x", "x.:", ""])
def test_every_route_checks_that_the_host_is_an_address_or_a_name(edge: Server, host: str, path: str) -> None:
    """Anything else gets 400."""
    received = receive(edge, f"GET {path} HTTP/1.1\r\nHost: {host}\r\n".encode() + CLOSE)
    refused = received.startswith(b"HTTP/1.1 400 ") and b"neither a name nor an address" in received
    assert refused is (host in {"[1]", "[:]", "[1.2.3.4]", "[::1"})
    assert refused or re.match(rb"HTTP/1.1 (200|405) ", received)


def test_http_1_0_needs_no_host(edge: Server) -> None:
    """HTTP/1.0 has no Host header (RFC 9112, 3.2)."""
    for method in (b"GET /v2/health/live", b"HEAD " + INFER.encode()):
        assert re.match(rb"HTTP/1.1 (200|405) ", receive(edge, method + b" HTTP/1.0\r\n\r\n"))


@pytest.mark.parametrize("version", [b"1.0", b"1.1"])
def test_a_connection_closes_after_http_1_0_or_on_request(edge: Server, version: bytes) -> None:
    """After the response, which says `connection: close`; that to HEAD has no body."""
    request = b"HEAD " + INFER.encode() + b" HTTP/" + version + b"\r\nHost: x\r\n" + CLOSE
    assert re.fullmatch(rb"HTTP/1.1 405 .*\r\nconnection: close\r\n\r\n", receive(edge, request), re.DOTALL)


def test_the_values_of_a_repeated_header_are_joined() -> None:
    """In their order, by commas; a header that comes once keeps its value."""
    assert join_repeated([(b"a", b"1"), (b"b", b"x, y"), (b"a", b""), (b"a", b"2")]) == {b"a": b"1, , 2", b"b": b"x, y"}


def test_an_exchange_has_every_attribute_of_a_cycle_that_uvicorn_uses() -> None:
    """An exchange takes the place of uvicorn's request-response cycle."""
    parser = SimpleNamespace(get_method=bytes, get_http_version=str, should_keep_alive=bool)
    connection = SimpleNamespace(parser=parser, headers=[], client=None, expect_100_continue=False)
    exchange = Exchange(connection, Target("any", None, None))  # only what the constructor reads
    used = set(re.findall(r"cycle\.(\w+)", inspect.getsource(HttpToolsProtocol)))
    assert "response_complete" in used
    assert not {name for name in used if not hasattr(exchange, name)}
