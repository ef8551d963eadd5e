"""A loaded model with validation, batching, limits and metrics, for every transport."""

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
    """Validates and answers the requests to one model, in batches; for one event loop.

    A new `LoadedModel` may replace this one while requests run, so a request must be validated and scored by the same
    one.

    Attributes:
        model: answers the requests.
        signature: the model's inputs and outputs.
        metrics: the model's metrics.
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
        """Start with an empty queue.

        Args:
            model: uses one thread per call from now on.
            limits: of a request, and of the queue.
            metrics: where to count; a model that replaces another takes over its metrics.
            version: of the model, for the metrics.
            max_batch_size: most rows in one call; None for the predictor's own number.
            max_batch_time: seconds that the first request of a batch waits for others.
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
        """Refuse a request before any work is done for it.

        Raises:
            Overloaded: the queue is full.
        """
        self._batcher.check_room()

    def validate(self, document: object) -> request.Request:
        """Validate a V2 request; see `protocol.request.validate`."""
        return request.validate(document, self.signature, self._max_rows)

    def features(self, items: object, name: str) -> Features:
        """Validate JSON records; see `protocol.records.features`."""
        return records.features(items, name, self.model.encoder, self._max_rows)

    async def answer(self, valid: request.Request) -> list[request.Output]:
        """Compute the outputs that a valid V2 request asks for; errors as for `Batcher.score`."""
        return request.answer(await self.score(valid.features), valid.outputs, self.signature)

    async def score(self, features: Features) -> Any:  # noqa: ANN401  the decision's own type
        """Score rows, and count their unseen levels; errors as for `Batcher.score`."""
        answers = await self._batcher.score(features)
        if features.unseen:
            self.metrics.unseen.update(features.unseen)
        return answers

    def _score(self, features: NDArray[Any]) -> Any:  # noqa: ANN401
        """Call the model, and count its answers and the time that it took."""
        model, start = self.model, perf_counter()
        answers = model.score(features)
        seconds = perf_counter() - start
        counts = model.decision.counts(answers, model.problem)
        self.metrics.count(counts, model.decision.watched(answers), seconds)
        return answers
