"""The bodies of HTTP requests: waited for, bounded each and all together, and unpacked."""

import asyncio
from typing import Protocol

from tabserve.errors import Overloaded, TooLarge
from tabserve.serving import parser, payload
from tabserve.serving.limits import Limits


class Arriving(Protocol):
    """A request whose body is arriving, or is here; `exchange.Exchange` is one.

    Attributes:
        headers: by their names in lower case; of those that come twice, the last.
        body: what has come of it.
        more_body: whether more is to come.
    """

    headers: dict[bytes, bytes]
    body: bytearray
    more_body: bool

    async def grown(self) -> None:
        """Wait until more of the body has come."""

    def taken(self) -> bytearray:
        """The whole body, which is held no longer."""


class Bodies:
    """Reads the bodies of requests; for one event loop."""

    def __init__(self, limits: Limits) -> None:
        """Read none yet."""
        self._limits = limits
        self._receiving = 0  # bytes
        self._unpacking = asyncio.Lock()  # a few bytes may unpack to as many as a body may have: one at a time

    async def read(self, asked: Arriving) -> parser.Bytes:
        """The whole body, unpacked.

        Raises:
            InvalidRequest: it is packed otherwise than its head says.
            TooLarge: it is larger than a body may be.
            Overloaded: all bodies together are larger than they may be.
        """
        self._check_size(int(asked.headers.get(b"content-length", b"0")))
        if asked.more_body:
            await self._arrival(asked)
        self._check_size(len(asked.body))
        body = asked.taken()
        encoding = asked.headers.get(b"content-encoding", b"identity").decode("latin-1").strip().lower()
        if encoding == "identity":
            return body
        async with self._unpacking:
            return await asyncio.to_thread(payload.inflated, body, encoding, self._limits.max_body_bytes)

    async def _arrival(self, asked: Arriving) -> None:
        """Wait for a body that comes in several parts."""
        counted = 0
        try:
            while asked.more_body:
                self._receiving += len(asked.body) - counted
                counted = len(asked.body)
                self._check_size(counted)
                if self._receiving > self._limits.max_receiving_bytes:
                    raise Overloaded("The server is receiving as much as it may; try again in a second.")
                await asked.grown()
        finally:
            self._receiving -= counted

    def _check_size(self, size: int) -> None:
        if size > self._limits.max_body_bytes:
            raise TooLarge(f"The body is larger than {self._limits.max_body_bytes} bytes; send fewer rows at a time.")
