"""The methods of a gRPC server, which read their messages themselves."""

import asyncio
import logging
import time
import traceback
from collections.abc import AsyncIterator, Awaitable
from typing import Any, NamedTuple

import grpc
from google.protobuf.message import DecodeError

from tabserve.errors import InvalidRequest, TabserveError, TooLarge
from tabserve.serving.grpc import message_cost
from tabserve.serving.grpc.arrival import Arrivals
from tabserve.serving.protocol.status import CANCELLED, UNANSWERED, status
from tabserve.serving.request_log import Journal

INFER = "ModelInfer"

log = logging.getLogger(__name__)

MAX_LASTING = 4096
"""Bytes of a message that is answered by a stream: as long as the stream lasts, parts of it may be kept."""


class Reading(NamedTuple):
    """What reads messages: requests for inference, those of calls that may send several, and all others."""

    inference: Arrivals
    streams: Arrivals
    others: Arrivals


class Methods:
    """Where generated code registers methods: in a server, and so that they read their messages themselves.

    gRPC would read all at once, whatever their number and size, and keep each until it is answered. One that is no
    message it would call UNKNOWN, and log a traceback.
    """

    def __init__(self, server: grpc.aio.Server, journal: Journal, reading: Reading) -> None:
        """Take the server that answers, where a refusal is told, and what reads."""
        self._server, self._journal, self._reading = server, journal, reading
        self.services: list[str] = []

    def add_generic_rpc_handlers(self, _handlers: Any) -> None:  # noqa: ANN401  gRPC's type
        """Take nothing: the same methods are registered by their names."""

    def add_registered_method_handlers(self, service: str, methods: dict[str, grpc.RpcMethodHandler]) -> None:
        """Let the server answer these methods of a service."""
        if service not in self.services:
            self.services.append(service)
        reading = {name: self._registered(name, method) for name, method in methods.items()}
        self._server.add_registered_method_handlers(service, reading)

    def _registered(self, name: str, method: Any) -> grpc.RpcMethodHandler:  # noqa: ANN401  gRPC's type
        """The same method, which to gRPC takes a stream: only such a one reads its messages itself."""
        answer = self._conversing(name, method) if method.request_streaming else self._answering(name, method)
        kind = (
            grpc.stream_stream_rpc_method_handler if method.response_streaming else grpc.stream_unary_rpc_method_handler
        )
        return kind(answer, response_serializer=method.response_serializer)

    def _answering(self, name: str, method: Any) -> Any:  # noqa: ANN401
        """What answers a call that sends one message."""
        arrivals = self._reading.inference if name == INFER else self._reading.others
        behaviour = method.unary_stream if method.response_streaming else method.unary_unary

        async def answer(_messages: Any, context: Any) -> Any:  # noqa: ANN401
            start = time.perf_counter()
            try:
                answering = behaviour(_message(name, method, await arrivals.read(context)), context)
            except TabserveError as error:
                code, reason = status(error).grpc, str(error)
            except asyncio.CancelledError:
                self._journal.refused(grpc.StatusCode.CANCELLED.name, CANCELLED, None, None, start)
                raise
            else:
                return await _answered(answering, context)
            self._journal.refused(code.name, reason, None, None, start)
            return await context.abort(code, reason)

        return answer

    def _conversing(self, name: str, method: Any) -> Any:  # noqa: ANN401
        """What answers a call that may send several."""

        async def requests(context: Any) -> AsyncIterator[Any]:  # noqa: ANN401
            while (sent := await self._reading.streams.following(context)) is not None:
                yield _message(name, method, sent)

        async def answer(_messages: Any, context: Any) -> None:  # noqa: ANN401
            await _answered(_written(method.stream_stream(requests(context), context), context), context)

        return answer


def _message(name: str, method: Any, sent: bytes) -> Any:  # noqa: ANN401  gRPC's types
    """What was sent, as the method takes it."""
    if method.response_streaming and len(sent) > MAX_LASTING:
        raise TooLarge(f"The message has {len(sent)} bytes; {name} takes at most {MAX_LASTING}.")
    if name == INFER:
        message_cost.check(sent)
    try:
        return method.request_deserializer(sent)
    except DecodeError:
        raise InvalidRequest(f"The message is not one that {name} takes.") from None


async def _written(answers: AsyncIterator[Any], context: Any) -> None:  # noqa: ANN401
    async for answer in answers:
        await context.write(answer)


async def _answered(answering: Awaitable[Any], context: Any) -> Any:  # noqa: ANN401
    """The answer; what is refused, such as a model that is not here, is so once its message is let go."""
    try:
        return await answering
    except TabserveError as error:
        code, reason = status(error).grpc, str(error)
    except grpc.aio.AbortError as error:  # kept by gRPC, and with it the message, until garbage is collected
        traceback.clear_frames(error.__traceback__)
        raise
    except grpc.aio.InternalError:  # nothing can be sent: the client has left, of which gRPC takes note
        raise
    except Exception:  # gRPC would tell the client its type and its text
        if context.cancelled():
            raise
        log.exception("Answering a call failed.")
        code, reason = grpc.StatusCode.INTERNAL, UNANSWERED
    return await context.abort(code, reason)
