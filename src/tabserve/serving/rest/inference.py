"""The front door of REST: inference and health are answered here, all else by MLServer's own app."""

import logging
import re
import time
from typing import NamedTuple, Protocol

from tabserve.errors import TabserveError, UnknownModel
from tabserve.serving.limits import Limits
from tabserve.serving.models import CLOSED, FindModel, ListModels, Model, all_ready, is_ours, is_ready
from tabserve.serving.protocol.status import FAILED, status
from tabserve.serving.request_log import RequestLog
from tabserve.serving.rest import payload, responses
from tabserve.serving.rest.bodies import Arriving, Bodies
from tabserve.serving.rest.paths import with_routes
from tabserve.serving.rest.safe_methods import App, Message, Receive, Send, with_safe_methods

INFER = re.compile(r"/v2/models/([^/]+)(?:/versions/([^/]+))?/(?:infer|generate)")  # MLServer has both words

STREAM = re.compile(r"/v2/models/[^/]+(?:/versions/[^/]+)?/(?:infer|generate)_stream")

LIVE, READY = "/v2/health/live", "/v2/health/ready"

MODEL = re.compile(r"/v2/models/(?!stats$)([^/]+)(?:/versions/([^/]+))?(?:/(.*))?")
"""Every route about one model: its name, its version, and what is asked of it."""

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

    def __init__(self, app: App, find: FindModel, every: ListModels, limits: Limits, request_log: RequestLog) -> None:
        """Take MLServer's app, the way to a model, and to all of them."""
        self._mlserver, self._find, self._every, self._limits, self._request_log = app, find, every, limits, request_log
        self._app = with_safe_methods(with_routes(self._answer))
        self._bodies = Bodies(limits)
        self.draining = False

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Answer a request that asks for no inference."""
        await self._app(scope, receive, send)

    async def _answer(self, scope: Message, receive: Receive, send: Send) -> None:
        reply = None
        if scope["type"] == "http":
            reply = await self._reply(scope["method"], scope["path"].removeprefix(scope["root_path"]))
        if reply is None:
            await self._mlserver(scope, receive, send)
            return
        headers = responses.headers(reply, closing=self.draining)
        await send({"type": "http.response.start", "status": reply.status, "headers": headers})
        await send({"type": "http.response.body", "body": reply.body})

    async def _reply(self, method: str, path: str) -> responses.Reply | None:
        """Health, or a refusal; None where MLServer's app answers."""
        if CONTROL.search(path):
            return responses.refusal(404, "Not Found.")
        if path.startswith(ADMIN) and not self._limits.admin:
            return responses.refusal(403, CLOSED)
        if STREAM.fullmatch(path):
            return responses.refusal(404, "This server streams nothing; ask by /infer.")
        about = MODEL.fullmatch(path)
        name, version, asked = about.groups() if about else (None, None, None)
        if path in {LIVE, READY} or asked == "ready":
            health = await self._health(path, name, version)
            is_asked = method == "GET" or health.status == 404
            return health if is_asked else responses.refusal(405, f"Health takes GET, not {method}.", allow=b"GET")
        return self._refusal(name, version) if name else None

    async def _health(self, path: str, name: str | None, version: str | None) -> responses.Reply:
        live = {"live": True}
        if path == LIVE:
            return responses.document(200, live)
        try:
            ready = is_ready(self._find, name, version) if name else await all_ready(self._every)
        except UnknownModel as error:
            return responses.refusal(404, str(error))
        ready = ready and not self.draining
        asked = {"name": name} if name else live  # the protocol's text has `live`, KServe's client reads `ready`
        return responses.document(200 if ready else 503, {**asked, "ready": ready})

    def _refusal(self, name: str, version: str | None) -> responses.Reply | None:
        """The refusal of whatever is asked about a model that is unknown or not loaded; None for a loaded one."""
        try:
            self._find(name, version)
        except TabserveError as error:
            return responses.refusal(status(error).http, str(error))
        return None

    def target(self, path: str) -> Target | None:
        """Whom a path asks for inference; none where it asks for something else, or a model of another runtime."""
        if not (found := INFER.fullmatch(path)):
            return None
        name, version = found.groups()
        try:
            model = self._find(name, version)
        except TabserveError:  # unknown, or not loaded yet: `infer` says which
            return Target(name, version, None)
        return Target(name, version, model) if is_ours(model) else None

    async def infer(self, asked: Asked) -> responses.Reply:
        """The answer to an inference request, or the refusal; cancelled where the client leaves."""
        start = time.perf_counter()
        name, version, model = asked.target
        served, document = (name, version) if model else None, None
        try:
            if model is None or not model.ready:  # there was none, or another has taken its place meanwhile
                model = self._find(name, version)
            if asked.method == b"OPTIONS":
                return responses.OPTIONS
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
        self._request_log.answered(name, version, start)
        return responses.answer(model, request, outputs, binary)

    def _refused(
        self, status: int, reason: str, document: object, served: tuple[str, str | None] | None, start: float
    ) -> responses.Reply:
        identity = document.get("id") if isinstance(document, dict) else None
        self._request_log.refused(str(status), reason, identity, served, start)
        return responses.refusal(status, reason)
