"""Messages that arrive over gRPC: so many at a time, so that their bytes are bounded; the others wait unread."""

import asyncio
from typing import Any

import grpc

from tabserve.errors import InvalidRequest, Overloaded

SWEEP_SECONDS = 1.0

SHARE_SECONDS = 5.0
"""How long a message may arrive while others wait to."""

CANCEL_SECONDS = 0.1
"""How long a call without a message may turn out to be cancelled."""

MAX_WAITING = 4096
"""Calls that may wait to be read. HTTP/2 lets each client send 64 KiB of a message that nobody reads."""


class Arrivals:
    """Reads the messages of calls; for one event loop.

    Who waits for a place waits at the client: HTTP/2 holds back what nobody reads.
    """

    def __init__(self, places: int, seconds: float) -> None:
        """Read so many at a time, none for longer than so many seconds, nor than `SHARE_SECONDS` while others wait."""
        self._places, self._seconds = asyncio.Semaphore(places), seconds
        self._arriving: dict[asyncio.Timeout, float] = {}  # since when, in the loop's time
        self._waiting, self._ended = 0, False

    async def read(self, context: Any) -> bytes:  # noqa: ANN401  gRPC's type
        """The message of a call that has one.

        Raises:
            InvalidRequest: it has none.
            Overloaded: as `following` has it.
        """
        message = await self.following(context)
        if message is None:
            await asyncio.sleep(CANCEL_SECONDS)  # of a client that has left, gRPC tells this first, and cancels us then
            raise InvalidRequest("The call ended without a message; send one.")
        return message

    async def following(self, context: Any) -> bytes | None:  # noqa: ANN401
        """The next message of a call; nothing where it has no more.

        Raises:
            Overloaded: too many wait already, or it takes too long to arrive.
        """
        if self._waiting >= MAX_WAITING:
            raise Overloaded(f"The server has {self._waiting} messages to read; try again in a second.")
        self._waiting += 1
        try:
            await self._places.acquire()
        finally:
            self._waiting -= 1
        try:
            async with asyncio.timeout(0 if self._ended else None) as arriving:
                self._arriving[arriving] = asyncio.get_running_loop().time()
                message = await context.read()
        except TimeoutError:
            raise Overloaded("The message took too long to arrive; send it again, over a faster connection.") from None
        finally:
            self._arriving.pop(arriving, None)
            self._places.release()
        return None if message is grpc.aio.EOF else message

    def end(self) -> None:
        """Give up what has not arrived yet, and whatever would be read from now on."""
        self._ended = True
        for arriving in self._arriving:
            if not arriving.expired():
                arriving.reschedule(asyncio.get_running_loop().time())

    async def sweep(self) -> None:
        """End what has been arriving for too long, now and then."""
        while True:
            await asyncio.sleep(SWEEP_SECONDS)
            now = asyncio.get_running_loop().time()
            patience = min(SHARE_SECONDS, self._seconds) if self._waiting else self._seconds
            for arriving, since in self._arriving.items():
                if now - since > patience:
                    arriving.reschedule(now)
