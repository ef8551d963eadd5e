"""uvicorn, taught to end unfinished requests in time, and to end itself without losing one."""

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
"""How often, and how far apart, the last connections are read from before those that have asked nothing are closed."""

log = logging.getLogger(__name__)


def configured(config: uvicorn.Config, door: RequestHandler, limits: Limits) -> uvicorn.Config:
    """The configuration, for this door and for our connections."""
    config.app, config.http, config.backlog = cast("Any", door), Connection, BACKLOG
    config.ws = "none"
    config.proxy_headers = False  # nothing here looks at the client's address
    config.timeout_keep_alive = limits.keep_alive_seconds
    config.log_level = "warning"
    config.configure_logging()
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
        waiting = _accepted(self._socket)
        for listening in [self._socket, *(sockets or [])]:
            listening.close()
        for each in waiting:
            await asyncio.get_running_loop().connect_accepted_socket(self._connection, each)
        for _ in range(LOOKS):  # not until a moment: a server that was kept from running has read nothing by then
            await asyncio.sleep(LOOK_SECONDS)
            if all(each.cycle for each in self._connections()):
                break
        giving_up = asyncio.get_running_loop().call_later(self._limits.receive_seconds, self._give_up)
        try:
            await super().shutdown(sockets)
        finally:
            giving_up.cancel()

    def _give_up(self) -> None:
        """End every connection, and with it its task: uvicorn would cancel the tasks, and log each as an error."""
        if left := [*self._connections()]:
            said = "Ended %d connections whose clients did not send their requests, or read their answers."
            log.warning(said, len(left))
        for each in left:
            each.abandon()

    def _connections(self) -> set[Any]:
        """Those that are open, of which each is a `Connection` or its `LingeringClose`."""
        return cast("set[Any]", self.server_state.connections)

    def _connection(self) -> Connection:
        return Connection(config=self.config, server_state=self.server_state, app_state=self.lifespan.state)

    async def _sweep(self) -> None:
        """End connections on which a request has been arriving, or none of an answer has been read, for too long."""
        since: dict[tuple[Any, Any, int], float] = {}
        while True:
            await asyncio.sleep(SWEEP_SECONDS)
            now = time.monotonic()
            unfinished = [each for each in self._connections() if each.unfinished()]
            found = {(each, each.cycle, each.transport.get_write_buffer_size()): each for each in unfinished}
            since = {key: since.get(key, now) for key in found}
            for key, connection in found.items():
                if now - since[key] > self._limits.receive_seconds:
                    connection.abandon()


def _accepted(listening: socket.socket) -> list[socket.socket]:
    """The connections that wait to be accepted, and no more: under attack there is always a next one."""
    waiting: list[socket.socket] = []
    listening.setblocking(False)
    with suppress(OSError):
        while len(waiting) < BACKLOG:
            waiting.append(listening.accept()[0])
    return waiting
