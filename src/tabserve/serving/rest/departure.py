"""Who has said all is either waiting for the answer or gone, and TCP tells neither: what is sent to them does."""

import asyncio
import socket
from typing import Any

CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
"""An interim answer: it may be sent at any time, and means nothing to who waits for the last (RFC 9110, 15.2)."""

LOOK_SECONDS = 0.25

CLOSED = 7
"""TCP_CLOSE, the state of a connection that was reset (Linux' tcp_states.h)."""


def watch(transport: asyncio.Transport, exchange: Any) -> None:  # noqa: ANN401  an `exchange.Exchange`
    """End a connection whose client turns out to be gone before the exchange has its answer.

    A client that has closed its socket resets the connection when something comes; one that only ended its own side
    takes it.
    """
    if exchange.response_complete or transport.is_closing():
        return
    if _state(transport) == CLOSED:
        transport.abort()
        return
    transport.write(CONTINUE)
    asyncio.get_running_loop().call_later(LOOK_SECONDS, watch, transport, exchange)


def _state(transport: asyncio.Transport) -> int:
    """Of the connection, in the kernel's numbers."""
    found: bytes = transport.get_extra_info("socket").getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)
    return found[0]
