"""Requests and answers on one connection follow the rules of HTTP, whichever of them ask for inference."""

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
ASKING = head(len(BODY)) + BODY
HEALTH = b"GET /v2/health/live HTTP/1.1\r\nHost: x\r\n\r\n"
LAST = b"Connection: close\r\n\r\n"


def answers(server: Server, *sent: bytes) -> bytes:
    """All that comes back before the server ends the connection."""
    with connect(server.url) as connection:
        for part in sent:
            connection.sendall(part)
        return b"".join(iter(lambda: connection.recv(65_536), b""))


@pytest.mark.parametrize("sent", [[ASKING, HEALTH, ASKING], [HEALTH, ASKING, HEALTH], [ASKING] * 5])
def test_answers_come_in_the_order_of_the_requests(edge: Server, sent: list[bytes]) -> None:
    """All of which may be sent before the first is answered."""
    *others, last = sent
    found = answers(edge, b"".join([*others, last.replace(b"\r\n\r\n", b"\r\n" + LAST, 1)]))
    assert re.findall(rb"HTTP/1.1 (\d+)", found) == [b"200"] * len(sent)
    assert [b"outputs" in each for each in found.split(b"HTTP/1.1 ")[1:]] == [each is ASKING for each in sent]


def test_a_body_may_come_byte_by_byte_or_in_chunks(edge: Server) -> None:
    """The next request begins where it ends."""
    chunks = [b"%x\r\n%b\r\n" % (len(part), part) for part in (BODY[:1], BODY[1:400], BODY[400:])]
    chunked = b"".join([head(0).replace(b"Content-Length: 0", b"Transfer-Encoding: chunked"), *chunks, b"0\r\n\r\n"])
    last = head(len(BODY))[:-2] + LAST
    found = answers(edge, chunked, last, *(BODY[place : place + 1] for place in range(len(BODY))))
    assert re.findall(rb"HTTP/1.1 (\d+)", found) == [b"200", b"200"]


def test_who_waits_for_a_word_before_the_body_gets_it(edge: Server) -> None:
    """`Expect: 100-continue`; a refusal is the word where the body is not wanted."""
    with connect(edge.url) as connection:
        connection.sendall(head(len(BODY))[:-2] + b"Expect: 100-continue\r\n" + LAST)
        assert connection.recv(65_536) == b"HTTP/1.1 100 Continue\r\n\r\n"
        connection.sendall(BODY)
        assert connection.recv(65_536).startswith(b"HTTP/1.1 200 ")
    with connect(edge.url) as connection:
        connection.sendall(head(10**9)[:-2] + b"Expect: 100-continue\r\n" + LAST)
        assert connection.recv(65_536).startswith(b"HTTP/1.1 413 ")


UPGRADES = {
    "HTTP/2": b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n",
    "a websocket": b"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
    b"Sec-WebSocket-Version: 13\r\n",
}


@pytest.mark.parametrize("upgrade", UPGRADES.values(), ids=list(UPGRADES))
@pytest.mark.parametrize("cut", [False, True], ids=["in one", "in parts"])
def test_who_asks_for_another_protocol_is_answered_in_this_one(edge: Server, upgrade: bytes, cut: bool) -> None:
    """With its body, wherever that is cut; and so are the requests behind it, whatever they ask for."""
    asking = head(len(BODY))[:-2] + upgrade + b"\r\n"
    health = HEALTH[:-2] + upgrade + b"\r\n"
    last = asking[:-2] + LAST
    sent = [asking, BODY, health, asking, BODY[:300], BODY[300:], ASKING, last, BODY]
    with connect(edge.url) as connection:
        for part in sent if cut else [b"".join(sent)]:
            connection.sendall(part)
            time.sleep(0.02)  # so that parts come apart
        found = b"".join(iter(lambda: connection.recv(65_536), b""))
    assert re.findall(rb"HTTP/1.1 (\d+)", found) == [b"200"] * 5
    assert [b"outputs" in each for each in found.split(b"HTTP/1.1 ")[1:]] == [True, False, True, True, True]


def test_who_has_said_all_is_answered(edge: Server) -> None:
    """To every request that is complete; then the connection ends."""
    for sent in (ASKING, ASKING * 3, ASKING + HEALTH, ASKING + b"POST /v2/mod"):
        with connect(edge.url) as connection:
            connection.sendall(sent)
            connection.shutdown(socket.SHUT_WR)
            found = b"".join(iter(partial(connection.recv, 65_536), b""))
        assert re.findall(rb"HTTP/1.1 (\d+)", found) == [b"200"] * sent.count(b"Host"), sent


@pytest.mark.parametrize("sent", [b"", b"POST /v2/mod", head(9), head(9) + b"12345678"])
def test_who_has_said_half_is_not_answered(edge: Server, sent: bytes) -> None:
    """The connection ends without a word."""
    with connect(edge.url) as connection:
        connection.sendall(sent)
        connection.shutdown(socket.SHUT_WR)
        assert not connection.recv(65_536)


@pytest.mark.parametrize("path", [b"/v2/models/nobody/infer", INFER.encode()])
def test_who_is_still_sending_gets_the_refusal(edge: Server, path: bytes) -> None:
    """What is sent meanwhile is read and dropped; then the connection ends."""
    size = 80 * 2**20
    asking = head(size).replace(INFER.encode(), path)[:-2] + LAST
    with connect(edge.url) as connection:
        connection.sendall(asking)
        for _ in range(80):
            connection.sendall(bytes(2**20))
        found = b"".join(iter(partial(connection.recv, 65_536), b""))
    assert re.findall(rb"HTTP/1.1 (\d+) .*connection: close.*error", found, re.DOTALL) in ([b"404"], [b"413"])


