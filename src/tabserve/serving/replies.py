"""Whole HTTP responses to inference requests."""

from typing import NamedTuple

import orjson

from tabserve.serving import payload
from tabserve.serving.doors import Model, made_id
from tabserve.serving.tensors import Output, Request

JSON = (b"content-type", b"application/json")

CLOSE = (b"connection", b"close")

EXTRA: dict[int, tuple[tuple[bytes, bytes], ...]] = {405: ((b"allow", b"POST"),), 503: ((b"retry-after", b"1"),)}
"""Headers that belong to a status."""


class Reply(NamedTuple):
    """A whole HTTP response."""

    status: int
    body: bytes
    headers: tuple[tuple[bytes, bytes], ...] = ()


def headers(reply: Reply, *, closing: bool) -> list[tuple[bytes, bytes]]:
    """All headers of a response that depend on it, and on whether its connection is about to close."""
    length = (b"content-length", b"%d" % len(reply.body))
    return [length, *reply.headers, CLOSE] if closing else [length, *reply.headers]


def refusal(status: int, reason: str) -> Reply:
    """A response that says why there is no other."""
    return Reply(status, orjson.dumps({"error": reason}), (JSON, *EXTRA.get(status, ())))


def answer(model: Model, request: Request, outputs: list[Output], binary: frozenset[str]) -> Reply:
    """The answer to a valid request; of its outputs, those named in `binary` as bytes."""
    document = {
        "model_name": model.name,
        "model_version": model.version,
        "id": request.id or made_id(),
        "parameters": {**model.signature.parameters},
    }
    body, head_length = payload.write(document, outputs, binary)
    if head_length is None:
        return Reply(200, body, (JSON,))
    kind = (b"content-type", b"application/octet-stream")
    return Reply(200, body, (kind, (payload.HEAD_LENGTH, str(head_length).encode())))
