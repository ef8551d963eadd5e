"""The internals of uvicorn that `Connection` and `Listener` use still exist, and shutdown loses no connection."""

import asyncio
import socket
from contextlib import suppress
from typing import Any

import pytest
import uvicorn
from uvicorn.protocols.http.httptools_impl import STATUS_LINE
from uvicorn.server import ServerState

from tabserve.serving.limits import Limits
from tabserve.serving.rest import listener
from tabserve.serving.rest.connection import Connection
from tabserve.serving.rest.listener import Listener

SECONDS = 20
"""Most time that a step may take."""

CONNECTION_NAMES = (
    "_start_asgi_task",
    "_unset_keepalive_if_required",
    "app",
    "config",
    "cycle",
    "expect_100_continue",
    "flow",
    "headers",
    "on_response_complete",
    "parser",
    "pipeline",
    "send_400_response",
    "server_state",
    "timeout_keep_alive_task",
    "transport",
    "url",
)

FLOW_NAMES = ("drain", "pause_reading", "resume_reading", "write_paused")

CYCLE_NAMES = (
    "body",
    "disconnected",
    "keep_alive",
    "message_event",
    "more_body",
    "response_complete",
    "run_asgi",
)
"""Of uvicorn's request-response cycle, whose place an `Exchange` takes."""

SERVER_NAMES = ("config", "lifespan", "server_state", "servers", "shutdown", "serve", "capture_signals")


def test_uvicorn_has_every_internal_name_that_we_use() -> None:
    """The names that `connection.py`, `listener.py` and `exchange.py` read and write."""

    async def check() -> None:
        config = uvicorn.Config(App(), http=Connection)
        config.load()
        state = ServerState()
        connection = Connection(config=config, server_state=state, app_state={})
        connection.connection_made(NoTransport())
        assert connection in state.connections
        connection.data_received(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        server = Listener(config, Limits())
        server.lifespan, server.servers = config.lifespan_class(config), []  # as `serve` does
        expected = {
            connection: CONNECTION_NAMES,
            connection.flow: FLOW_NAMES,
            connection.cycle: CYCLE_NAMES,
            server: SERVER_NAMES,
            server.lifespan: ("state",),
            state: ("connections", "default_headers"),
        }
        assert [(owner, name) for owner, names in expected.items() for name in names if not hasattr(owner, name)] == []
        assert STATUS_LINE[200] == b"HTTP/1.1 200 OK\r\n"

    asyncio.run(check())


def test_a_connected_client_may_send_a_request_after_the_port_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The server waits for that request before it ends."""
    monkeypatch.setattr(listener, "LOOKS", int(SECONDS / listener.LOOK_SECONDS))

    async def check(listening: socket.socket) -> None:
        address = listening.getsockname()
        server = Listener(uvicorn.Config(App(), http=Connection, log_level="warning", lifespan="off"), Limits())
        serving = asyncio.create_task(server.serve_on(listening))
        reader, writer = await asyncio.open_connection(*address)
        server.should_exit = True
        async with asyncio.timeout(SECONDS):
            with suppress(ConnectionRefusedError):
                while True:
                    (await asyncio.open_connection(*address))[1].close()
                    await asyncio.sleep(0.01)
        await asyncio.sleep(0.3)  # as a client on a busy machine
        writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        async with asyncio.timeout(SECONDS):
            assert (await reader.read()).startswith(b"HTTP/1.1 204 "), "closed without an answer"
            writer.close()
            await serving

    with socket.create_server(("127.0.0.1", 0)) as listening:
        asyncio.run(check(listening))


class App:
    """An app that answers every request with 204."""

    async def __call__(self, _scope: object, _receive: object, send: Any) -> None:  # noqa: ANN401  ASGI's
        """Answer with 204."""
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    def target(self, _path: str) -> None:
        """No path is one of inference."""


class NoTransport(asyncio.Transport):
    """A transport without a network."""

    def is_closing(self) -> bool:
        """Never."""
        return False

    def write(self, _data: bytes | bytearray | memoryview) -> None:
        """Drop the bytes."""

    def close(self) -> None:
        """Do nothing."""
