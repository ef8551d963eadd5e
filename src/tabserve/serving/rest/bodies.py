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
        headers: by their names in lower case; a repeated one as of `exchange.join_repeated`.
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
        """Take the limits on the size of bodies."""
        self._limits = limits
        self._receiving = 0  # bytes
        # A few bytes may decompress to a whole body, so one body at a time, even if its client has left.
        self._unpacking = ThreadPoolExecutor(1, "unpacking")
        self._unpacking_turn = asyncio.Lock()  # a body is unpacked only after the one before it is parsed

    async def read(self, request: ArrivingRequest) -> Bytes:
        """The whole body, decompressed.

        Raises:
            InvalidRequest: the body is not compressed as its head says, or its length cannot be parsed.
            TooLarge: the body exceeds the limit.
            Overloaded: all bodies together exceed their limit.
        """
        try:
            self._check_size(int(request.headers.get(b"content-length", b"0")))
        except ValueError:  # thousands of leading zeros: the HTTP parser refuses other digits
            raise InvalidRequest("The Content-Length has too many digits; leave out its leading zeros.") from None
        if request.more_body:
            await self._wait_for_all(request)
        self._check_size(len(request.body))
        body = request.take_body()
        encoding = request.headers.get(b"content-encoding", b"identity").decode("latin-1").strip().lower()
        if encoding == "identity":
            return body
        decompress = partial(payload.decompress, body, encoding, self._limits.max_body_bytes)
        async with self._unpacking_turn:
            return await asyncio.get_running_loop().run_in_executor(self._unpacking, decompress)

    async def _wait_for_all(self, request: ArrivingRequest) -> None:
        """Wait for a body that arrives in several parts."""
        counted = 0
        try:
            while request.more_body:
                self._receiving += len(request.body) - counted
                counted = len(request.body)
                self._check_size(counted)
                if self._receiving > self._limits.max_receiving_bytes:
                    raise Overloaded("The server is receiving as much as it may; try again in a second.")
                await request.wait_for_more()
        finally:
            self._receiving -= counted

    def _check_size(self, size: int) -> None:
        if size > self._limits.max_body_bytes:
            raise TooLarge(f"The body is larger than {self._limits.max_body_bytes} bytes; send less at a time.")
