"""The front door of REST: inference is answered here, all else by MLServer's own app."""

import asyncio
import logging
import re
import time
import uuid
from collections.abc import Awaitable, Callable, Coroutine, MutableMapping
from itertools import count
from typing import Any, NamedTuple, Protocol, TypeGuard, TypeVar

import orjson

from tabserve.errors import Overloaded, TabserveError, TooLarge
from tabserve.serving import payload
from tabserve.serving.journal import Journal
from tabserve.serving.limits import Limits
from tabserve.serving.status import FAILED, status
from tabserve.serving.tensors import Output, Request

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Message, Receive, Send], Awaitable[None]]

Answered = TypeVar("Answered")

INFER = re.compile(r"/v2/models/([^/]+)(?:/versions/([^/]+))?/(?:infer|generate)")  # MLServer has both words

STREAM = re.compile(r"/v2/models/[^/]+(?:/versions/[^/]+)?/(?:infer|generate)_stream")

READY = re.compile(r"/v2/health/ready|/v2/models/[^/]+(?:/versions/[^/]+)?/ready")

ADMIN = "/v2/repository/"

CLOSED = "The model repository is closed; an operator opens it by the setting `admin`."

CLOSE = (b"connection", b"close")

WHOLE = "tabserve.whole"
"""The ASGI extension that takes a status, headers and a body at once; false where the response must go by `send`."""

ORIGIN, MADE = str(uuid.uuid4())[:24], count()

log = logging.getLogger(__name__)


class Model(Protocol):
    """What a model must do to be asked here; `runtime.TabularModel` does."""

    name: str
    version: str | None
    threshold: str
    max_batch_size: int

    def check_room(self) -> None:
        """Raise Overloaded when it is not loaded yet, or its queue is full."""

    def read(self, document: object) -> Request:
        """Validate a request."""

    async def answer(self, request: Request) -> list[Output]:
        """The outputs that a valid request asks for."""


Find = Callable[[str, str | None], Awaitable[Any]]
"""The model of this name and version; raises UnknownModel."""


def is_ours(model: Any) -> TypeGuard[Model]:  # noqa: ANN401  any of MLServer's
    """Whether it can be asked here; not told by its type, as MLServer imports that anew at each load."""
    return hasattr(model, "answer")


class Reply(NamedTuple):
    """A whole HTTP response."""

    status: int
    body: bytes
    headers: tuple[tuple[bytes, bytes], ...] = ()


class Gone(Exception):
    """The client left before it was answered."""


