"""The REST app: it answers inference and health itself, and leaves all else to MLServer's app."""

import logging
import re
import time
from typing import NamedTuple, Protocol

from tabserve.errors import TabserveError, UnknownModel
from tabserve.serving.history import v2
from tabserve.serving.history.history import History
from tabserve.serving.history.recording import Kept
from tabserve.serving.limits import Limits
from tabserve.serving.models import CLOSED, FindModel, ListModels, Model, all_ready, identified, is_ours, is_ready
from tabserve.serving.protocol.request import Request
from tabserve.serving.protocol.status import FAILED, status
from tabserve.serving.request_log import RequestLog
from tabserve.serving.rest import payload, responses
from tabserve.serving.rest.bodies import ArrivingRequest, Bodies
from tabserve.serving.rest.paths import with_routes
from tabserve.serving.rest.safe_methods import App, Message, Receive, Send, with_safe_methods

INFER = re.compile(r"/v2/models/([^/]+)(?:/versions/([^/]+))?/(?:infer|generate)")  # MLServer has both

STREAM = re.compile(r"/v2/models/[^/]+(?:/versions/[^/]+)?/(?:infer|generate)_stream")

LIVE, READY = "/v2/health/live", "/v2/health/ready"

MODEL = re.compile(r"/v2/models/(?!stats$)([^/]+)(?:/versions/([^/]+))?(?:/(.*))?")
"""Every route about one model: its name, its version, and the rest of the path."""

CONTROL = re.compile(r"[\x00-\x1f\x7f]")  # MLServer's routes ignore a line feed at the end

ADMIN = "/v2/repository/"

log = logging.getLogger(__name__)


class Target(NamedTuple):
    """The model that an inference request addresses; None if there is no loaded one of this name and version."""

    name: str
    version: str | None
    model: Model | None


class InferenceRequest(ArrivingRequest, Protocol):
    """An inference request, such as `exchange.Exchange`.

    Attributes:
        target: the model that it addresses.
        method: of HTTP, such as `POST`.
    """

    target: Target
    method: bytes


class InferenceApp:
    """A `RequestHandler` around MLServer's ASGI app."""

    def __init__(
        self,
        app: App,
        find: FindModel,
        every: ListModels,
        limits: Limits,
        request_log: RequestLog,
        *,
        history: History | None = None,
    ) -> None:
        """Wrap MLServer's app; `find` and `every` look models up, and a history records what they answer."""
        self._mlserver, self._find, self._every, self._limits, self._request_log = app, find, every, limits, request_log
        self._history = history
        self._app = with_safe_methods(with_routes(self._answer))
        self._bodies = Bodies(limits)
        self.draining = False

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Answer a request other than inference."""
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
        """Health or a refusal, or None if MLServer's app should answer."""
        if CONTROL.search(path):
            return responses.refusal(404, "Not Found.")
        if path.startswith(ADMIN) and not self._limits.admin:
            return responses.refusal(403, CLOSED)
        if STREAM.fullmatch(path):
            return responses.refusal(404, "This server streams nothing; ask by /infer.")
        match = MODEL.fullmatch(path)
        name, version, rest = match.groups() if match else (None, None, None)
        if path in {LIVE, READY} or rest == "ready":
            health = await self._health(path, name, version)
            is_allowed = method == "GET" or health.status == 404
            return health if is_allowed else responses.refusal(405, f"Health takes GET, not {method}.", allow=b"GET")
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
        subject = {"name": name} if name else live  # the protocol's text has `live`, KServe's client reads `ready`
        return responses.document(200 if ready else 503, {**subject, "ready": ready})

    def _refusal(self, name: str, version: str | None) -> responses.Reply | None:
        """The refusal of a request about a model that is unknown or not loaded, or None if it is loaded."""
        try:
            self._find(name, version)
        except TabserveError as error:
            return responses.refusal(status(error).http, str(error))
        return None

    def target(self, path: str) -> Target | None:
        """The model that a path addresses, or None if that is no inference route or the model is of another runtime."""
        if not (match := INFER.fullmatch(path)):
            return None
        name, version = match.groups()
        try:
            model = self._find(name, version)
        except TabserveError:  # unknown, or not loaded yet: `infer` says which
            return Target(name, version, None)
        return Target(name, version, model) if is_ours(model) else None

    async def infer(self, request: InferenceRequest) -> responses.Reply:
        """The response to an inference request; cancelled if the client leaves."""
        start = time.perf_counter()
        name, version, model = request.target
        served, document = (name, version) if model else None, None
        try:
            if model is None or not model.ready:  # unknown, or replaced meanwhile
                model = self._find(name, version)
            if request.method == b"OPTIONS":
                return responses.OPTIONS
            if request.method != b"POST":
                return self._refused(405, f"Inference takes POST, not {request.method.decode()}.", None, None, start)
            model.check_room()
            head_length = request.headers.get(payload.HEAD_LENGTH)
            body = await self._bodies.read(request)
            document = payload.decode(body, head_length)
            parsed = model.validate(document)
            binary = payload.wanted_binary(document, parsed.outputs)
            sent = v2.sent(body, document, is_json=head_length is None) if self._history else None
            document = {"id": parsed.id}
            del body  # frees the rest while its rows wait
            if self._history and sent is not None:
                reply = await self._respond(model, parsed, binary, Kept(self._history, "rest", sent))
            else:  # to record in no history would take a tenth of the time of one row
                reply = responses.answer(model, parsed, await model.answer(parsed), binary)
        except TabserveError as error:
            return self._refused(status(error).http, str(error), document, served, start)
        except Exception:
            log.exception("Answering a request failed.")
            return self._refused(500, FAILED, document, served, start)
        self._request_log.answered(name, version, start)
        return reply

    async def _respond(self, model: Model, request: Request, binary: frozenset[str], record: Kept) -> responses.Reply:
        """The response to a valid request, which the history records."""
        with record:
            outputs = await model.answer(request)
            request = identified(request)
            reply = responses.answer(model, request, outputs, binary)
            record.add(*v2.facts(model, request), v2.response(model, request, outputs) if binary else reply.body)
        return reply

    def _refused(
        self, status: int, reason: str, document: object, served: tuple[str, str | None] | None, start: float
    ) -> responses.Reply:
        identity = document.get("id") if isinstance(document, dict) else None
        self._request_log.refused(str(status), reason, identity, served, start)
        return responses.refusal(status, reason)
