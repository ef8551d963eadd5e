"""The API's two routes that must be fast, past ASGI on the core's connections, around the app of all others."""

import logging
from time import perf_counter
from typing import Any

import orjson

from categories import contract
from categories.app import made
from categories.metrics import Metrics
from categories.openapi import document
from tabserve.errors import TabserveError
from tabserve.model.decision import Scores
from tabserve.model.model import Model
from tabserve.serving.limits import Limits
from tabserve.serving.metrics import ModelMetrics
from tabserve.serving.model import LoadedModel
from tabserve.serving.protocol.status import FAILED, status
from tabserve.serving.rest.bodies import Bodies
from tabserve.serving.rest.paths import with_routes
from tabserve.serving.rest.responses import JSON, OPTIONS, Reply, refusal
from tabserve.serving.rest.safe_methods import Message, Receive, Send, with_safe_methods

log = logging.getLogger(__name__)


class Facade:
    """A `tabserve.serving.rest.exchange.RequestHandler`: what answers on the API's connections.

    Attributes:
        draining: whether it is about to end; it still answers, and says so at `/ready`.
    """

    def __init__(self, model: Model, limits: Limits) -> None:
        """Answer by a model that is loaded."""
        problem = model.problem
        self._encoder, self._limits, self._categories = model.encoder, limits, problem.labels
        self._names = [orjson.dumps(category) for category in problem.labels]
        self._model = LoadedModel(model, limits, ModelMetrics())
        self._bodies = Bodies(limits)
        self._written = {"/v1/categorize": self._chosen, "/v1/probabilities": self._probabilities}
        self._metrics = Metrics(self._written, problem.labels)
        app = made(lambda: not self.draining, self._metrics, document(problem, limits))
        self._app = with_safe_methods(with_routes(app))
        self.draining = False

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Answer on any other route."""
        await self._app(scope, receive, send)

    def target(self, path: str) -> str | None:
        """The route, if it is one of the two."""
        return path if path in self._written else None

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
        scores = await self._model.score(contract.features(body, self._encoder, self._limits.max_rows))
        self._metrics.add(asked.target, scores.label.tolist())
        return Reply(200, self._written[asked.target](scores), (JSON,))

    def _chosen(self, scores: Scores) -> bytes:
        return b'{"categories":[' + b",".join([self._names[place] for place in scores.label.tolist()]) + b"]}"

    def _probabilities(self, scores: Scores) -> bytes:
        found = [dict(zip(self._categories, row, strict=True)) for row in scores.probability]
        return orjson.dumps({"probabilities": found}, option=orjson.OPT_SERIALIZE_NUMPY)  # as short as float32 can be
