"""Lingering close: drop what a client still sends after the last response, which an abrupt close could destroy."""

import asyncio
from typing import Any

DROPPED_BYTES = 2**30
"""Most bytes that are read and dropped after the response."""


class LingeringClose(asyncio.Protocol):
    """Reads and drops what still arrives until the client closes too; the kernel would answer it by a reset.

    It takes the connection's place in uvicorn's set, where the listener's sweep ends it in time.
    """

    cycle = None

    def __init__(self, transport: asyncio.Transport, connections: set[Any]) -> None:
        """Take over from a connection whose last response is written."""
        self.transport, self._connections, self._left = transport, connections, DROPPED_BYTES
        transport.write_eof()
        transport.set_protocol(self)
        connections.add(self)

    def data_received(self, data: bytes) -> None:
        """Drop the bytes; close if they are too many."""
        self._left -= len(data)
        if self._left < 0:
            self.transport.close()

    def connection_lost(self, _error: Exception | None) -> None:
        """Remove the connection from the server's set."""
        self._connections.discard(self)

    def is_unfinished(self) -> bool:
        """True: it may last only as long as a request may take to arrive."""
        return True

    def abandon(self) -> None:
        """Abort the connection."""
        self.transport.abort()

    def shutdown(self) -> None:
        """Close with the server."""
        self.transport.close()
