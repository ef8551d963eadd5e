"""Load on a server, as cheap as Python makes it: it shares the cores with the server.

Each client sends the same request again as soon as it has its answer. A measurement ends when all that was sent in its
time is answered.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from math import nan
from typing import cast

import grpc
import numpy as np
import uvloop

from tabserve.errors import ServerError

WARM_SECONDS = 1.0

PATIENCE = 60.0
"""Seconds that an answer may take beyond the time of the measurement."""

GRPC_METHOD = "/inference.GRPCInferenceService/ModelInfer"


@dataclass(frozen=True)
class Timing:
    """What clients saw: answers a second, milliseconds for one, how many were errors; or why there were none."""

    rate: float = nan
    p50: float = nan
    p99: float = nan
    errors: int = 0
    refused: str = ""


class Tally:
    """Counts the answers of one measurement."""

    def __init__(self, seconds: float) -> None:
        """Start now, for so many seconds."""
        self.start = time.perf_counter()
        self.end = self.start + seconds
        self.latencies: list[float] = []
        self.errors = 0

    def timing(self) -> Timing:
        """What was found by now."""
        elapsed = time.perf_counter() - self.start
        p50, p99 = np.percentile(self.latencies, [50, 99]) * 1_000
        return Timing(len(self.latencies) / elapsed, float(p50), float(p99), self.errors)


def http(address: str, request: bytes, clients: int, seconds: float) -> Timing:
    """Send a whole HTTP request over and over, one connection for each client.

    Raises:
        ServerError: a connection was closed, or an answer did not come.
    """
    return uvloop.run(_http(address, request, clients, seconds))


def rpc(address: str, request: bytes, clients: int, seconds: float) -> Timing:
    """Call ModelInfer with a serialized request over and over, all clients over one channel.

    Raises:
        ServerError: an answer did not come.
    """
    return asyncio.run(_rpc(address, request, clients, seconds))


class Connection(asyncio.Protocol):
    """An HTTP client that reads no more of an answer than its status and its length."""

    def __init__(self, request: bytes) -> None:
        """Prepare to send the request."""
        self._request = request

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self._transport = cast("asyncio.Transport", transport)

    def run(self, tally: Tally) -> asyncio.Future[None]:
        """Send and read until the tally's end."""
        self._tally, self._done = tally, asyncio.get_running_loop().create_future()
        self._send()
        return self._done

    def close(self) -> None:
        """Leave."""
        self._transport.close()

    def _send(self) -> None:
        self._answer, self._size = b"", 0
        self._sent = time.perf_counter()
        self._transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        """Count the answer once it is whole, and send the next request."""
        self._answer += data
        self._size = self._size or _size(self._answer)
        if not self._size or len(self._answer) < self._size:
            return
        now = time.perf_counter()
        self._tally.latencies.append(now - self._sent)
        self._tally.errors += not self._answer.startswith(b"HTTP/1.1 200 ")
        if now < self._tally.end:
            self._send()
        else:
            self._done.set_result(None)

    def connection_lost(self, error: Exception | None) -> None:
        """Say so to whoever waits for an answer."""
        if not self._done.done():
            self._done.set_exception(ServerError(f"The server closed a connection: {error or self._answer[:200]!r}."))


def _size(answer: bytes) -> int:
    """Bytes of the answer whose beginning this is, 0 if its head is not whole yet."""
    end = answer.find(b"\r\n\r\n")
    if end < 0:
        return 0
    _, found, length = answer[:end].lower().partition(b"\r\ncontent-length:")
    if not found:
        raise ServerError(f"Expected an answer with a Content-Length, found {answer[:end]!r}.")
    return end + 4 + int(length.split(b"\r\n", 1)[0])


async def _http(address: str, request: bytes, clients: int, seconds: float) -> Timing:
    host, port = address.split(":")
    loop = asyncio.get_running_loop()
    connections = [
        (await loop.create_connection(lambda: Connection(request), host, int(port)))[1] for _ in range(clients)
    ]
    try:
        return await _measured(lambda tally: [connection.run(tally) for connection in connections], seconds)
    finally:
        for connection in connections:
            connection.close()


async def _rpc(address: str, request: bytes, clients: int, seconds: float) -> Timing:
    async with grpc.aio.insecure_channel(address) as channel:
        call = channel.unary_unary(GRPC_METHOD)

        async def client(tally: Tally) -> None:
            now = time.perf_counter()
            while now < tally.end:
                sent = now
                try:
                    await call(request)
                except grpc.RpcError:
                    tally.errors += 1
                now = time.perf_counter()
                tally.latencies.append(now - sent)

        return await _measured(lambda tally: [client(tally) for _ in range(clients)], seconds)


async def _measured(clients: Callable[[Tally], list[Awaitable[None]]], seconds: float) -> Timing:
    """Let all clients run twice: to warm the server up, and to measure."""
    for span in (min(WARM_SECONDS, seconds), seconds):
        tally = Tally(span)
        try:
            async with asyncio.timeout(span + PATIENCE):
                await asyncio.gather(*clients(tally))
        except TimeoutError as error:
            raise ServerError(f"An answer did not come within {PATIENCE:.0f} s.") from error
    return tally.timing()
