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


class RequestHandler(Protocol):
    """Answers the requests of connections: inference directly, all else as an ASGI app; see `inference.InferenceApp`.

    Attributes:
        draining: whether each connection closes with its next response.
    """

    draining: bool

    def target(self, path: str) -> object:
        """What answers this path (as of `paths.route`) directly, or None if the ASGI app does."""

    async def infer(self, request: Any) -> Reply:  # noqa: ANN401  an Exchange
        """The response to such a request; cancelled if the client leaves."""


class AppHandler:
    """A request handler that leaves everything to an ASGI app."""

    draining = False

    def __init__(self, app: App) -> None:
        """Take the app."""
        self._app = app

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Let the app answer."""
        await self._app(scope, receive, send)

    def target(self, _path: str) -> None:
        """None: the app answers every path."""

    async def infer(self, request: Any) -> Reply:  # noqa: ANN401
        """Never called, as no path has a target."""
        raise NotImplementedError


class Exchange:
    """Takes the place of uvicorn's `RequestResponseCycle`, without ASGI's scope and messages.

    Attributes:
        target, method, headers, body, more_body: as in `inference.InferenceRequest`.
        client: the address of the client; empty if it has none.
        keep_alive, disconnected, response_complete, message_event: as in uvicorn.
    """

    def __init__(self, connection: Any, target: Any) -> None:  # noqa: ANN401  a `connection.Connection`, and the handler's own
        """Start when the head has arrived; the target is the request handler's."""
        self._connection = connection
        parser = connection.parser
        self.target, self.method, self.headers = target, parser.get_method(), dict(connection.headers)
        if len(self.headers) < len(connection.headers):
            self.headers = join_repeated(connection.headers)
        self.client: str = connection.client[0] if connection.client else ""
        self.body, self.more_body = bytearray(), True
        self.keep_alive = parser.get_http_version() != "1.0" and parser.should_keep_alive()
        self.disconnected = self.response_complete = False
        self.message_event = asyncio.Event()
        self._is_awaited = connection.expect_100_continue
        self.task: asyncio.Task[None] | None = None

    async def wait_for_more(self) -> None:
        """Wait until more of the body has arrived."""
        if self._is_awaited:
            self._is_awaited = False
            self._connection.transport.write(CONTINUE)
        self._connection.flow.resume_reading()
        self.message_event.clear()
        await self.message_event.wait()

    def take_body(self) -> bytearray:
        """Return the whole body and release it; from now on a client that leaves is noticed."""
        self._connection.flow.resume_reading()
        body, self.body = self.body, bytearray()
        return body

    async def run_asgi(self, _app: Any) -> None:  # noqa: ANN401  uvicorn's name and type
        """Answer the request, unless the client has left."""
        if self.disconnected:
            return
        self.task = asyncio.current_task()
        connection, handler = self._connection, cast("RequestHandler", self._connection.config.app)
        reply = await handler.infer(self)
        if connection.flow.write_paused:
            await connection.flow.drain()
        if not connection.transport.is_closing():
            self._write(reply, responses.headers(reply, closing=handler.draining))

    def _write(self, reply: Reply, headers: list[tuple[bytes, bytes]]) -> None:
        """Write the whole response in one call."""
        connection = self._connection
        if not self.keep_alive and CLOSE not in headers:
            headers.append(CLOSE)
        headers[:0] = connection.server_state.default_headers
        body = b"" if self.method == b"HEAD" else reply.body
        connection.transport.write(to_bytes(reply.status, headers, body))
        self.response_complete = True
        self.body = bytearray()  # frees what arrived of a refused body
        if CLOSE in headers:
            connection.end()
        else:
            connection.on_response_complete()


def join_repeated(headers: Iterable[tuple[bytes, bytes]]) -> dict[bytes, bytes]:
    """Headers by name; the values of a repeated header are joined by commas (RFC 9110, 5.3)."""
    values: dict[bytes, list[bytes]] = {}
    for name, value in headers:
        values.setdefault(name, []).append(value)
    return {name: b", ".join(parts) for name, parts in values.items()}


def to_bytes(status: int, headers: list[tuple[bytes, bytes]], body: bytes) -> bytes:
    """The bytes of a whole response."""
    return b"".join([STATUS_LINE[status], *[b"%b: %b\r\n" % header for header in headers], b"\r\n", body])
