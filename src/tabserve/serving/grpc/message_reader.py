"""Read gRPC messages, a limited number at a time, so that their total size is bounded."""

import asyncio
from typing import Any

import grpc

from tabserve.errors import InvalidRequest, Overloaded

SWEEP_SECONDS = 1.0

SHARE_SECONDS = 5.0
"""How long one message may take to arrive while others wait."""

CANCEL_SECONDS = 0.1
"""How long to wait for the cancellation of a call that has no message."""

MAX_WAITING = 4096
"""Most calls that wait to be read; HTTP/2 buffers up to 64 KiB of each one's message."""


class MessageReader:
    """Reads the messages of calls; for one event loop.

    A message that waits to be read waits at its client, as HTTP/2's flow control holds it back.
    """

    def __init__(self, limit: int, seconds: float) -> None:
        """Read at most `limit` messages at a time, each for at most `seconds`, or `SHARE_SECONDS` while others wait."""
        self._slots, self._seconds = asyncio.Semaphore(limit), seconds
        self._arriving: dict[asyncio.Timeout, float] = {}  # start in the loop's time
        self._waiting, self._ended = 0, False

    async def read(self, context: Any) -> bytes:  # noqa: ANN401  gRPC's type
        """The message of a call that sends exactly one.

        Raises:
            InvalidRequest: the call ended without a message.
            Overloaded: as for `read_next`.
        """
        message = await self.read_next(context)
        if message is None:
            await asyncio.sleep(CANCEL_SECONDS)  # if the client has left, gRPC cancels the call a moment later
            raise InvalidRequest("The call ended without a message; send one.")
        return message

    async def read_next(self, context: Any) -> bytes | None:  # noqa: ANN401
        """The next message of a call, or None if there are no more.

        Raises:
            Overloaded: too many calls wait already, or the message takes too long to arrive.
        """
        if self._waiting >= MAX_WAITING:
            raise Overloaded(f"The server has {self._waiting} messages to read; try again in a second.")
        self._waiting += 1
        try:
            await self._slots.acquire()
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
            self._slots.release()
        return None if message is grpc.aio.EOF else message

    def end(self) -> None:
        """Abandon messages that have not arrived, and all that would be read from now on."""
        self._ended = True
        for arriving in self._arriving:
            if not arriving.expired():
                arriving.reschedule(asyncio.get_running_loop().time())

    async def sweep(self) -> None:
        """Periodically abandon messages that have been arriving for too long."""
        while True:
            await asyncio.sleep(SWEEP_SECONDS)
            now = asyncio.get_running_loop().time()
            limit = min(SHARE_SECONDS, self._seconds) if self._waiting else self._seconds
            for arriving, start in self._arriving.items():
                if now - start > limit:
                    arriving.reschedule(now)