def test_who_never_stops_sending_is_not_listened_to_for_long(edge: Server) -> None:
    """The sweep ends the connection; it is set to 2 seconds."""
    deadline = time.monotonic() + SECONDS
    with connect(edge.url) as connection, suppress(BrokenPipeError, ConnectionResetError):
        connection.sendall(head(10**9)[:-2] + LAST)
        while time.monotonic() < deadline:
            connection.sendall(b" ")
            time.sleep(0.05)
    assert time.monotonic() < deadline


NO_HTTP = {
    "a word": b"hello\r\n\r\n",
    "an immense head": head(0)[:-2] + b"X: " + b"a" * 200_000 + b"\r\n\r\n",
    "no length of a chunk": head(0).replace(b"Content-Length: 0", b"Transfer-Encoding: chunked") + b"zz\r\n",
    "a tunnel to here": f"CONNECT {INFER} HTTP/1.1\r\nHost: a\r\n\r\n".encode(),
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


@pytest.mark.parametrize("sent", NO_HTTP.values(), ids=list(NO_HTTP))
def test_what_is_no_request_is_refused_like_others(edge: Server, sent: bytes) -> None:
    """By a sentence in JSON; who asked something valid before it gets that answer instead, as the last."""
    with connect(edge.url) as connection:
        connection.sendall(sent)
        connection.shutdown(socket.SHUT_WR)
        refused = b"".join(iter(partial(connection.recv, 65_536), b""))
    start, _, body = refused.partition(b"\r\n\r\n")
    assert start.startswith(b"HTTP/1.1 400 ")
    assert b"content-type: application/json" in start
    assert list(json.loads(body)) == ["error"]
    if b"chunked" not in sent:
        found = answers(edge, ASKING + sent)
        assert re.findall(rb"HTTP/1.1 (\d+)", found) == [b"200"]
        assert b"connection: close" in found


def test_white_space_around_a_header_is_no_part_of_it(edge: Server) -> None:
    """Before and behind its value (RFC 9112, 5)."""
    packed = gzip.compress(BODY)
    asking = head(len(packed)).replace(b"Host: x", b"Host: \t x \t")[:-2] + b"Content-Encoding: gzip \r\n" + LAST
    assert answers(edge, asking + packed).startswith(b"HTTP/1.1 200 ")


@pytest.mark.parametrize("upgrade", ["", "Connection: upgrade\r\nUpgrade: h2c\r\n"], ids=["HTTP/1.1", "HTTP/2"])
def test_who_names_no_host_is_told_so(edge: Server, upgrade: str) -> None:
    """Whichever protocol they would rather speak."""
    assert b"The request has 0 Host headers" in answers(edge, f"GET /v2 HTTP/1.1\r\n{upgrade}\r\n".encode())


@pytest.mark.parametrize("path", ["/v2", "/v2/docs", "/v2/docs/", "/v2/health/live", INFER])
@pytest.mark.parametrize("host", ["[1]", "[:]", "[1.2.3.4]", "[::1", "[::1]", "[::ffff:1.2.3.4]:80", "x", "x.:", ""])
def test_a_host_is_an_address_or_a_name_on_every_route(edge: Server, host: str, path: str) -> None:
    """Anything else is refused; none is an error of the server."""
    found = answers(edge, f"GET {path} HTTP/1.1\r\nHost: {host}\r\n".encode() + LAST)
    refused = found.startswith(b"HTTP/1.1 400 ") and b"neither a name nor an address" in found
    assert refused is (host in {"[1]", "[:]", "[1.2.3.4]", "[::1"})
    assert refused or re.match(rb"HTTP/1.1 (200|405) ", found)


def test_http_1_0_needs_no_host(edge: Server) -> None:
    """It knew none (RFC 9112, 3.2)."""
    for method in (b"GET /v2/health/live", b"HEAD " + INFER.encode()):
        assert re.match(rb"HTTP/1.1 (200|405) ", answers(edge, method + b" HTTP/1.0\r\n\r\n"))


@pytest.mark.parametrize("version", [b"1.0", b"1.1"])
def test_the_connection_ends_where_it_should(edge: Server, version: bytes) -> None:
    """After an answer in HTTP/1.0, or where the client asks for it; a HEAD gets no body."""
    asking = b"HEAD " + INFER.encode() + b" HTTP/" + version + b"\r\nHost: x\r\n" + LAST
    assert re.fullmatch(rb"HTTP/1.1 405 .*\r\nconnection: close\r\n\r\n", answers(edge, asking), re.DOTALL)


def test_of_a_header_that_comes_several_times_all_values_count() -> None:
    """In their order, behind commas; of one that comes once, its own."""
    assert join_repeated([(b"a", b"1"), (b"b", b"x, y"), (b"a", b""), (b"a", b"2")]) == {b"a": b"1, , 2", b"b": b"x, y"}


def test_an_exchange_has_what_uvicorns_connection_expects_of_its_own_cycle() -> None:
    """Whatever it names, as `exchange.py` relies on."""
    parser = SimpleNamespace(get_method=bytes, get_http_version=str, should_keep_alive=bool)
    connection = SimpleNamespace(parser=parser, headers=[], expect_100_continue=False)
    exchange = Exchange(connection, Target("any", None, None))  # no whole connection
    named = set(re.findall(r"cycle\.(\w+)", inspect.getsource(HttpToolsProtocol)))
    assert "response_complete" in named
    assert not {name for name in named if not hasattr(exchange, name)}
