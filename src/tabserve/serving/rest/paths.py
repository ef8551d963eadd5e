"""The path of a request as the routes have it: a slash at its end says nothing, and an encoded one parts nothing."""

import re
from urllib.parse import unquote

from tabserve.serving.rest.safe_methods import App, Message, Receive, Send

ENCODED_SLASH = re.compile("%2f", re.IGNORECASE)


def route(target: bytes) -> str:
    """The path that a request's target has, decoded but for slashes, which stay `%2F` (RFC 3986, 2.2)."""
    path = target.decode("ascii")
    if "%" in path:
        path = "%2F".join(map(unquote, ENCODED_SLASH.split(path)))
    return path.removesuffix("/") or "/"


def with_routes(app: App) -> App:
    """An ASGI app that gives the given one each path as `route` has it."""

    async def answer(scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            scope = {**scope, "path": route(scope["raw_path"])}
        await app(scope, receive, send)

    return answer
