"""What our connections and our server take from inside uvicorn is where it was."""

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
"""That anything here may take."""

OF_A_CONNECTION = (
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

OF_ITS_FLOW = ("drain", "pause_reading", "resume_reading", "write_paused")

OF_A_CYCLE = (
    "body",
    "disconnected",
    "keep_alive",
    "message_event",
    "more_body",
    "response_complete",
    "run_asgi",
)
"""A request and its response: what an `Exchange` has in its place."""

OF_A_SERVER = ("config", "lifespan", "server_state", "servers", "shutdown", "serve", "capture_signals")


def test_what_is_relied_on_inside_uvicorn_is_still_there() -> None:
    """By its name; `connection.py`, `listener.py` and `exchange.py` read and write these without being asked to."""

    async def check() -> None:
        config = uvicorn.Config(App(), http=Connection)
        config.load()
        state = ServerState()
        made = Connection(config=config, server_state=state, app_state={})
        made.connection_made(Silent())
        assert made in state.connections
        made.data_received(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        server = Listener(config, Limits())
        server.lifespan, server.servers = config.lifespan_class(config), []  # as `serve` does
        pinned = {
            made: OF_A_CONNECTION,
            made.flow: OF_ITS_FLOW,
            made.cycle: OF_A_CYCLE,
            server: OF_A_SERVER,
            server.lifespan: ("state",),
            state: ("connections", "default_headers"),
        }
        assert [(of, name) for of, names in pinned.items() for name in names if not hasattr(of, name)] == []
        assert STATUS_LINE[200] == b"HTTP/1.1 200 OK\r\n"

    asyncio.run(check())


def test_who_has_connected_may_ask_after_the_port_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Before the server ends, which gives time for it."""
    monkeypatch.setattr(listener, "LOOKS", int(SECONDS / listener.LOOK_SECONDS))

    async def check(listening: socket.socket) -> None:
        address = listening.getsockname()
        server = Listener(uvicorn.Config(App(), http=Connection, log_level="warning", lifespan="off"), Limits())
        serving = asyncio.create_task(server.serve_on(listening))
        reading, writing = await asyncio.open_connection(*address)
        server.should_exit = True
        async with asyncio.timeout(SECONDS):
            with suppress(ConnectionRefusedError):
                while True:
                    (await asyncio.open_connection(*address))[1].close()
                    await asyncio.sleep(0.01)
        await asyncio.sleep(0.3)  # a client that the machine keeps from running
        writing.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        async with asyncio.timeout(SECONDS):
            assert (await reading.read()).startswith(b"HTTP/1.1 204 "), "closed without an answer"
            writing.close()
            await serving

    with socket.create_server(("127.0.0.1", 0)) as listening:
        asyncio.run(check(listening))


class App:
    """Answers with nothing."""

    async def __call__(self, _scope: object, _receive: object, send: Any) -> None:  # noqa: ANN401  ASGI's
        """Say so."""
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    def target(self, _path: str) -> None:
        """Nobody is asked."""


class Silent(asyncio.Transport):
    """A transport that goes nowhere."""

    def is_closing(self) -> bool:
        """It never is."""
        return False

    def write(self, _data: bytes | bytearray | memoryview) -> None:
        """Forget it."""

    def close(self) -> None:
        """Do nothing."""
