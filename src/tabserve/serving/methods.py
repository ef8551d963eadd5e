"""The methods of a gRPC server, which read their messages themselves."""

import logging
import time
import traceback
from collections.abc import Awaitable
from typing import Any

import grpc
from google.protobuf.message import DecodeError

from tabserve.errors import Overloaded, UnknownModel
from tabserve.serving.arrival import Arrivals
from tabserve.serving.journal import Journal
from tabserve.serving.status import UNANSWERED, status

INFER = "ModelInfer"

log = logging.getLogger(__name__)


class Methods:
    """Where generated code registers methods: in a server, and so that they read their messages themselves.

    gRPC would read all at once, whatever their number and size, and keep each until it is answered. One that is no
    message it would call UNKNOWN, and log a traceback.
    """

    def __init__(self, server: grpc.aio.Server, journal: Journal, inference: Arrivals, others: Arrivals) -> None:
        """Take the server that answers, where a refusal is told, and what reads requests and all other messages."""
        self._server, self._journal = server, journal
        self._inference, self._others = inference, others

    def add_generic_rpc_handlers(self, _handlers: Any) -> None:  # noqa: ANN401  gRPC's type
        """Take nothing: the same methods are registered by their names."""

    def add_registered_method_handlers(self, service: str, methods: dict[str, grpc.RpcMethodHandler]) -> None:
        """Let the server answer these methods of a service."""
        reading = {name: self._reading(name, method) for name, method in methods.items()}
        self._server.add_registered_method_handlers(service, reading)

    def _reading(self, name: str, method: Any) -> grpc.RpcMethodHandler:  # noqa: ANN401  gRPC's type
        """The same method, which to gRPC takes a stream: only such a one reads its messages itself."""
        if method.request_streaming:
            return method
        arrivals = self._inference if name == INFER else self._others

        async def answer(_messages: Any, context: Any) -> Any:  # noqa: ANN401
            start = time.perf_counter()
            try:
                answering = method.unary_unary(method.request_deserializer(await arrivals.read(context)), context)
            except DecodeError:
                code, reason = grpc.StatusCode.INVALID_ARGUMENT, f"The message is not one that {name} takes."
            except Overloaded as error:
                code, reason = status(error).grpc, str(error)
            else:
                return await _answered(answering, context)
            self._journal.refused(code.name, reason, None, None, start)
            return await context.abort(code, reason)

        return grpc.stream_unary_rpc_method_handler(answer, response_serializer=method.response_serializer)


async def _answered(answering: Awaitable[Any], context: Any) -> Any:  # noqa: ANN401  gRPC's types
    """The answer; what asks for no loaded model is refused, once its message is let go."""
    try:
        return await answering
    except (UnknownModel, Overloaded) as error:
        code, reason = status(error).grpc, str(error)
    except grpc.aio.AbortError as error:  # kept by gRPC, and with it the message, until garbage is collected
        traceback.clear_frames(error.__traceback__)
        raise
    except Exception:  # gRPC would tell the client its type and its text
        if context.cancelled():
            raise
        log.exception("Answering a call failed.")
        code, reason = grpc.StatusCode.INTERNAL, UNANSWERED
    return await context.abort(code, reason)
