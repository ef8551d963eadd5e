"""What our connections and our server take from inside uvicorn is where it was."""

import asyncio

import uvicorn
from uvicorn.protocols.http.httptools_impl import STATUS_LINE
from uvicorn.server import ServerState

from tabserve.serving.limits import Limits
from tabserve.serving.listener import Connection, Listener

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
    """By its name; `listener.py` and `exchange.py` read and write these without being asked to."""

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


class App:
    """Answers nothing."""

    async def __call__(self, _scope: object, _receive: object, _send: object) -> None:
        """Do nothing."""

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
