"""Open ports to listen on."""

import errno
import os
import socket
from typing import Any

from tabserve.errors import ServerError, UsageError

BACKLOG = 2048
"""Most connections that the kernel queues until they are accepted."""

ALL_IPV4 = "0.0.0.0"  # noqa: S104
"""The host used if the setting is empty: every IPv4 address."""


def from_variable(name: str, default: int) -> int:
    """The port that an environment variable names.

    Raises:
        UsageError: its value is not the number of a port.
    """
    text = os.environ.get(name) or str(default)
    if not (text.isascii() and text.isdigit() and 0 < int(text[:6]) < 2**16):
        raise UsageError(f"{name} is {text!r:.60}; expected a whole number from 1 to 65535.")
    return int(text)


def listen(host: str, port: int, *, port_variable: str, host_variable: str) -> socket.socket:
    """A listening socket. `::` accepts IPv4 and IPv6; a host name with addresses of both gets its IPv4 address.

    Args:
        host: an address of this machine, or its name.
        port: the number of the port.
        port_variable: the environment variable that sets the port.
        host_variable: the environment variable that sets the host.

    Raises:
        ServerError: the port cannot be opened; the message names the variable.
    """
    listening = None
    try:
        family, (address, _, *scope) = _resolve(host)
        listening = socket.socket(family)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            listening.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, address != "::")
        listening.bind((address, port, *scope))
        listening.listen(BACKLOG)
    except (OSError, OverflowError, UnicodeError) as error:
        if listening:
            listening.close()
        raise ServerError(_reason(error, host, port, port_variable, host_variable)) from error
    return listening


def authority(host: str, port: int) -> str:
    """`host:port`, as URLs and gRPC write it, with an IPv6 address in brackets."""
    return f"[{host}]:{port}" if ":" in host else f"{host or ALL_IPV4}:{port}"


def _resolve(host: str) -> tuple[socket.AddressFamily, Any]:
    """The address family and the address of a host, IPv4 first."""
    addresses = socket.getaddrinfo(host or ALL_IPV4, 0, type=socket.SOCK_STREAM)
    family, *_, address = min(addresses, key=lambda info: info[0] != socket.AF_INET)
    return family, address


def _reason(error: Exception, host: str, port: int, port_variable: str, host_variable: str) -> str:
    if isinstance(error, OverflowError):
        return f"Port {port} does not exist; set {port_variable} to a number up to 65535."
    if isinstance(error, OSError) and error.errno == errno.EADDRINUSE:
        return f"Port {port} is in use; stop what listens there, or set {port_variable} to another."
    advice = f"set {port_variable} or {host_variable} to another"
    reason = error.strerror if isinstance(error, OSError) else "it is no name of a host"
    return f"Port {port} of host {host!r} cannot be opened: {reason}; {advice}."
