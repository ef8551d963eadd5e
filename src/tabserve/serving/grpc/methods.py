"""Register gRPC methods so that they read their messages themselves."""

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
from tabserve.serving.grpc.message_reader import MessageReader
from tabserve.serving.protocol.status import CANCELLED, UNANSWERED, status
from tabserve.serving.request_log import RequestLog

INFER = "ModelInfer"

log = logging.getLogger(__name__)

MAX_LASTING = 4096
"""Largest message that is answered by a stream, which may keep parts of the message as long as it lasts."""


class MessageReaders(NamedTuple):
    """The readers of inference requests, of calls that send several messages, and of all others."""

    inference: MessageReader
    streams: MessageReader
    others: MessageReader


class MethodRegistry:
    """Takes the place of a server in generated code, and registers methods that read their messages themselves.

    gRPC would read the messages of all calls at once, whatever their number and size, and keep each until it is
    answered. Bytes that are no message would be answered by UNKNOWN, with a traceback in the log.
    """

    def __init__(self, server: grpc.aio.Server, request_log: RequestLog, readers: MessageReaders) -> None:
        """Register with this server; log refusals, and read by these readers."""
        self._server, self._request_log, self._readers = server, request_log, readers
        self.services: list[str] = []

    def add_generic_rpc_handlers(self, _handlers: Any) -> None:  # noqa: ANN401  gRPC's type
        """Ignore: the same methods are registered by name."""

    def add_registered_method_handlers(self, service: str, methods: dict[str, grpc.RpcMethodHandler]) -> None:
        """Register these methods of a service."""
        if service not in self.services:
            self.services.append(service)
        reading = {name: self._registered(name, method) for name, method in methods.items()}
        self._server.add_registered_method_handlers(service, reading)

    def _registered(self, name: str, method: Any) -> grpc.RpcMethodHandler:  # noqa: ANN401  gRPC's type
        """The method as one that takes a stream, as only such a method reads its messages itself."""
        answer = self._stream_handler(name, method) if method.request_streaming else self._unary_handler(name, method)
        kind = (
            grpc.stream_stream_rpc_method_handler if method.response_streaming else grpc.stream_unary_rpc_method_handler
        )
        return kind(answer, response_serializer=method.response_serializer)

    def _unary_handler(self, name: str, method: Any) -> Any:  # noqa: ANN401
        """The handler of a call that sends one message."""
        reader = self._readers.inference if name == INFER else self._readers.others
        behaviour = method.unary_stream if method.response_streaming else method.unary_unary

        async def answer(_messages: Any, context: Any) -> Any:  # noqa: ANN401
            start = time.perf_counter()
            try:
                answering = behaviour(_message(name, method, await reader.read(context)), context)
            except TabserveError as error:
                code, reason = status(error).grpc, str(error)
            except asyncio.CancelledError:
                self._request_log.refused(grpc.StatusCode.CANCELLED.name, CANCELLED, None, None, start)
                raise
            else:
                return await _answer_or_abort(answering, context)
            self._request_log.refused(code.name, reason, None, None, start)
            return await context.abort(code, reason)

        return answer

    def _stream_handler(self, name: str, method: Any) -> Any:  # noqa: ANN401
        """The handler of a call that may send several messages."""

        async def requests(context: Any) -> AsyncIterator[Any]:  # noqa: ANN401
            while (sent := await self._readers.streams.read_next(context)) is not None:
                yield _message(name, method, sent)

        async def answer(_messages: Any, context: Any) -> None:  # noqa: ANN401
            await _answer_or_abort(_write_all(method.stream_stream(requests(context), context), context), context)

        return answer


def _message(name: str, method: Any, sent: bytes) -> Any:  # noqa: ANN401  gRPC's types
    """Parse the bytes of a message for this method."""
    if method.response_streaming and len(sent) > MAX_LASTING:
        raise TooLarge(f"The message has {len(sent)} bytes; {name} takes at most {MAX_LASTING}.")
    if name == INFER:
        message_cost.check(sent)
    try:
        return method.request_deserializer(sent)
    except DecodeError:
        raise InvalidRequest(f"The message is not one that {name} takes.") from None


async def _write_all(answers: AsyncIterator[Any], context: Any) -> None:  # noqa: ANN401
    async for answer in answers:
        await context.write(answer)


async def _answer_or_abort(answering: Awaitable[Any], context: Any) -> Any:  # noqa: ANN401
    """The answer, or abort the call with the status of the error."""
    try:
        return await answering
    except TabserveError as error:
        code, reason = status(error).grpc, str(error)
    except grpc.aio.AbortError as error:  # gRPC keeps it, and so the message, until garbage is collected
        traceback.clear_frames(error.__traceback__)
        raise
    except grpc.aio.InternalError:  # the client has left, which gRPC logs
        raise
    except Exception:  # gRPC would send its type and text to the client
        if context.cancelled():
            raise
        log.exception("Answering a call failed.")
        code, reason = grpc.StatusCode.INTERNAL, UNANSWERED
    return await context.abort(code, reason)
