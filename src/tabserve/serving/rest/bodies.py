"""Read the bodies of HTTP requests: limit each and all together, and decompress them."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Protocol

from tabserve.errors import InvalidRequest, Overloaded, TooLarge
from tabserve.serving.limits import Limits
from tabserve.serving.protocol.document import Bytes
from tabserve.serving.rest import payload


class ArrivingRequest(Protocol):
    """A request whose body is arriving or complete, such as `exchange.Exchange`.

    Attributes:
        headers: by their names in lower case; repeated ones as `exchange.joined` joins them.
        body: the bytes that have arrived.
        more_body: whether more will arrive.
    """

    headers: dict[bytes, bytes]
    body: bytearray
    more_body: bool

    async def wait_for_more(self) -> None:
        """Wait until more of the body has arrived."""

    def take_body(self) -> bytearray:
        """Return the whole body and release it."""


class Bodies:
    """Reads the bodies of requests; for one event loop."""

    def __init__(self, limits: Limits) -> None:
        """Start with no body."""
        self._limits = limits
        self._receiving = 0  # bytes
        # A few bytes may decompress to a whole body: so one at a time, even if its client has left.
        self._unpacking = ThreadPoolExecutor(1, "unpacking")
        self._unpacked = asyncio.Lock()  # the next one starts only when this one is parsed

    async def read(self, asked: ArrivingRequest) -> Bytes:
        """The whole body, decompressed.

        Raises:
            InvalidRequest: the body is not compressed as its head says, or its length cannot be parsed.
            TooLarge: the body exceeds the limit.
            Overloaded: all bodies together exceed their limit.
        """
        try:
            self._check_size(int(asked.headers.get(b"content-length", b"0")))
        except ValueError:  # thousands of leading zeros: the HTTP parser refuses other digits
            raise InvalidRequest("The Content-Length has too many digits; leave out its leading zeros.") from None
        if asked.more_body:
            await self._arrival(asked)
        self._check_size(len(asked.body))
        body = asked.take_body()
        encoding = asked.headers.get(b"content-encoding", b"identity").decode("latin-1").strip().lower()
        if encoding == "identity":
            return body
        inflated = partial(payload.decompress, body, encoding, self._limits.max_body_bytes)
        async with self._unpacked:
            return await asyncio.get_running_loop().run_in_executor(self._unpacking, inflated)

    async def _arrival(self, asked: ArrivingRequest) -> None:
        """Wait for a body that arrives in several parts."""
        counted = 0
        try:
            while asked.more_body:
                self._receiving += len(asked.body) - counted
                counted = len(asked.body)
                self._check_size(counted)
                if self._receiving > self._limits.max_receiving_bytes:
                    raise Overloaded("The server is receiving as much as it may; try again in a second.")
                await asked.wait_for_more()
        finally:
            self._receiving -= counted

    def _check_size(self, size: int) -> None:
        if size > self._limits.max_body_bytes:
            raise TooLarge(f"The body is larger than {self._limits.max_body_bytes} bytes; send less at a time.")
