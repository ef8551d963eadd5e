"""HEAD and OPTIONS on every route that answers GET, and `OPTIONS *` (RFC 9110, 9.3.2 and 9.3.7).

Load balancers use them.
"""

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Message, Receive, Send], Awaitable[None]]


READING = b"GET, HEAD, OPTIONS"

ALL = READING + b", POST"


def with_safe_methods(app: App, methods: bytes = ALL) -> App:
    """An ASGI app that answers HEAD as `app` answers GET, and OPTIONS with the methods of the route.

    Args:
        app: answers all other methods.
        methods: of all its routes together, for `OPTIONS *`.
    """

    async def answer(scope: Message, receive: Receive, send: Send) -> None:
        method = scope.get("method")
        if method == "OPTIONS" and scope["path"].removeprefix(scope["root_path"]) == "*":
            await _send_methods(methods, send)
            return
        if method == "HEAD":
            scope = {**scope, "method": "GET"}  # uvicorn leaves the body out
        await app(scope, receive, _with_methods(send, is_options=method == "OPTIONS"))

    return answer


async def _send_methods(methods: bytes, send: Send) -> None:
    headers = [(b"allow", methods), (b"content-length", b"0")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b""})


def _with_methods(send: Send, *, is_options: bool) -> Send:
    """Add HEAD and OPTIONS to the allowed methods of a 405, and make it a 200 if the request is OPTIONS."""
    is_list = False

    async def send_on(message: Message) -> None:
        nonlocal is_list
        if message["type"] == "http.response.start" and message["status"] == 405:
            allowed = dict(message["headers"]).get(b"allow", b"")
            is_list = is_options
            replaced = {b"allow", b"content-length", b"content-type"} if is_options else {b"allow"}
            headers = [header for header in message["headers"] if header[0] not in replaced]
            headers += [(b"allow", _with_safe(allowed)), *([(b"content-length", b"0")] if is_options else [])]
            message = {**message, "status": 200 if is_options else 405, "headers": headers}
        await send({**message, "body": b""} if is_list and "body" in message else message)

    return send_on


def _with_safe(allowed: bytes) -> bytes:
    """The methods of a route, with HEAD and OPTIONS."""
    methods = {*allowed.split(b", "), b"OPTIONS"}
    return b", ".join(sorted(methods | {b"HEAD"} if b"GET" in methods else methods))
