"""Load on a server: several clients at once, each of which repeats the same request."""

from bench import clients, wrk
from bench.timing import Timing


def client(transport: str) -> str:
    """The kind of clients for a transport: `wrk` over HTTP where it is installed, and else Python."""
    return "wrk" if transport == "http" and wrk.COMMAND else "Python"


def measure(transport: str, address: str, request: bytes, count: int, seconds: float) -> Timing:
    """Measure a server under load.

    Args:
        transport: `http` or `grpc`.
        address: host and port.
        request: a whole HTTP/1.1 request; or, for gRPC, the message.
        count: how many clients send the request at once.
        seconds: how long they send it, after a warm-up.

    Raises:
        ServerError: a connection was closed, or an answer did not come.
    """
    if client(transport) == "wrk":
        return wrk.measure(address, request, count, seconds)
    return clients.measure(transport, address, request, count, seconds)
