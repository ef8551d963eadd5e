"""Every port that speaks HTTP ends connections of clients that send half of a request, or do not read the answers."""

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
"""The server's attribute with the port's address, and its route with the largest answer."""

CONNECTIONS = 50

UNREAD_BYTES = 2**25
"""Of answers, more than the kernel holds for a client that reads none."""

port = pytest.mark.parametrize(("name", "path"), PORTS.values(), ids=list(PORTS))


@pytest.fixture(scope="module")
def brief(model_folder: Path) -> Iterator[Server]:
    """A server of these tests' own that soon gives up, as what they do makes its process larger."""
    with impatient(model_folder, TABSERVE_KEEP_ALIVE_SECONDS="1") as started:
        yield started


def impatient(model_folder: Path, **variables: str) -> AbstractContextManager[Server]:
    """A server that gives clients two seconds."""
    return running(DEPLOY, {"TABSERVE_MODEL": str(model_folder), "TABSERVE_RECEIVE_SECONDS": "2", **variables})


def asking(path: str) -> bytes:
    """A whole request."""
    return f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode()


@contextmanager
def unread(address: str, path: str) -> Iterator[socket.socket]:
    """A client that asks for many answers and reads none of them, once the server waits for it to read."""
    count = UNREAD_BYTES // len(requests.get(address + path, timeout=SECONDS).content) + 1
    host, _, number = address.removeprefix("http://").rpartition(":")
    with socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.settimeout(1)  # the server does not read on, either
        client.connect((host, int(number)))
        with suppress(TimeoutError):
            client.sendall(asking(path) * count)
        yield client


def is_held(client: socket.socket) -> bool:
    """Whether the server still has its end of a connection: a socket that no process has is of inode 0."""
    ends = [f":{address[1]:04X}" for address in (client.getpeername(), client.getsockname())]
    sockets = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()]
    return any(s[1].endswith(ends[0]) and s[2].endswith(ends[1]) and s[9] != "0" for s in sockets)


def is_given_up(client: socket.socket) -> bool:
    """Whether the server lets go of a connection within the deadline."""
    deadline = time.monotonic() + SECONDS
    while (held := is_held(client)) and time.monotonic() < deadline:
        time.sleep(0.1)
    return not held


def drained(client: socket.socket) -> int:
    """How many bytes still come, until the connection ends, or is one that nobody has any more."""
    count = 0
    with suppress(ConnectionResetError, TimeoutError):
        while found := client.recv(2**20):
            count += len(found)
    return count


@port
@pytest.mark.parametrize("sent", [b"", b"GET /metr", b"GET /metrics HTTP/1.1\r\nHost: x\r\nX: "], ids=range(3))
def test_half_requests_do_not_hold_descriptors(brief: Server, name: str, path: str, sent: bytes) -> None:
    """Each connection ends after `receive_seconds`, set to 2, and the next request is answered."""
    address = getattr(brief, name)
    with ExitStack() as opened:
        clients = [opened.enter_context(connect(address)) for _ in range(CONNECTIONS)]
        for client in clients:
            client.sendall(sent)
        assert [client.recv(1) for client in clients] == [b""] * CONNECTIONS
    assert requests.get(address + path, timeout=SECONDS).status_code == 200


@port
def test_an_immense_head_is_refused(brief: Server, name: str, path: str) -> None:
    """Before it is held as a whole."""
    with connect(getattr(brief, name)) as client, suppress(ConnectionResetError, BrokenPipeError):
        client.sendall(asking(path)[:-2] + b"X: " + b"a" * 200_000)
        assert client.recv(65_536).startswith(b"HTTP/1.1 400 ")


@port
def test_an_unused_connection_is_ended(brief: Server, name: str, path: str) -> None:
    """After `keep_alive_seconds`, and not before it has been answered."""
    with connect(getattr(brief, name)) as client:
        client.sendall(asking(path))
        assert b"".join(iter(lambda: client.recv(65_536), b"")).startswith(b"HTTP/1.1 200 ")


@port
def test_who_does_not_read_is_given_up(model_folder: Path, name: str, path: str) -> None:
    """After `receive_seconds`, however many answers wait on the connection."""
    with impatient(model_folder) as server, unread(getattr(server, name), path) as client:
        assert is_held(client), "the connection ended while it was asked for more"
        assert is_given_up(client), f"the connection lasted more than {SECONDS} s"
        assert drained(client) < UNREAD_BYTES, "all was answered, as if it had been read"


@port
def test_who_does_not_read_cannot_hold_up_the_end(model_folder: Path, name: str, path: str) -> None:
    """The server ends as always, and says in one line at most what it gave up."""
    with impatient(model_folder) as server:
        with unread(getattr(server, name), path), unread(getattr(server, name), path):
            before = len(server.log.read_text())
            server.process.terminate()
            assert server.process.wait(SECONDS) == 0
        said = [line for line in server.log.read_text()[before:].splitlines() if "gRPC server shutdown" not in line]
        assert [line for line in said if not line.startswith("Ended 2 connections")] == []


def test_who_reads_slowly_is_not_given_up(brief: Server) -> None:
    """Twice as long as `receive_seconds`, while answers wait; each part that is read gives new time."""
    address, path = brief.url, PORTS["REST"][1]
    with connect(address) as client:
        client.sendall(asking(path) * 40)
        for _ in range(40):
            time.sleep(0.1)
            assert client.recv(2**19), "the connection was ended"
