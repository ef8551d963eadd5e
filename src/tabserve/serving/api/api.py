"""A request handler for an API: the contract's routes are answered by the model, all others by a FastAPI app."""

import asyncio
import logging
from pathlib import Path
from time import perf_counter
from typing import Any

from tabserve.errors import TabserveError
from tabserve.model.model import Model, load
from tabserve.serving import memory
from tabserve.serving.api.app import create_app
from tabserve.serving.api.contract import Contract
from tabserve.serving.api.metrics import ApiMetrics
from tabserve.serving.limits import Limits
from tabserve.serving.model import LoadedModel
from tabserve.serving.protocol.status import FAILED, status
from tabserve.serving.rest.bodies import Bodies
from tabserve.serving.rest.paths import with_routes
from tabserve.serving.rest.responses import JSON, OPTIONS, Reply, refusal
from tabserve.serving.rest.safe_methods import Message, Receive, Send, with_safe_methods

log = logging.getLogger(__name__)


class Api:
    """A `tabserve.serving.rest.exchange.RequestHandler` for the routes of a contract.

    Attributes:
        draining: whether the server is about to end; it still answers, but `/ready` is 503.
    """

    def __init__(self, contract: Contract, limits: Limits, folder: Path) -> None:
        """Load the model of a folder.

        Raises:
            ArtifactError: the folder is not whole, or its model does not fit the contract.
        """
        self.draining = False
        self._contract, self._limits, self._folder = contract, limits, folder
        self._metrics, self._bodies = ApiMetrics(contract), Bodies(limits)
        self._model, self._reloading = self._prepare(self._load()), asyncio.Lock()
        app = create_app(lambda: not self.draining, self._metrics.to_bytes, self._document)
        self._app = with_safe_methods(with_routes(app))
        memory.freeze_gc()

    async def reload(self) -> None:
        """Load the folder again for new requests; if it is refused, the present model stays."""
        async with self._reloading:  # one after the other, so that the newest folder wins
            try:
                self._model = self._prepare(await asyncio.to_thread(self._load))
            except Exception as error:  # noqa: BLE001  the server goes on after any error
                log.error("The model was not reloaded, and goes on as before: %s", error)  # noqa: TRY400
        memory.freeze_gc()

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Answer a request on any other route."""
        await self._app(scope, receive, send)

    def target(self, path: str) -> str | None:
        """The path, or None if it is not a route of the contract."""
        return path if path in self._contract.routes else None

    async def infer(self, request: Any) -> Reply:  # noqa: ANN401  an Exchange
        """The response to a request on such a route; cancelled if the client leaves."""
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
        self._model.check_room()
        body = await self._bodies.read(request)
        answer = await self._contract.routes[request.target](body, self._model)
        self._metrics.count_records(request.target, answer.rows)
        return Reply(200, answer.body, (JSON,))

    def _load(self) -> Model:
        model = load(self._folder)
        self._contract.check(model, self._folder)
        return model

    def _prepare(self, model: Model) -> LoadedModel:
        return LoadedModel(model, self._limits, self._metrics.model)

    def _document(self) -> dict[str, Any]:
        return self._contract.document(self._model.model, self._limits)
