"""Decides which clients may load a model."""

import hmac
from collections.abc import Callable, Mapping
from ipaddress import IPv6Address, ip_address
from urllib.parse import urlsplit

from tabserve.errors import Forbidden
from tabserve.serving.load_settings import LoadSettings

Headers = Mapping[bytes, bytes]
"""The headers of a request, by their names in lower case."""

Check = Callable[[str, Headers], None]
"""Takes a client's address and the headers of its request, and raises Forbidden unless it may load a model."""

PROXY_HEADERS = (b"forwarded", b"x-forwarded-for", b"x-real-ip", b"via")
"""What a proxy adds to a request, whose client may then be anywhere."""


def access(settings: LoadSettings) -> Check:
    """The check that the settings ask for."""
    if settings.load == "token":
        return _with_token(settings.token())
    return _from_this_machine if settings.load == "loopback" else _closed


def _closed(_client: str, _headers: Headers) -> None:
    raise Forbidden("This server loads no models over HTTP; an operator opens it by TABSERVE_LOAD.")


def _from_this_machine(client: str, headers: Headers) -> None:
    """Refuse other machines, proxies, and pages of other sites in a browser on this machine."""
    origin = headers.get(b"origin", b"http://localhost").decode("latin-1")
    if not _is_here(client) or any(name in headers for name in PROXY_HEADERS) or not _is_here(_host(origin)):
        raise Forbidden(
            "Only clients on the server's own machine may load a model; for others, an operator sets TABSERVE_LOAD to"
            " token, and a secret token."
        )


def _with_token(token: bytes) -> Check:
    def check(_client: str, headers: Headers) -> None:
        scheme, _, given = headers.get(b"authorization", b"").partition(b" ")
        if scheme.lower() != b"bearer" or not hmac.compare_digest(given.strip(), token):
            raise Forbidden("To load a model needs the operator's token; send it as `Authorization: Bearer TOKEN`.")

    return check


def _host(origin: str) -> str:
    try:
        return urlsplit(origin).hostname or ""
    except ValueError:
        return ""


def _is_here(host: str) -> bool:
    """Whether a name or an address is that of this machine's loopback interface."""
    if host == "localhost":
        return True
    try:
        address = ip_address(host)
    except ValueError:
        return False
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return (mapped or address).is_loopback
