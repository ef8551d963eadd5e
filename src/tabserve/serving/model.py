"""A model that is loaded: validation, batching, limits and metrics around it, whatever asks it."""

from time import perf_counter
from typing import Any

from numpy.typing import NDArray

from tabserve.model.model import Model
from tabserve.serving.batching import MAX_THREADS, Batcher
from tabserve.serving.limits import Limits
from tabserve.serving.metrics import ModelMetrics
from tabserve.serving.protocol import records, request
from tabserve.serving.protocol.columns import signature
from tabserve.serving.protocol.signature import Features


class LoadedModel:
    """Answers requests by one model, many of them in few calls; for one event loop.

    Another takes its place by being asked instead, while requests run: whoever reads a request by one, and scores it by
    the same, answers by one model.

    Attributes:
        model: the one.
        signature: what it takes and gives.
        metrics: of it.
    """

    def __init__(
        self,
        model: Model,
        limits: Limits,
        metrics: ModelMetrics,
        *,
        version: str = "",
        max_batch_size: int | None = None,
        max_batch_time: float = 0.0,
    ) -> None:
        """Prepare to answer.

        Args:
            model: uses one thread a call from now on.
            limits: of a request, and of the queue.
            metrics: what is counted; those of the model in whose place it comes go on.
            version: of the model, for the metrics.
            max_batch_size: rows in one call; as the predictor says when None.
            max_batch_time: seconds that the first row of a batch waits for others.
        """
        predictor = model.predictor
        predictor.on_one_thread()
        self.model, self.metrics, self._max_rows = model, metrics, limits.max_rows
        metrics.describe(model, version)
        self.signature = signature(model.problem, model.encoder, model.decision)
        self._batcher = Batcher(
            self._score,
            max_batch_size or predictor.BATCH_ROWS,
            max_batch_time,
            max_queue_rows=limits.max_queue_rows,
            large_share=limits.large_share,
            threads=MAX_THREADS if predictor.PARALLEL else 1,
        )
        metrics.queue = lambda: self._batcher.rows

    def check_room(self) -> None:
        """Refuse work before any is done for it.

        Raises:
            Overloaded: the queue is full.
        """
        self._batcher.check_room()

    def read(self, document: object) -> request.Request:
        """Validate a V2 request; see `protocol.request.validate`."""
        return request.validate(document, self.signature, self._max_rows)

    def features(self, found: object, name: str) -> Features:
        """Validate JSON records; see `protocol.records.features`."""
        return records.features(found, name, self.model.encoder, self._max_rows)

    async def answer(self, asked: request.Request) -> list[request.Output]:
        """The outputs that a valid V2 request asks for; see `score`."""
        return request.answer(await self.score(asked.features), asked.outputs, self.signature)

    async def score(self, features: Features) -> Any:  # noqa: ANN401  what the decision answers
        """Answers for rows; see `Batcher.score`."""
        answers = await self._batcher.score(features)
        if features.unseen:
            self.metrics.unseen.update(features.unseen)
        return answers

    def _score(self, part: NDArray[Any]) -> Any:  # noqa: ANN401
        model, start = self.model, perf_counter()
        answers = model.score(part)
        seconds = perf_counter() - start
        counts = model.decision.counts(answers, model.problem)
        self.metrics.count(counts, model.decision.watched(answers), seconds)
        return answers
