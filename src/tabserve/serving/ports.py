"""Ports to listen on, or the sentence that says why not."""

import errno
import socket

from tabserve.errors import ServerError
from tabserve.serving.listener import BACKLOG


def opened(host: str, port: int, *, port_variable: str, host_variable: str) -> socket.socket:
    """A socket that listens.

    Args:
        host: an address of this machine, or a name of one.
        port: its number.
        port_variable: the environment variable that sets the port.
        host_variable: the one that sets the host.

    Raises:
        ServerError: it cannot be opened; the sentence names the variable.
    """
    listening = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((host, port))
        listening.listen(BACKLOG)
    except (OSError, OverflowError) as error:
        listening.close()
        raise ServerError(_reason(error, host, port, port_variable, host_variable)) from error
    return listening


def _reason(error: OSError | OverflowError, host: str, port: int, port_variable: str, host_variable: str) -> str:
    if isinstance(error, OverflowError):
        return f"Port {port} does not exist; set {port_variable} to a number up to 65535."
    if error.errno == errno.EADDRINUSE:
        return f"Port {port} is in use; stop what listens there, or set {port_variable} to another."
    advice = f"set {port_variable} or {host_variable} to another"
    return f"Port {port} of host {host!r} cannot be opened: {error.strerror}; {advice}."
