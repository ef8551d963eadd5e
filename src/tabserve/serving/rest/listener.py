"""A uvicorn server that closes stalled connections, and shuts down without losing a request."""

import asyncio
import logging
import socket
import time
from contextlib import suppress
from typing import Any, cast

import uvicorn

from tabserve.serving.limits import Limits
from tabserve.serving.ports import BACKLOG
from tabserve.serving.rest.connection import Connection
from tabserve.serving.rest.exchange import RequestHandler

SWEEP_SECONDS = 1.0

LOOKS, LOOK_SECONDS = 100, 0.01
"""How often, and how far apart, shutdown looks for a last request on idle connections before it closes them."""

log = logging.getLogger(__name__)


def configure(config: uvicorn.Config, handler: RequestHandler, limits: Limits) -> uvicorn.Config:
    """Set up a configuration for this request handler and our `Connection`."""
    config.app, config.http, config.backlog = cast("Any", handler), Connection, BACKLOG
    config.ws = "none"
    config.proxy_headers = False  # the client's address is not used
    config.timeout_keep_alive = limits.keep_alive_seconds
    config.log_level = "warning"
    config.configure_logging()
    return config


class Listener(uvicorn.Server):
    """A uvicorn server for one socket, which the caller has opened."""

    def __init__(self, config: uvicorn.Config, limits: Limits) -> None:
        """Prepare to serve."""
        super().__init__(config)
        self._limits = limits
        self._socket: socket.socket | None = None

    async def serve_on(self, listening: socket.socket) -> None:
        """Serve until told to exit, then answer every request that was accepted."""
        self._socket = listening
        sweeping = asyncio.create_task(self._sweep())
        try:
            await self.serve(sockets=[listening.dup()])
        finally:
            sweeping.cancel()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Accept the connections that wait, stop listening, and answer their requests."""
        assert self._socket is not None
        for server in self.servers:
            server.close()
        waiting = _accept_waiting(self._socket)
        for listening in [self._socket, *(sockets or [])]:
            listening.close()
        for accepted in waiting:
            await asyncio.get_running_loop().connect_accepted_socket(self._create_connection, accepted)
        for _ in range(LOOKS):  # not a deadline: a paused process has read nothing when that passes
            await asyncio.sleep(LOOK_SECONDS)
            if all(connection.cycle for connection in self._open_connections()):
                break
        abandoning = asyncio.get_running_loop().call_later(self._limits.receive_seconds, self._abandon_all)
        try:
            await super().shutdown(sockets)
        finally:
            abandoning.cancel()

    def _abandon_all(self) -> None:
        """End every connection with its task; uvicorn would log each cancelled task as an error."""
        connections = [*self._open_connections()]
        if connections:
            message = "Ended %d connections whose clients did not send their requests, or read their answers."
            log.warning(message, len(connections))
        for connection in connections:
            connection.abandon()

    def _open_connections(self) -> set[Any]:
        """The open connections; each is a `Connection` or its `LingeringClose`."""
        return cast("set[Any]", self.server_state.connections)

    def _create_connection(self) -> Connection:
        return Connection(config=self.config, server_state=self.server_state, app_state=self.lifespan.state)

    async def _sweep(self) -> None:
        """End connections that wait too long for their client to send a request or to read a response."""
        since: dict[tuple[Any, Any, int], float] = {}
        while True:
            await asyncio.sleep(SWEEP_SECONDS)
            now = time.monotonic()
            waiting = {_progress(each): each for each in self._open_connections() if each.is_unfinished()}
            since = {key: since.get(key, now) for key in waiting}
            for key, connection in waiting.items():
                if now - since[key] > self._limits.receive_seconds:
                    connection.abandon()


def _progress(connection: Any) -> tuple[Any, Any, int]:  # noqa: ANN401  a `Connection` or its `LingeringClose`
    """What changes as the client gets on: the request, and the bytes of the response that it has not read."""
    return connection, connection.cycle, connection.transport.get_write_buffer_size()


def _accept_waiting(listening: socket.socket) -> list[socket.socket]:
    """Accept the connections that wait, at most `BACKLOG`: under attack there is always a next one."""
    waiting: list[socket.socket] = []
    listening.setblocking(False)
    with suppress(OSError):
        while len(waiting) < BACKLOG:
            waiting.append(listening.accept()[0])
    return waiting
