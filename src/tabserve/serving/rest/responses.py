"""HTTP responses to inference requests."""

from typing import NamedTuple

import orjson

from tabserve.serving.models import Model, new_id
from tabserve.serving.protocol.request import Output, Request
from tabserve.serving.rest import payload

JSON = (b"content-type", b"application/json")

CLOSE = (b"connection", b"close")

RETRY = (b"retry-after", b"1")


class Reply(NamedTuple):
    """A whole HTTP response."""

    status: int
    body: bytes
    headers: tuple[tuple[bytes, bytes], ...] = ()


OPTIONS = Reply(200, b"", ((b"allow", b"OPTIONS, POST"),))
"""The answer to OPTIONS on a route of inference."""


def headers(reply: Reply, *, closing: bool) -> list[tuple[bytes, bytes]]:
    """The headers of a response; `closing` says whether its connection closes."""
    length = (b"content-length", b"%d" % len(reply.body))
    return [length, *reply.headers, CLOSE] if closing else [length, *reply.headers]


def document(status: int, content: object) -> Reply:
    """A response in JSON; a 503 says when to try again."""
    return Reply(status, orjson.dumps(content), (JSON, RETRY) if status == 503 else (JSON,))


def refusal(status: int, reason: str, allow: bytes = b"OPTIONS, POST") -> Reply:
    """A response with the reason of a refusal; a 405 names the allowed methods."""
    reply = document(status, {"error": reason})
    return reply._replace(headers=(*reply.headers, (b"allow", allow))) if status == 405 else reply


def answer(model: Model, request: Request, outputs: list[Output], binary: frozenset[str]) -> Reply:
    """The response to a valid request; outputs named in `binary` are bytes."""
    document = {
        "model_name": model.name,
        "model_version": model.version,
        "id": request.id or new_id(),
        "parameters": {**model.signature.parameters},
    }
    body, head_length = payload.encode(document, outputs, binary)
    if head_length is None:
        return Reply(200, body, (JSON,))
    kind = (b"content-type", b"application/octet-stream")
    return Reply(200, body, (kind, (payload.HEAD_LENGTH, str(head_length).encode())))
