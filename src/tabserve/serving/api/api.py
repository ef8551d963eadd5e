"""A request handler for an API: its model answers the contract's routes and V2 requests, a FastAPI app all others."""

import asyncio
import logging
from collections.abc import Callable
from functools import partial
from importlib import metadata as packages
from pathlib import Path
from time import monotonic, perf_counter
from types import SimpleNamespace
from typing import Any

from tabserve.errors import NotLoaded, TabserveError, UnknownModel
from tabserve.serving import memory
from tabserve.serving.api import document
from tabserve.serving.api.app import Document, create_app
from tabserve.serving.api.contract import LOAD, Contract
from tabserve.serving.api.loading import Loading, Verified
from tabserve.serving.api.metrics import ApiMetrics
from tabserve.serving.api.upload import uploaded
from tabserve.serving.history.history import History
from tabserve.serving.history.recording import recording
from tabserve.serving.limits import Limits
from tabserve.serving.load_settings import LoadSettings
from tabserve.serving.model import LoadedModel
from tabserve.serving.models import new_id
from tabserve.serving.protocol import metadata
from tabserve.serving.protocol.status import FAILED, status
from tabserve.serving.request_log import RequestLog
from tabserve.serving.rest import responses
from tabserve.serving.rest.bodies import Bodies
from tabserve.serving.rest.inference import InferenceApp
from tabserve.serving.rest.responses import JSON, OPTIONS, Reply, refusal
from tabserve.serving.rest.safe_methods import Message, Receive, Send
from tabserve.serving.triton import Extensions
from tabserve.wording import shown

EXTENSIONS = ["binary_tensor_data", "statistics"]
"""Triton's extensions of the V2 protocol that an API has."""

NONE_YET = "No model is loaded yet; send one to /model/load."

NOTHING = SimpleNamespace(ready=False)
"""The one model of V2's readiness while none is loaded."""

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
        self._contract, self._limits, self._history = contract, limits, history
        self._loading = Loading(contract, folder, settings)
        self._metrics, self._bodies = ApiMetrics(contract), Bodies(limits)
        self._changing, self._since = asyncio.Lock(), monotonic()
        self._model: LoadedModel | None = None
        self._swap(self._loading.latest())
        self._extensions = Extensions(self._find, self._every)
        requests = RequestLog("rest", self._metrics.outcomes)
        self._v2 = InferenceApp(create_app(self, history), self._find, self._every, limits, requests, history=history)

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
            await self._change(self._loading.latest)
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
        self._loaded().check_room()
        body = await self._bodies.read(request)
        model = self._loaded()
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
        model = await asyncio.shield(self._change(partial(self._loading.install, file)))
        return responses.document(200, {"model": _facts(model)})

    async def _change(self, load: Callable[[], Verified | None]) -> LoadedModel | None:
        """Load another model on a thread, and serve it; the changes take turns, so that the last one counts."""
        async with self._changing:
            return self._swap(await asyncio.to_thread(load))

    def _swap(self, verified: Verified | None) -> LoadedModel | None:
        """Have a model answer the requests that come from now on."""
        if verified:
            name, metrics = self._contract.name, self._metrics.model
            self._model = LoadedModel(verified.model, self._limits, metrics, name=name, version=verified.version)
            memory.freeze_gc()
        return self._model

    def _loaded(self) -> LoadedModel:
        """The model that answers now.

        Raises:
            NotLoaded: there is none yet.
        """
        if self._model is None:
            raise NotLoaded(NONE_YET)
        return self._model

    def _find(self, name: str, version: str | None) -> LoadedModel:
        """The model of a V2 request.

        Raises:
            UnknownModel: it is for another name or version.
            NotLoaded: there is none yet.
        """
        if name != self._contract.name:
            raise UnknownModel(f"Model {shown(name)} is not found; this server has {shown(self._contract.name)}.")
        model = self._loaded()
        if version not in (None, model.version):
            raise UnknownModel(f"Version {shown(version)} is not found; {name!r} is of version {model.version!r}.")
        return model

    async def _every(self) -> list[Any]:
        return [self._model or NOTHING]

    def health(self) -> Document:
        """That the server is live, whether it is ready, of which model, its version, and for how many seconds."""
        return {
            "status": "live",
            "ready": not self.unready(),
            "model": _facts(self._model),
            "server_version": packages.version("tabserve"),
            "uptime_seconds": round(monotonic() - self._since, 3),
        }

    def unready(self) -> str:
        """Why the server takes no requests, or the empty text."""
        if self.draining:
            return "The server is about to end."
        return "" if self._model else NONE_YET

    def metrics(self) -> bytes:
        """All metrics, in Prometheus's text format."""
        return self._metrics.to_bytes()

    def document(self) -> Document:
        """The OpenAPI document of all routes."""
        return document.complete(self._contract.document(self._loaded().model, self._limits))

    def server_metadata(self) -> Document:
        """The V2 metadata of the server."""
        return {"name": self._contract.name, "version": packages.version("tabserve"), "extensions": EXTENSIONS}

    async def statistics(self) -> Document:
        """Triton's statistics of the model, which also name it."""
        return await self._extensions.statistics()

    def model_metadata(self, name: str, version: str | None = None) -> Document:
        """The V2 metadata of the model.

        Raises:
            UnknownModel: it has another name or version.
            NotLoaded: there is none yet.
        """
        model = self._find(name, version)
        columns = metadata.table_columns(model.model.problem)
        facts = {"name": name, "versions": [model.version], "platform": "tabserve", "parameters": columns}
        return facts | metadata.tensors(model.signature)


def _facts(model: LoadedModel | None) -> dict[str, str] | None:
    """A model's name and version."""
    return model and {"name": model.name, "version": model.version}
