"""Load on a server: the same request again and again, from each of several clients at once."""

from bench import clients, wrk
from bench.timing import Timing


def client(transport: str) -> str:
    """Whose clients carry a transport: `wrk`'s over HTTP where it is installed, and else our own."""
    return "wrk" if transport == "http" and wrk.COMMAND else "Python"


def sent(transport: str, address: str, request: bytes, count: int, seconds: float) -> Timing:
    """Measure.

    Args:
        transport: `http` or `grpc`.
        address: host and port.
        request: whole, as HTTP/1.1; or, for gRPC, the message.
        count: how many clients send it at once.
        seconds: how long they do, after a warm-up.

    Raises:
        ServerError: a connection was closed, or an answer did not come.
    """
    if client(transport) == "wrk":
        return wrk.sent(address, request, count, seconds)
    return clients.sent(transport, address, request, count, seconds)
