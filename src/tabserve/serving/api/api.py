"""A request handler for an API: its model answers the contract's routes and V2 requests, a FastAPI app all others."""

import asyncio
import logging
from hashlib import sha256
from importlib import metadata as packages
from pathlib import Path
from time import monotonic, perf_counter
from types import SimpleNamespace
from typing import Any

from tabserve.errors import NotLoaded, TabserveError, UnknownModel
from tabserve.model.model import MANIFEST, load
from tabserve.serving import memory
from tabserve.serving.api import document
from tabserve.serving.api.app import Document, create_app
from tabserve.serving.api.contract import Contract
from tabserve.serving.api.metrics import ApiMetrics
from tabserve.serving.limits import Limits
from tabserve.serving.model import LoadedModel
from tabserve.serving.models import new_id
from tabserve.serving.protocol import metadata
from tabserve.serving.protocol.status import FAILED, status
from tabserve.serving.request_log import RequestLog
from tabserve.serving.rest.bodies import Bodies
from tabserve.serving.rest.inference import InferenceApp
from tabserve.serving.rest.responses import JSON, OPTIONS, Reply, refusal
from tabserve.serving.rest.safe_methods import Message, Receive, Send
from tabserve.wording import shown

EXTENSIONS = ["binary_tensor_data"]
"""Triton's extensions of the V2 protocol that an API has."""

NOTHING = SimpleNamespace(ready=False)
"""The one model of V2's readiness while none is loaded."""

log = logging.getLogger(__name__)


class Api:
    """A `tabserve.serving.rest.exchange.RequestHandler` for the routes of a contract, and for V2 beside them.

    One `LoadedModel` answers a request from start to end, even if another replaces it meanwhile.
    """

    def __init__(self, contract: Contract, limits: Limits, folder: Path) -> None:
        """Load the model of a folder.

        Raises:
            ArtifactError: the folder is not whole, or its model does not fit the contract.
        """
        self._contract, self._limits, self._folder = contract, limits, folder
        self._metrics, self._bodies = ApiMetrics(contract), Bodies(limits)
        self._model: LoadedModel | None = self._load()
        self._reloading, self._since = asyncio.Lock(), monotonic()
        requests = RequestLog("rest", self._metrics.outcomes)
        self._v2 = InferenceApp(create_app(self), self._find, self._every, limits, requests)
        memory.freeze_gc()

    @property
    def draining(self) -> bool:
        """Whether the server is about to end; it still answers, but `/ready` is 503."""
        return self._v2.draining

    @draining.setter
    def draining(self, value: bool) -> None:
        self._v2.draining = value

    async def reload(self) -> None:
        """Load the folder again for new requests; if it is refused, the present model stays."""
        async with self._reloading:  # one after the other, so that the newest folder wins
            try:
                self._model = await asyncio.to_thread(self._load)
            except Exception as error:  # noqa: BLE001  the server goes on after any error
                log.error("The model was not reloaded, and goes on as before: %s", error)  # noqa: TRY400
        memory.freeze_gc()

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Answer a request on any other route."""
        await self._v2(scope, receive, send)

    def target(self, path: str) -> object:
        """The path if it is a route of the contract, the model of a V2 inference route, or None."""
        return path if path in self._contract.routes else self._v2.target(path)

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
        self._loaded().check_room()
        body = await self._bodies.read(request)
        answer = await self._contract.routes[request.target](body, self._loaded())
        self._metrics.count_records(request.target, answer.rows)
        return Reply(200, answer.body, (JSON, (b"x-request-id", (answer.id or new_id()).encode())))

    def _load(self) -> LoadedModel:
        """Load the folder, whose version is the checksum of its manifest."""
        model = load(self._folder)
        self._contract.check(model, self._folder)
        version = sha256((self._folder / MANIFEST).read_bytes()).hexdigest()[:12]
        return LoadedModel(model, self._limits, self._metrics.model, name=self._contract.name, version=version)

    def _loaded(self) -> LoadedModel:
        """The model that answers now.

        Raises:
            NotLoaded: there is none yet.
        """
        if self._model is None:
            raise NotLoaded("No model is loaded yet; send one to /model/load.")
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
        model = self._model and {"name": self._model.name, "version": self._model.version}
        uptime = round(monotonic() - self._since, 3)
        version = packages.version("tabserve")
        return {
            "status": "live",
            "ready": not self.unready(),
            "model": model,
            "server_version": version,
            "uptime_seconds": uptime,
        }

    def unready(self) -> str:
        """Why the server takes no requests, or the empty text."""
        if self.draining:
            return "The server is about to end."
        return "" if self._model else "No model is loaded yet; send one to /model/load."

    def metrics(self) -> bytes:
        """All metrics, in Prometheus's text format."""
        return self._metrics.to_bytes()

    def document(self) -> Document:
        """The OpenAPI document of all routes."""
        return document.complete(self._contract.document(self._loaded().model, self._limits))

    def server_metadata(self) -> Document:
        """The V2 metadata of the server."""
        return {"name": self._contract.name, "version": packages.version("tabserve"), "extensions": EXTENSIONS}

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
