"""The bodies of HTTP requests: waited for, bounded each and all together, and unpacked."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Protocol

from tabserve.errors import InvalidRequest, Overloaded, TooLarge
from tabserve.serving.limits import Limits
from tabserve.serving.protocol.document import Bytes
from tabserve.serving.rest import payload


class Arriving(Protocol):
    """A request whose body is arriving, or is here; `exchange.Exchange` is one.

    Attributes:
        headers: by their names in lower case; those that come several times as `exchange.joined` has them.
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
        # A few bytes may unpack to as many as a body may have: one at a time, even where nobody waits for it any more.
        self._unpacking = ThreadPoolExecutor(1, "unpacking")
        self._unpacked = asyncio.Lock()  # and no next one before this one is read, which begins without a pause

    async def read(self, asked: Arriving) -> Bytes:
        """The whole body, unpacked.

        Raises:
            InvalidRequest: it is packed otherwise than its head says, or its length is not to be read.
            TooLarge: it is larger than a body may be.
            Overloaded: all bodies together are larger than they may be.
        """
        try:
            self._check_size(int(asked.headers.get(b"content-length", b"0")))
        except ValueError:  # of thousands of digits, most of them zeros, or the parser of HTTP would have refused it
            raise InvalidRequest("The Content-Length has too many digits; leave out its leading zeros.") from None
        if asked.more_body:
            await self._arrival(asked)
        self._check_size(len(asked.body))
        body = asked.taken()
        encoding = asked.headers.get(b"content-encoding", b"identity").decode("latin-1").strip().lower()
        if encoding == "identity":
            return body
        inflated = partial(payload.inflated, body, encoding, self._limits.max_body_bytes)
        async with self._unpacked:
            return await asyncio.get_running_loop().run_in_executor(self._unpacking, inflated)

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
            raise TooLarge(f"The body is larger than {self._limits.max_body_bytes} bytes; send less at a time.")
