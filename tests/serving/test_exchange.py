"""Requests and answers on one connection follow the rules of HTTP, whichever of them ask for inference."""

import inspect
import json
import re
import time
from types import SimpleNamespace

import pytest
from tests.serving.wire import INFER, connected, head
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from tabserve.process import Server
from tabserve.serving.edge import Target
from tabserve.serving.exchange import Exchange

BODY = json.dumps({"inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 200], "data": [0] * 200}]}).encode()
ASKING = head(len(BODY)) + BODY
HEALTH = b"GET /v2/health/live HTTP/1.1\r\nHost: x\r\n\r\n"
LAST = b"Connection: close\r\n\r\n"


def answers(server: Server, *sent: bytes) -> bytes:
    """All that comes back before the server ends the connection."""
    with connected(server.url) as connection:
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
    with connected(edge.url) as connection:
        connection.sendall(head(len(BODY))[:-2] + b"Expect: 100-continue\r\n" + LAST)
        assert connection.recv(65_536) == b"HTTP/1.1 100 Continue\r\n\r\n"
        connection.sendall(BODY)
        assert connection.recv(65_536).startswith(b"HTTP/1.1 200 ")
    with connected(edge.url) as connection:
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
    with connected(edge.url) as connection:
        for part in sent if cut else [b"".join(sent)]:
            connection.sendall(part)
            time.sleep(0.02)  # so that parts come apart
        found = b"".join(iter(lambda: connection.recv(65_536), b""))
    assert re.findall(rb"HTTP/1.1 (\d+)", found) == [b"200"] * 5
    assert [b"outputs" in each for each in found.split(b"HTTP/1.1 ")[1:]] == [True, False, True, True, True]


@pytest.mark.parametrize("version", [b"1.0", b"1.1"])
def test_the_connection_ends_where_it_should(edge: Server, version: bytes) -> None:
    """After an answer in HTTP/1.0, or where the client asks for it; a HEAD gets no body."""
    asking = b"HEAD " + INFER.encode() + b" HTTP/" + version + b"\r\nHost: x\r\n" + LAST
    assert re.fullmatch(rb"HTTP/1.1 405 .*\r\nconnection: close\r\n\r\n", answers(edge, asking), re.DOTALL)


def test_an_exchange_has_what_uvicorns_connection_expects_of_its_own_cycle() -> None:
    """Whatever it names, as `exchange.py` relies on."""
    parser = SimpleNamespace(get_method=bytes, get_http_version=str, should_keep_alive=bool)
    connection = SimpleNamespace(parser=parser, headers=[], expect_100_continue=False)
    exchange = Exchange(connection, Target("any", None, None))  # type: ignore[arg-type]  # no whole connection
    named = set(re.findall(r"cycle\.(\w+)", inspect.getsource(HttpToolsProtocol)))
    assert "response_complete" in named
    assert not {name for name in named if not hasattr(exchange, name)}
