"""uvicorn, taught to end unfinished requests in time, and to end itself without losing one."""

import asyncio
import math
import socket
import time
from contextlib import suppress
from typing import Any, cast
from urllib.parse import unquote

import httptools
import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from tabserve.serving.exchange import Door, Exchange
from tabserve.serving.limits import Limits

MAX_HEAD_BYTES = 64 * 1024
"""Bytes of a request's line and headers; beyond, the connection ends."""

BACKLOG = 2048
"""Connections that the kernel holds until they are accepted."""

SWEEP_SECONDS = 1.0

READING_SECONDS = 0.1
"""How long the last connections have to be read from, before those that have asked nothing are closed."""


class Connection(HttpToolsProtocol):
    """One connection, whose head is bounded, and on which inference goes past ASGI."""

    _head_bytes, _in_body = 0, False
    _started: Exchange | None = None

    def data_received(self, data: bytes) -> None:
        """Take what came, and end the connection where its head has grown too large."""
        self._head_bytes += len(data)
        super().data_received(data)
        if self._head_bytes > MAX_HEAD_BYTES and not self._in_body and not self.transport.is_closing():
            self.send_400_response("The head of the request is too large.")

    def on_headers_complete(self) -> None:
        """Begin an exchange where inference is asked for; and begin to count anew, for the next head."""
        self._head_bytes, self._in_body = 0, True
        path = httptools.parse_url(self.url).path.decode("ascii")
        target = cast("Door", self.config.app).target(unquote(path) if "%" in path else path)
        if target is None or (self.parser.should_upgrade() and self._should_upgrade()):
            super().on_headers_complete()
            return
        before: RequestResponseCycle | None = self.cycle
        self.cycle = cast("RequestResponseCycle", Exchange(self, target))
        if before is None or before.response_complete:
            self._start_asgi_task(self.cycle, self.app)
        else:  # as uvicorn has it, answers come in the order of the requests
            self.flow.pause_reading()
            self.pipeline.appendleft((self.cycle, self.app))

    def _start_asgi_task(self, cycle: Any, app: Any) -> None:  # noqa: ANN401  uvicorn's types
        self._started = cycle
        super()._start_asgi_task(cycle, app)

    def on_message_complete(self) -> None:
        """Begin to count anew, for the next head."""
        super().on_message_complete()
        self._head_bytes, self._in_body = 0, False

    def connection_lost(self, exc: Exception | None) -> None:
        """Give up the answer that nobody waits for."""
        super().connection_lost(exc)
        if isinstance(self._started, Exchange) and self._started.task:
            self._started.task.cancel()

    def unfinished(self) -> bool:
        """Whether the client has begun, or should begin, to send something that is not complete."""
        cycle: RequestResponseCycle | None = self.cycle
        if cycle is None or cycle.response_complete:
            return self.timeout_keep_alive_task is None
        return cycle.more_body


def configured(config: uvicorn.Config, door: Door, limits: Limits) -> uvicorn.Config:
    """The configuration, for this door and for our connections."""
    config.app, config.http, config.backlog = cast("Any", door), Connection, BACKLOG
    config.proxy_headers = False  # nothing here looks at the client's address
    config.timeout_keep_alive = limits.keep_alive_seconds
    config.timeout_graceful_shutdown = math.ceil(limits.receive_seconds)  # for who does not read an answer
    config.log_level = "warning"
    return config


class Listener(uvicorn.Server):
    """A uvicorn server on a socket of its own."""

    def __init__(self, config: uvicorn.Config, limits: Limits) -> None:
        """Prepare to serve."""
        super().__init__(config)
        self._limits = limits
        self._socket: socket.socket | None = None

    async def serve_on(self, listening: socket.socket) -> None:
        """Serve until asked to exit, then until every accepted request is answered."""
        self._socket = listening
        sweeping = asyncio.create_task(self._sweep())
        try:
            await self.serve(sockets=[listening.dup()])
        finally:
            sweeping.cancel()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop listening, after the connections that wait to be accepted were taken in, and answer what they ask."""
        assert self._socket is not None
        for server in self.servers:
            server.close()
        waiting = _accepted(self._socket)  # at one go: who is answered may come again before the loop turns
        for listening in [self._socket, *(sockets or [])]:
            listening.close()
        for each in waiting:
            await asyncio.get_running_loop().connect_accepted_socket(self._connection, each)
        await asyncio.sleep(READING_SECONDS)
        await super().shutdown(sockets)

    def _connection(self) -> Connection:
        return Connection(config=self.config, server_state=self.server_state, app_state=self.lifespan.state)

    async def _sweep(self) -> None:
        """Close connections on which a request has been arriving for too long."""
        since: dict[tuple[Any, Any], float] = {}
        while True:
            await asyncio.sleep(SWEEP_SECONDS)
            now = time.monotonic()
            found = {(each, each.cycle): each for each in self.server_state.connections if each.unfinished()}  # type: ignore[union-attr]
            since = {key: since.get(key, now) for key in found}
            for key, connection in found.items():
                if now - since[key] > self._limits.receive_seconds:
                    connection.transport.close()


def _accepted(listening: socket.socket) -> list[socket.socket]:
    """The connections that wait to be accepted."""
    waiting = []
    listening.setblocking(False)
    with suppress(OSError):
        while True:
            waiting.append(listening.accept()[0])
    return waiting