class Edge:
    """An ASGI app around MLServer's."""

    def __init__(self, app: App, find: Find, limits: Limits, journal: Journal) -> None:
        """Take MLServer's app and the way to a model."""
        self._app, self._find, self._limits, self._journal = app, find, limits, journal
        self._receiving = 0  # bytes
        self._unpacking = asyncio.Lock()  # a few bytes may unpack to as many as a body may have: one at a time
        self.draining = False

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Answer one request, or hand it to MLServer's app."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        path = scope["path"].removeprefix(scope["root_path"])
        try:
            if found := INFER.fullmatch(path):
                reply = await self._infer(scope, receive, *found.groups())
            elif path.startswith(ADMIN) and not self._limits.admin:
                reply = refusal(403, CLOSED)
            elif STREAM.fullmatch(path):
                reply = refusal(404, "This server streams nothing; ask by /infer.")
            elif self.draining and READY.fullmatch(path):
                reply = refusal(503, "The server is about to end.")
            else:
                reply = None
        except Gone:
            return
        if reply is None:
            await self._app(scope, receive, send)
            return
        await self._send(reply, scope, send)

    async def _infer(self, scope: Message, receive: Receive, name: str, version: str | None) -> Reply | None:
        """The answer to an inference request; none where the model is not of our runtime."""
        start = time.perf_counter()
        served = document = None
        try:
            model = await self._find(name, version)
            served = (name, version)
            if not is_ours(model):
                return None
            if scope["method"] != "POST":
                return self._refused(405, f"Inference takes POST, not {scope['method']}.", None, None, start)
            model.check_room()
            headers = dict(scope["headers"])
            document = payload.read(await self._body(headers, receive), headers.get(payload.HEAD_LENGTH))
            request = model.read(document)
            binary = payload.wanted_binary(document, request.outputs)
            document = {"id": request.id}  # the rest need not wait in the queue
            answer = model.answer(request)
            outputs = await (_unless_gone(receive, answer) if len(request.features) > model.max_batch_size else answer)
        except TabserveError as error:
            return self._refused(status(error).http, str(error), document, served, start)
        except Gone:
            raise
        except Exception:
            log.exception("Answering a request failed.")
            return self._refused(500, FAILED, document, served, start)
        self._journal.answered(name, version, start)
        return _reply(model, request, outputs, binary)

    async def _body(self, headers: dict[bytes, bytes], receive: Receive) -> bytes:
        """The whole body, unpacked.

        Raises:
            TooLarge: it is larger than a body may be.
            Overloaded: all bodies together are larger than they may be.
            Gone: the client left before it was sent.
        """
        self._check_size(int(headers.get(b"content-length", b"0")))
        message = await _message(receive)
        encoding = headers.get(b"content-encoding", b"identity").decode("latin-1").strip().lower()
        if message.get("more_body"):
            return await self._rest(message["body"], receive, encoding)
        return await self._plain(message["body"], encoding)

    async def _rest(self, first: bytes, receive: Receive, encoding: str) -> bytes:
        """A body that comes in several parts."""
        parts, size = [first], len(first)
        self._receiving += size
        try:
            more = True
            while more:
                message = await _message(receive)
                parts.append(message["body"])
                size += len(parts[-1])
                self._receiving += len(parts[-1])
                more = message.get("more_body", False)
                self._check_size(size)
                if self._receiving > self._limits.max_receiving_bytes:
                    raise Overloaded("The server is receiving as much as it may; try again in a second.")
            body = b"".join(parts)
            parts.clear()  # a second copy, while the first is unpacked
            return await self._plain(body, encoding)
        finally:
            self._receiving -= size

    async def _plain(self, body: bytes, encoding: str) -> bytes:
        if encoding == "identity":
            return body
        async with self._unpacking:
            return await asyncio.to_thread(payload.inflated, body, encoding, self._limits.max_body_bytes)

    def _check_size(self, size: int) -> None:
        if size > self._limits.max_body_bytes:
            raise TooLarge(f"The body is larger than {self._limits.max_body_bytes} bytes; send fewer rows at a time.")

    def _refused(
        self, status: int, reason: str, document: object, served: tuple[str, str | None] | None, start: float
    ) -> Reply:
        identity = document.get("id") if isinstance(document, dict) else None
        self._journal.refused(str(status), reason, identity, served, start)
        return refusal(status, reason)

    async def _send(self, reply: Reply, scope: Message, send: Send) -> None:
        headers = [(b"content-length", b"%d" % len(reply.body)), *reply.headers]
        if self.draining:
            headers.append(CLOSE)
        send_whole = scope.get("extensions", {}).get(WHOLE)
        if send_whole is not None and send_whole(reply.status, headers, reply.body):
            return
        await send({"type": "http.response.start", "status": reply.status, "headers": headers})
        await send({"type": "http.response.body", "body": reply.body})


JSON = (b"content-type", b"application/json")

EXTRA: dict[int, tuple[tuple[bytes, bytes], ...]] = {405: ((b"allow", b"POST"),), 503: ((b"retry-after", b"1"),)}
"""Headers that belong to a status."""


def refusal(status: int, reason: str) -> Reply:
    """A response that says why there is no other."""
    return Reply(status, orjson.dumps({"error": reason}), (JSON, *EXTRA.get(status, ())))


def made_id() -> str:
    """An id for a request that has none, in a UUID's form: this process's beginning, and a number."""
    return f"{ORIGIN}{next(MADE):012x}"


def _reply(model: Model, request: Request, outputs: list[Output], binary: frozenset[str]) -> Reply:
    document = {
        "model_name": model.name,
        "model_version": model.version,
        "id": request.id or made_id(),
        "parameters": {"threshold": model.threshold},
    }
    body, head_length = payload.write(document, outputs, binary)
    if head_length is None:
        return Reply(200, body, (JSON,))
    kind = (b"content-type", b"application/octet-stream")
    return Reply(200, body, (kind, (payload.HEAD_LENGTH, str(head_length).encode())))


async def _message(receive: Receive) -> Message:
    """The next part of a body."""
    message = await receive()
    if message["type"] == "http.disconnect":
        raise Gone
    return message


async def _unless_gone(receive: Receive, answer: Coroutine[Any, Any, Answered]) -> Answered:
    """The answer, given up when the client leaves before it is there."""
    answering, leaving = asyncio.ensure_future(answer), asyncio.ensure_future(receive())
    try:
        await asyncio.wait({answering, leaving}, return_when=asyncio.FIRST_COMPLETED)
        if not answering.done():
            raise Gone
        return answering.result()
    finally:
        answering.cancel()
        leaving.cancel()
