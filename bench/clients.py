"""Clients in Python, in a process of their own, and cheap, as they share the server's cores.

Each client sends the same request again as soon as it has the answer. A measurement ends when every request that was
sent in its time is answered.
"""

import asyncio
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from typing import cast

import grpc
import orjson
import uvloop

from bench.timing import Tally, Timing
from tabserve.cli import run
from tabserve.client.grpc import ENABLE_HTTP_PROXY
from tabserve.errors import ServerError

WARM_SECONDS = 1.0

PATIENCE = 60.0
"""Seconds that an answer may take beyond the time of the measurement."""

GRPC_METHOD = "/inference.GRPCInferenceService/ModelInfer"


def measure(transport: str, address: str, request: bytes, clients: int, seconds: float) -> Timing:
    """Measure a server from a fresh process.

    Args:
        transport: `http` or `grpc`.
        address: host and port.
        request: a whole HTTP/1.1 request; or, for gRPC, the message.
        clients: how many send the request at once.
        seconds: how long they send it, after a warm-up of the same length, but at most `WARM_SECONDS`.

    Raises:
        ServerError: a connection was closed, or an answer did not come.
    """
    command = [sys.executable, "-m", "bench.clients", transport, address, str(clients), str(seconds)]
    finished = subprocess.run(command, input=request, capture_output=True, check=False)  # noqa: S603 (our own arguments)
    if finished.returncode:
        raise ServerError(finished.stderr.decode().strip())
    return Timing(**orjson.loads(finished.stdout))


def main() -> None:
    """Measure as the command line asks, with the request from stdin; write the timing as JSON."""
    transport, address, clients, seconds = sys.argv[1:]
    run_clients, runner = TRANSPORTS[transport]
    timing = runner(run_clients(address, sys.stdin.buffer.read(), int(clients), float(seconds)))
    sys.stdout.buffer.write(orjson.dumps(asdict(timing)))


class Connection(asyncio.Protocol):
    """An HTTP client that reads only the status and the length of an answer."""

    def __init__(self, request: bytes) -> None:
        """Make a client of one request."""
        self._request = request

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport to write to."""
        self._transport = cast("asyncio.Transport", transport)

    def run(self, tally: Tally) -> asyncio.Future[None]:
        """Send the request again and again until the tally ends."""
        self._tally, self._done = tally, asyncio.get_running_loop().create_future()
        self._send()
        return self._done

    def close(self) -> None:
        """Close the connection."""
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
        """Fail the measurement if it has not ended."""
        if not self._done.done():
            self._done.set_exception(ServerError(f"The server closed a connection: {error or self._answer[:200]!r}."))


def _size(answer: bytes) -> int:
    """Size in bytes of the whole answer, 0 if its head is not complete yet."""
    end = answer.find(b"\r\n\r\n")
    if end < 0:
        return 0
    _, separator, length = answer[:end].lower().partition(b"\r\ncontent-length:")
    if not separator:
        raise ServerError(f"Expected an answer with a Content-Length, found {answer[:end]!r}.")
    return end + 4 + int(length.split(b"\r\n", 1)[0])


async def http(address: str, request: bytes, clients: int, seconds: float) -> Timing:
    """Measure over HTTP, with one connection for each client."""
    host, port = address.split(":")
    loop = asyncio.get_running_loop()
    connections = [
        (await loop.create_connection(lambda: Connection(request), host, int(port)))[1] for _ in range(clients)
    ]
    try:
        return await _run(lambda tally: [connection.run(tally) for connection in connections], seconds)
    finally:
        for connection in connections:
            connection.close()


async def rpc(address: str, request: bytes, clients: int, seconds: float) -> Timing:
    """Measure over gRPC, all clients on one channel."""
    async with grpc.aio.insecure_channel(address, options=[(ENABLE_HTTP_PROXY, 0)]) as channel:
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

        return await _run(lambda tally: [client(tally) for _ in range(clients)], seconds)


async def _run(clients: Callable[[Tally], list[Awaitable[None]]], seconds: float) -> Timing:
    """Run all clients twice: to warm the server up, and to measure."""
    for span in (min(WARM_SECONDS, seconds), seconds):
        tally = Tally(span)
        try:
            async with asyncio.timeout(span + PATIENCE):
                await asyncio.gather(*clients(tally))
        except TimeoutError as error:
            raise ServerError(f"An answer did not come within {PATIENCE:.0f} s.") from error
    return tally.timing()


TRANSPORTS = {"http": (http, uvloop.run), "grpc": (rpc, asyncio.run)}

if __name__ == "__main__":
    run.run(main)
