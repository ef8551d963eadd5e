"""Answers an API's requests by the model that it has now: its own routes past ASGI, all others by the app."""

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
    """A `tabserve.serving.rest.exchange.Door`: what answers on the API's connections.

    Attributes:
        draining: whether it is about to end; it still answers, and says so at `/ready`.
    """

    def __init__(self, contract: Contract, limits: Limits, folder: Path) -> None:
        """Answer by the model of a folder.

        Raises:
            ArtifactError: the folder is not whole, or its model answers another problem than the contract's.
        """
        self.draining = False
        self._contract, self._limits, self._folder = contract, limits, folder
        self._metrics, self._bodies = ApiMetrics(contract), Bodies(limits)
        self._model, self._reloading = self._loaded(self._read()), asyncio.Lock()
        app = create_app(lambda: not self.draining, self._metrics.to_bytes, self._document)
        self._app = with_safe_methods(with_routes(app))
        memory.freeze_gc()

    async def reload(self) -> None:
        """Load the folder anew: the model before answers what it has begun, and goes on if the new one is refused."""
        async with self._reloading:  # so that the last to ask is the last to load
            try:
                self._model = self._loaded(await asyncio.to_thread(self._read))
            except Exception as error:  # noqa: BLE001  whatever it is, the old model goes on
                log.error("The model was not reloaded, and goes on as before: %s", error)  # noqa: TRY400
        memory.freeze_gc()

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Answer on any other route."""
        await self._app(scope, receive, send)

    def target(self, path: str) -> str | None:
        """The route, if it is one of the contract's."""
        return path if path in self._contract.routes else None

    async def infer(self, asked: Any) -> Reply:  # noqa: ANN401  an Exchange
        """The answer to a request on one of them, or the refusal; cancelled where the client leaves."""
        start = perf_counter()
        try:
            reply = await self._answer(asked)
        except TabserveError as error:
            reply = refusal(status(error).http, str(error))
        except Exception:
            log.exception("Answering a request failed.")
            reply = refusal(500, FAILED)
        self._metrics.count(asked.target, reply.status, perf_counter() - start)
        return reply

    async def _answer(self, asked: Any) -> Reply:  # noqa: ANN401
        if asked.method == b"OPTIONS":
            return OPTIONS
        if asked.method != b"POST":
            return refusal(405, f"{asked.target} takes POST, not {asked.method.decode()}.")
        self._model.check_room()
        body = await self._bodies.read(asked)
        answer = await self._contract.routes[asked.target](body, self._model)
        self._metrics.add(asked.target, answer.rows)
        return Reply(200, answer.body, (JSON,))

    def _read(self) -> Model:
        model = load(self._folder)
        self._contract.check(model, self._folder)
        return model

    def _loaded(self, model: Model) -> LoadedModel:
        return LoadedModel(model, self._limits, self._metrics.model)

    def _document(self) -> dict[str, Any]:
        return self._contract.document(self._model.model, self._limits)
