"""A request handler for an API: its model answers the contract's routes and V2 requests, a FastAPI app all others."""

import asyncio
import logging
from functools import partial
from importlib.metadata import version
from pathlib import Path
from time import monotonic, perf_counter
from typing import Any

from tabserve.errors import TabserveError
from tabserve.serving.api import document
from tabserve.serving.api.app import create_app
from tabserve.serving.api.contract import LOAD, Contract
from tabserve.serving.api.current import NONE_YET, CurrentModel
from tabserve.serving.api.document import Document
from tabserve.serving.api.loading import Loading
from tabserve.serving.api.metrics import ApiMetrics
from tabserve.serving.api.upload import uploaded
from tabserve.serving.api.v2 import V2Metadata
from tabserve.serving.history.history import History
from tabserve.serving.history.recording import recording
from tabserve.serving.limits import Limits
from tabserve.serving.load_settings import LoadSettings
from tabserve.serving.models import new_id
from tabserve.serving.protocol.status import FAILED, status
from tabserve.serving.request_log import RequestLog
from tabserve.serving.rest import responses
from tabserve.serving.rest.bodies import Bodies
from tabserve.serving.rest.inference import InferenceApp
from tabserve.serving.rest.responses import JSON, OPTIONS, Reply, refusal
from tabserve.serving.rest.safe_methods import Message, Receive, Send

log = logging.getLogger(__name__)


class Api:
    """A `tabserve.serving.rest.exchange.RequestHandler` for the routes of a contract, and for V2 beside them.

    One `LoadedModel` answers a request from start to end, even if another replaces it meanwhile.
    """

    def __init__(
        self,
        contract: Contract,
        limits: Limits,
        folder: Path | None,
        settings: LoadSettings,
        history: History | None = None,
    ) -> None:
        """Load the model, if there is one yet.

        Args:
            contract: of the API.
            limits: of requests.
            folder: of the model that is served until a client loads another; None for none.
            settings: who may load a model, and where it is kept.
            history: records what is answered; None for none.

        Raises:
            ArtifactError: the folder is not whole, or its model does not fit the contract.
            ServerError: loaded models cannot be kept.
        """
        self._contract, self._limits, self._history, self._since = contract, limits, history, monotonic()
        self._loading = Loading(contract, folder, settings)
        self._metrics, self._bodies = ApiMetrics(contract), Bodies(limits)
        self._current = current = CurrentModel(contract.name, limits, self._metrics.model, self._loading.latest())
        app = create_app(self, V2Metadata(contract.name, current), history)
        requests = RequestLog("rest", self._metrics.outcomes)
        self._v2 = InferenceApp(app, current.find, current.every, limits, requests, history=history)

    @property
    def draining(self) -> bool:
        """Whether the server is about to end; it still answers, but `/ready` is 503."""
        return self._v2.draining

    @draining.setter
    def draining(self, value: bool) -> None:
        self._v2.draining = value

    async def reload(self) -> None:
        """Load the model again for new requests; if it is refused, the present one stays."""
        try:
            await self._current.change(self._loading.latest)
        except Exception as error:  # noqa: BLE001  the server goes on after any error
            log.error("The model was not reloaded, and goes on as before: %s", error)  # noqa: TRY400

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Answer a request on any other route."""
        await self._v2(scope, receive, send)

    def target(self, path: str) -> object:
        """The path if it is a route that takes POST, the model of a V2 inference route, or None."""
        return path if path == LOAD or path in self._contract.routes else self._v2.target(path)

    async def infer(self, request: Any) -> Reply:  # noqa: ANN401  an Exchange
        """The response to a request on such a route; cancelled if the client leaves."""
        if not isinstance(request.target, str):
            return await self._v2.infer(request)
        start = perf_counter()
        try:
            reply = await self._answer(request)
        except TabserveError as error:
            reply = refusal(status(error).http, str(error))
        except Exception:
            log.exception("Answering a request failed.")
            reply = refusal(500, FAILED)
        self._metrics.count_request(request.target, reply.status, perf_counter() - start)
        return reply

    async def _answer(self, request: Any) -> Reply:  # noqa: ANN401
        if request.method == b"OPTIONS":
            return OPTIONS
        if request.method != b"POST":
            return refusal(405, f"{request.target} takes POST, not {request.method.decode()}.")
        return await (self._install(request) if request.target == LOAD else self._predict(request))

    async def _predict(self, request: Any) -> Reply:  # noqa: ANN401
        """Have the model answer a route of the contract."""
        self._current.get().check_room()
        body = await self._bodies.read(request)
        model = self._current.get()
        with recording(self._history, request.target, lambda: body) as record:
            answer = await self._contract.routes[request.target](body, model)
            identity = answer.id or new_id()
            record.add(identity, model.name, model.version, answer.rows, answer.body)
        self._metrics.count_records(request.target, answer.rows)
        return Reply(200, answer.body, (JSON, (b"x-request-id", identity.encode())))

    async def _install(self, request: Any) -> Reply:  # noqa: ANN401
        """Serve the model that a client uploads, even if the client leaves meanwhile."""
        self._loading.check(request.client, request.headers)
        body = await self._bodies.read(request)
        file = await asyncio.to_thread(uploaded, body, request.headers.get(b"content-type", b""))
        facts = await asyncio.shield(self._current.change(partial(self._loading.install, file)))
        return responses.document(200, {"model": facts})

    def health(self) -> Document:
        """That the server is live, whether it is ready, of which model, its version, and for how many seconds."""
        return {
            "status": "live",
            "ready": not self.unready(),
            "model": self._current.facts(),
            "server_version": version("tabserve"),
            "uptime_seconds": round(monotonic() - self._since, 3),
        }

    def unready(self) -> str:
        """Why the server takes no requests, or the empty text."""
        if self.draining:
            return "The server is about to end."
        return "" if self._current.facts() else NONE_YET

    def metrics(self) -> bytes:
        """All metrics, in Prometheus's text format."""
        return self._metrics.to_bytes()

    def document(self) -> Document:
        """The OpenAPI document of all routes."""
        return document.complete(self._contract.document(self._current.get().model, self._limits))
