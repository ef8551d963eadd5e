"""One inference request on a connection, and its answer."""

import asyncio
from collections.abc import Iterable
from typing import Any, Protocol, cast

from uvicorn.protocols.http.httptools_impl import STATUS_LINE

from tabserve.serving.rest import responses
from tabserve.serving.rest.responses import CLOSE, Reply
from tabserve.serving.rest.safe_methods import App, Message, Receive, Send

CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
"""Asks for the body of a request that came with `Expect: 100-continue`."""


class Door(Protocol):
    """What answers on connections: an ASGI app, and past ASGI what must be fast; `edge.Edge` is one.

    Attributes:
        draining: whether each connection is to close with its next answer.
    """

    draining: bool

    def target(self, path: str) -> object:
        """Whom a path asks past ASGI, as `paths.route` has it; None where it is left to the app."""

    async def infer(self, asked: Any) -> Reply:  # noqa: ANN401  an Exchange, as far as the door looks at it
        """The answer to such a request, or the refusal; cancelled where the client leaves."""


class AppDoor:
    """A door that leaves everything to an ASGI app."""

    draining = False

    def __init__(self, app: App) -> None:
        """Take the app."""
        self._app = app

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Let the app answer."""
        await self._app(scope, receive, send)

    def target(self, _path: str) -> None:
        """Nobody is asked past ASGI."""

    async def infer(self, asked: Any) -> Reply:  # noqa: ANN401
        """Never asked, as no path has a target."""
        raise NotImplementedError


class Exchange:
    """What uvicorn's `RequestResponseCycle` is to its connection, with no scope and messages of ASGI to go through.

    Attributes:
        target, method, headers, body, more_body: as `edge.Asked` has them.
        keep_alive, disconnected, response_complete, message_event: as uvicorn has them.
    """

    def __init__(self, connection: Any, target: Any) -> None:  # noqa: ANN401  a `connection.Connection`, and the door's own
        """Begin, once the head is here; the target is what the door has found."""
        self._connection = connection
        parser = connection.parser
        self.target, self.method, self.headers = target, parser.get_method(), dict(connection.headers)
        if len(self.headers) < len(connection.headers):
            self.headers = joined(connection.headers)
        self.body, self.more_body = bytearray(), True
        self.keep_alive = parser.get_http_version() != "1.0" and parser.should_keep_alive()
        self.disconnected = self.response_complete = False
        self.message_event = asyncio.Event()
        self._is_awaited = connection.expect_100_continue
        self.task: asyncio.Task[None] | None = None

    async def grown(self) -> None:
        """Wait until more of the body has come."""
        if self._is_awaited:
            self._is_awaited = False
            self._connection.transport.write(CONTINUE)
        self._connection.flow.resume_reading()
        self.message_event.clear()
        await self.message_event.wait()

    def taken(self) -> bytearray:
        """The whole body, which is held no longer; who leaves from now on is heard."""
        self._connection.flow.resume_reading()
        body, self.body = self.body, bytearray()
        return body

    async def run_asgi(self, _app: Any) -> None:  # noqa: ANN401  uvicorn's name and type
        """Answer the request, unless the client has left."""
        if self.disconnected:
            return
        self.task = asyncio.current_task()
        connection, door = self._connection, cast("Door", self._connection.config.app)
        reply = await door.infer(self)
        if connection.flow.write_paused:
            await connection.flow.drain()
        if not connection.transport.is_closing():
            self._write(reply, responses.headers(reply, closing=door.draining))

    def _write(self, reply: Reply, headers: list[tuple[bytes, bytes]]) -> None:
        """Write the whole response at one go."""
        connection = self._connection
        if not self.keep_alive and CLOSE not in headers:
            headers.append(CLOSE)
        headers[:0] = connection.server_state.default_headers
        body = b"" if self.method == b"HEAD" else reply.body
        connection.transport.write(written(reply.status, headers, body))
        self.response_complete = True
        self.body = bytearray()  # what came of a refused one is not kept until the connection's next request
        if CLOSE in headers:
            connection.end()
        else:
            connection.on_response_complete()


def joined(headers: Iterable[tuple[bytes, bytes]]) -> dict[bytes, bytes]:
    """Headers by their names, all values of one that comes several times behind each other (RFC 9110, 5.3)."""
    values: dict[bytes, list[bytes]] = {}
    for name, value in headers:
        values.setdefault(name, []).append(value)
    return {name: b", ".join(found) for name, found in values.items()}


def written(status: int, headers: list[tuple[bytes, bytes]], body: bytes) -> bytes:
    """A whole response."""
    return b"".join([STATUS_LINE[status], *[b"%b: %b\r\n" % header for header in headers], b"\r\n", body])
