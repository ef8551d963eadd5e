"""The end of a connection on which more comes than is wanted: the last answer would be lost if it were just closed."""

import asyncio
from typing import Any

DROPPED_BYTES = 2**30
"""That are read of a request after its refusal, at most."""


class Farewell(asyncio.Protocol):
    """Reads and drops what still comes, until the client ends the connection too: the kernel would answer by a reset.

    It stands in the place of a connection among uvicorn's, where the listener's sweep ends it in time.
    """

    cycle = None

    def __init__(self, transport: asyncio.Transport, connections: set[Any]) -> None:
        """Take over, once the last answer is written."""
        self.transport, self._connections, self._left = transport, connections, DROPPED_BYTES
        transport.write_eof()
        transport.set_protocol(self)
        connections.add(self)

    def data_received(self, data: bytes) -> None:
        """Drop what came."""
        self._left -= len(data)
        if self._left < 0:
            self.transport.close()

    def connection_lost(self, _error: Exception | None) -> None:
        """Be gone."""
        self._connections.discard(self)

    def unfinished(self) -> bool:
        """Whether it may last only as long as a request may take to arrive: always."""
        return True

    def abandon(self) -> None:
        """End at once."""
        self.transport.abort()

    def shutdown(self) -> None:
        """End with the server."""
        self.transport.close()
