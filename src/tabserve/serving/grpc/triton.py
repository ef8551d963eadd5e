"""Triton's configuration and statistics over gRPC: two methods that MLServer's service lacks."""

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

import grpc

from tabserve.serving.grpc import triton_messages
from tabserve.serving.triton import Document, Extensions

METHODS = ("ModelConfig", "ModelStatistics")

Answer = Callable[[str, str | None], Awaitable[Document]]


def handlers(extensions: Extensions) -> dict[str, grpc.RpcMethodHandler]:
    """The handler of each method, by the method's name."""

    async def config(name: str, version: str | None) -> Document:
        return {"config": await extensions.config(name, version)}

    return {name: _handler(name, answer) for name, answer in zip(METHODS, (config, extensions.statistics), strict=True)}


def _handler(name: str, answer: Answer) -> grpc.RpcMethodHandler:
    return grpc.unary_unary_rpc_method_handler(
        partial(_answer, answer),
        partial(triton_messages.parse, f"{name}Request"),
        partial(triton_messages.serialize, f"{name}Response"),
    )


async def _answer(answer: Answer, request: Any, _context: Any) -> Document:  # noqa: ANN401  gRPC's types
    return await answer(request.name, request.version or None)
