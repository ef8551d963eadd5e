"""The front door of REST: inference is answered here, all else by MLServer's own app."""

import logging
import re
import time
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, NamedTuple, Protocol

from tabserve.errors import TabserveError, UnknownModel
from tabserve.serving import payload, replies
from tabserve.serving.bodies import Arriving, Bodies
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

log = logging.getLogger(__name__)


class Target(NamedTuple):
    """Whom an inference request asks; without a model where there is none of this name and version."""

    name: str
    version: str | None
    model: Model | None


class Asked(Arriving, Protocol):
    """An inference request; `exchange.Exchange` is one.

    Attributes:
        target: whom it asks.
        method: of HTTP, such as `POST`.
    """

    target: Target
    method: bytes


class Edge:
    """An ASGI app around MLServer's, and what answers inference beside it."""

    def __init__(self, app: App, find: Find, limits: Limits, journal: Journal) -> None:
        """Take MLServer's app and the way to a model."""
        self._app, self._find, self._limits, self._journal = app, find, limits, journal
        self._bodies = Bodies(limits)
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
        headers = replies.headers(reply, closing=self.draining)
        await send({"type": "http.response.start", "status": reply.status, "headers": headers})
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
            document = payload.read(await self._bodies.read(asked), asked.headers.get(payload.HEAD_LENGTH))
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

    def _refused(
        self, status: int, reason: str, document: object, served: tuple[str, str | None] | None, start: float
    ) -> replies.Reply:
        identity = document.get("id") if isinstance(document, dict) else None
        self._journal.refused(str(status), reason, identity, served, start)
        return replies.refusal(status, reason)
