"""Normalise the path of a request: a trailing slash is dropped, and an encoded slash does not separate."""

import re
from urllib.parse import unquote

from tabserve.serving.rest.safe_methods import App, Message, Receive, Send

ENCODED_SLASH = re.compile("%2f", re.IGNORECASE)


def route(target: bytes) -> str:
    """The path of a request's target, decoded except for slashes, which stay `%2F` (RFC 3986, 2.2)."""
    path = target.decode("ascii")
    if "%" in path:
        path = "%2F".join(map(unquote, ENCODED_SLASH.split(path)))
    return path.removesuffix("/") or "/"


def with_routes(app: App) -> App:
    """An ASGI app that passes each request on with its path as of `route`."""

    async def answer(scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            scope = {**scope, "path": route(scope["raw_path"])}
        await app(scope, receive, send)

    return answer
