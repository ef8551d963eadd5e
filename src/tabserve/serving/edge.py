"""The front door of REST: inference is answered here, all else by MLServer's own app."""

import asyncio
import logging
import re
import time
from collections.abc import Awaitable, Callable, MutableMapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, NamedTuple, Protocol

from tabserve.errors import InvalidRequest, Overloaded, TabserveError, TooLarge, UnknownModel
from tabserve.serving import parser, payload, replies
from tabserve.serving.doors import CLOSED, Find, Model, is_ours
from tabserve.serving.journal import Journal
from tabserve.serving.limits import Limits
from tabserve.serving.status import FAILED, status

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Message, Receive, Send], Awaitable[None]]

INFER = re.compile(r"/v2/models/([^/]+)(?:/versions/([^/]+))?/(?:infer|generate)")  # MLServer has both words

STREAM = re.compile(r"/v2/models/[^/]+(?:/versions/[^/]+)?/(?:infer|generate)_stream")

READY = re.compile(r"/v2/health/ready|/v2/models/[^/]+(?:/versions/[^/]+)?/ready")

CONTROL = re.compile(r"[\x00-\x1f\x7f]")  # MLServer's routes would take a line feed behind them for nothing

ADMIN = "/v2/repository/"

CLOSE = (b"connection", b"close")

log = logging.getLogger(__name__)


class Target(NamedTuple):
    """Whom an inference request asks; without a model where there is none of this name and version."""

    name: str
    version: str | None
    model: Model | None


class Asked(Protocol):
    """An inference request that is arriving, or is here; `exchange.Exchange` is one.

    Attributes:
        target: whom it asks.
        method: of HTTP, such as `POST`.
        headers: by their names in lower case; of those that come twice, the last.
        body: what has come of it.
        more_body: whether more is to come.
    """

    target: Target
    method: bytes
    headers: dict[bytes, bytes]
    body: bytearray
    more_body: bool

    async def grown(self) -> None:
        """Wait until more of the body has come."""

    def taken(self) -> bytearray:
        """The whole body, which is held no longer."""


class Edge:
    """An ASGI app around MLServer's, and what answers inference beside it."""

    def __init__(self, app: App, find: Find, limits: Limits, journal: Journal) -> None:
        """Take MLServer's app and the way to a model."""
        self._app, self._find, self._limits, self._journal = app, find, limits, journal
        self._receiving = 0  # bytes
        # A few bytes may unpack to as many as a body may have: one at a time, even where nobody waits for it any more.
        self._unpacking = ThreadPoolExecutor(1, "unpacking")
        self.draining = False

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Refuse a request that asks for no inference, or hand it to MLServer's app."""
        path = scope["path"].removeprefix(scope["root_path"]) if scope["type"] == "http" else ""
        if CONTROL.search(path):
            reply = replies.refusal(404, "Not Found.")
        elif path.startswith(ADMIN) and not self._limits.admin:
            reply = replies.refusal(403, CLOSED)
        elif STREAM.fullmatch(path):
            reply = replies.refusal(404, "This server streams nothing; ask by /infer.")
        elif self.draining and READY.fullmatch(path):
            reply = replies.refusal(503, "The server is about to end.")
        else:
            await self._app(scope, receive, send)
            return
        await send({"type": "http.response.start", "status": reply.status, "headers": self.headers(reply)})
        await send({"type": "http.response.body", "body": reply.body})

    def target(self, path: str) -> Target | None:
        """Whom a path asks for inference; none where it asks for something else, or a model of another runtime."""
        if not (found := INFER.fullmatch(path)):
            return None
        name, version = found.groups()
        try:
            model = self._find(name, version)
        except UnknownModel:
            return Target(name, version, None)
        return Target(name, version, model) if is_ours(model) else None

    def headers(self, reply: replies.Reply) -> list[tuple[bytes, bytes]]:
        """All headers of a response that depend on it."""
        length = (b"content-length", b"%d" % len(reply.body))
        return [length, *reply.headers, CLOSE] if self.draining else [length, *reply.headers]

    async def infer(self, asked: Asked) -> replies.Reply:
        """The answer to an inference request, or the refusal; cancelled where the client leaves."""
        start = time.perf_counter()
        name, version, model = asked.target
        served, document = (name, version) if model else None, None
        try:
            if model is None or not model.ready:  # there is none, or another has taken its place meanwhile
                model = self._find(name, version)
            if asked.method != b"POST":
                return self._refused(405, f"Inference takes POST, not {asked.method.decode()}.", None, None, start)
            model.check_room()
            document = payload.read(await self._body(asked), asked.headers.get(payload.HEAD_LENGTH))
            request = model.read(document)
            binary = payload.wanted_binary(document, request.outputs)
            document = {"id": request.id}  # the rest need not wait in the queue
            outputs = await model.answer(request)
        except TabserveError as error:
            return self._refused(status(error).http, str(error), document, served, start)
        except Exception:
            log.exception("Answering a request failed.")
            return self._refused(500, FAILED, document, served, start)
        self._journal.answered(name, version, start)
        return replies.answer(model, request, outputs, binary)

    async def _body(self, asked: Asked) -> parser.Bytes:
        """The whole body, unpacked.

        Raises:
            InvalidRequest: its length is not to be read.
            TooLarge: it is larger than a body may be.
            Overloaded: all bodies together are larger than they may be.
        """
        try:
            self._check_size(int(asked.headers.get(b"content-length", b"0")))
        except ValueError:  # of thousands of digits, most of them zeros, or the parser of HTTP would have refused it
            raise InvalidRequest("The Content-Length has too many digits; leave out its leading zeros.") from None
        if asked.more_body:
            await self._arrival(asked)
        self._check_size(len(asked.body))
        body = asked.taken()
        encoding = asked.headers.get(b"content-encoding", b"identity").decode("latin-1").strip().lower()
        if encoding == "identity":
            return body
        inflated = partial(payload.inflated, body, encoding, self._limits.max_body_bytes)
        return await asyncio.get_running_loop().run_in_executor(self._unpacking, inflated)

    async def _arrival(self, asked: Asked) -> None:
        """Wait for a body that comes in several parts."""
        counted = 0
        try:
            while asked.more_body:
                self._receiving += len(asked.body) - counted
                counted = len(asked.body)
                self._check_size(counted)
                if self._receiving > self._limits.max_receiving_bytes:
                    raise Overloaded("The server is receiving as much as it may; try again in a second.")
                await asked.grown()
        finally:
            self._receiving -= counted

    def _check_size(self, size: int) -> None:
        if size > self._limits.max_body_bytes:
            raise TooLarge(f"The body is larger than {self._limits.max_body_bytes} bytes; send fewer rows at a time.")

    def _refused(
        self, status: int, reason: str, document: object, served: tuple[str, str | None] | None, start: float
    ) -> replies.Reply:
        identity = document.get("id") if isinstance(document, dict) else None
        self._journal.refused(str(status), reason, identity, served, start)
        return replies.refusal(status, reason)
