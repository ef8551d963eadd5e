"""Each HTTP port closes connections of clients that send half a request, or do not read the answers."""

import socket
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from pathlib import Path

import pytest
import requests
from tests.serving.wire import DEPLOY, SECONDS, connect

from tabserve.client.local_server import Server, running

PORTS = {"REST": ("url", "/v2/docs/swagger-ui-bundle.js"), "metrics": ("metrics", "/metrics")}
"""By port: the server's attribute with its address, and the route with the largest answer."""

CONNECTIONS = 50

UNREAD_BYTES = 2**25
"""Bytes of answers: more than the kernel buffers for a client that reads none."""

port = pytest.mark.parametrize(("name", "path"), PORTS.values(), ids=list(PORTS))


@pytest.fixture(scope="module")
def brief(model_folder: Path) -> Iterator[Server]:
    """A server with short deadlines; only for this module, as its tests make the process grow."""
    with short_deadlines(model_folder, TABSERVE_KEEP_ALIVE_SECONDS="1") as started:
        yield started


def short_deadlines(model_folder: Path, **variables: str) -> AbstractContextManager[Server]:
    """A server that gives clients two seconds to send or read."""
    return running(DEPLOY, {"TABSERVE_MODEL": str(model_folder), "TABSERVE_RECEIVE_SECONDS": "2", **variables})


def get_request(path: str) -> bytes:
    """A complete GET request."""
    return f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode()


@contextmanager
def client_that_does_not_read(address: str, path: str) -> Iterator[socket.socket]:
    """A client that has requested many answers and reads none, given once the server waits for it to read."""
    count = UNREAD_BYTES // len(requests.get(address + path, timeout=SECONDS).content) + 1
    host, _, number = address.removeprefix("http://").rpartition(":")
    with socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.settimeout(1)  # sendall blocks once the server stops reading
        client.connect((host, int(number)))
        with suppress(TimeoutError):
            client.sendall(get_request(path) * count)
        with suppress(ConnectionResetError, TimeoutError):
            client.recv(1)  # so that the server has accepted the connection
        yield client


def is_open(client: socket.socket) -> bool:
    """Whether the server still has its end of a connection; a socket of no process has the inode 0."""
    ends = [f":{address[1]:04X}" for address in (client.getpeername(), client.getsockname())]
    sockets = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()]
    return any(s[1].endswith(ends[0]) and s[2].endswith(ends[1]) and s[9] != "0" for s in sockets)


def is_disconnected(client: socket.socket) -> bool:
    """Whether the server closes its end of a connection within the deadline."""
    deadline = time.monotonic() + SECONDS
    while (still_open := is_open(client)) and time.monotonic() < deadline:
        time.sleep(0.1)
    return not still_open


def read_to_the_end(client: socket.socket) -> int:
    """Read until the connection ends, is reset, or is silent; return the number of bytes."""
    count = 0
    with suppress(ConnectionResetError, TimeoutError):
        while piece := client.recv(2**20):
            count += len(piece)
    return count


@port
@pytest.mark.parametrize("sent", [b"", b"GET /metr", b"GET /metrics HTTP/1.1\r\nHost: x\r\nX: "], ids=range(3))
def test_a_connection_with_half_a_request_is_closed_after_receive_seconds(
    brief: Server, name: str, path: str, sent: bytes
) -> None:
    """Many such connections are closed, and the next request is answered."""
    address = getattr(brief, name)
    with ExitStack() as opened:
        clients = [opened.enter_context(connect(address)) for _ in range(CONNECTIONS)]
        for client in clients:
            client.sendall(sent)
        assert [client.recv(1) for client in clients] == [b""] * CONNECTIONS
    assert requests.get(address + path, timeout=SECONDS).status_code == 200


@port
def test_a_head_that_is_too_large_is_refused(brief: Server, name: str, path: str) -> None:
    """The server answers 400 before it has read the whole head."""
    with connect(getattr(brief, name)) as client, suppress(ConnectionResetError, BrokenPipeError):
        client.sendall(get_request(path)[:-2] + b"X: " + b"a" * 200_000)
        assert client.recv(65_536).startswith(b"HTTP/1.1 400 ")


@port
def test_an_idle_connection_is_closed_after_its_answer(brief: Server, name: str, path: str) -> None:
    """The server closes it after `keep_alive_seconds`."""
    with connect(getattr(brief, name)) as client:
        client.sendall(get_request(path))
        assert b"".join(iter(lambda: client.recv(65_536), b"")).startswith(b"HTTP/1.1 200 ")


@port
def test_a_client_that_does_not_read_is_disconnected(model_folder: Path, name: str, path: str) -> None:
    """The server closes the connection after `receive_seconds`, with many answers still unsent."""
    with short_deadlines(model_folder) as server, client_that_does_not_read(getattr(server, name), path) as client:
        assert is_disconnected(client), f"the connection lasted more than {SECONDS} s"
        assert read_to_the_end(client) < UNREAD_BYTES, "the server sent all answers, though the client read none"


@port
def test_a_client_that_does_not_read_does_not_delay_the_servers_end(model_folder: Path, name: str, path: str) -> None:
    """The server ends with exit code 0, and logs the closed connections in at most one line."""
    with short_deadlines(model_folder) as server:
        with (
            client_that_does_not_read(getattr(server, name), path),
            client_that_does_not_read(getattr(server, name), path),
        ):
            before = len(server.log.read_text())
            server.process.terminate()
            assert server.process.wait(SECONDS) == 0
        lines = [line for line in server.log.read_text()[before:].splitlines() if "gRPC server shutdown" not in line]
        assert [line for line in lines if not line.startswith("Ended 2 connections")] == []


def test_a_client_that_reads_slowly_is_not_disconnected(brief: Server) -> None:
    """It takes twice `receive_seconds` to read all answers; the deadline starts anew with each part that it reads."""
    address, path = brief.url, PORTS["REST"][1]
    with connect(address) as client:
        client.sendall(get_request(path) * 40)
        for _ in range(40):
            time.sleep(0.1)
            assert client.recv(2**19), "the connection was ended"
