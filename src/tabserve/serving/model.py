"""A loaded model with validation, batching, limits and metrics, for every transport."""

from time import perf_counter
from typing import Any

from numpy.typing import NDArray

from tabserve.model.decision import OutputKind
from tabserve.model.model import Model
from tabserve.predictors.predictor import Explainable
from tabserve.serving.batching import Batcher
from tabserve.serving.explanations import Explained, Explainer
from tabserve.serving.limits import Limits
from tabserve.serving.metrics import ModelMetrics
from tabserve.serving.protocol import contributions, records, request
from tabserve.serving.protocol.columns import signature
from tabserve.serving.protocol.signature import Features
from tabserve.serving.slices import MAX_THREADS


class LoadedModel:
    """Validates and answers the requests to one model, in batches; for one event loop.

    A new `LoadedModel` may replace this one while requests run, so a request must be validated and scored by the same
    one.

    Attributes:
        ready: whether it takes requests, which it always does.
        name: of the model, for V2 requests.
        model: answers the requests.
        signature: the model's inputs and outputs.
        metrics: the model's metrics.
        version: of the model; empty if it has none.
        max_rows: most rows of a request.
    """

    ready = True

    def __init__(
        self,
        model: Model,
        limits: Limits,
        metrics: ModelMetrics,
        *,
        name: str = "",
        version: str = "",
        max_batch_size: int | None = None,
        max_batch_time: float = 0.0,
    ) -> None:
        """Start with an empty queue.

        Args:
            model: uses one thread per call from now on.
            limits: of a request, and of the queue.
            metrics: where to count; a model that replaces another takes over its metrics.
            name: of the model.
            version: of the model.
            max_batch_size: most rows in one call; None for the predictor's own number.
            max_batch_time: seconds that the first request of a batch waits for others.
        """
        predictor = model.predictor
        predictor.on_one_thread()
        self.model, self.metrics, self.max_rows = model, metrics, limits.max_rows
        self.name, self.version = name, version
        metrics.describe(model, version)
        self.signature = signature(model.problem, model.encoder, model.decision, _contributions(model, limits))
        self._batcher = Batcher(
            self._score,
            max_batch_size or predictor.BATCH_ROWS,
            max_batch_time,
            max_queue_rows=limits.max_queue_rows,
            large_share=limits.large_share,
            threads=MAX_THREADS if predictor.PARALLEL else 1,
        )
        self._explainer = Explainer(self._explain_slice, limits.max_explained_rows)
        metrics.queue = lambda: self._batcher.rows + self._explainer.rows

    def check_room(self) -> None:
        """Refuse a request before any work is done for it.

        Raises:
            Overloaded: the queue is full.
        """
        self._batcher.check_room()

    def validate(self, document: object) -> request.Request:
        """Validate a V2 request; see `protocol.request.validate`."""
        return request.validate(document, self.signature, self.max_rows)

    def features(self, items: object, name: str) -> Features:
        """Validate JSON records; see `protocol.records.features`."""
        return records.features(items, name, self.model.encoder, self.max_rows)

    async def answer(self, valid: request.Request) -> list[request.Output]:
        """Compute the outputs that a valid V2 request asks for; errors as for `Batcher.score`."""
        score = self._explain if contributions.NAME in valid.outputs else self.score
        return request.answer(await score(valid.features), valid.outputs, self.signature)

    async def score(self, features: Features) -> Any:  # noqa: ANN401  the decision's own type
        """Score rows, and count their unseen levels; errors as for `Batcher.score`."""
        answers = await self._batcher.score(features)
        self._count_unseen(features)
        return answers

    async def _explain(self, features: Features) -> Any:  # noqa: ANN401
        """Score rows with the contributions to their answers; errors as for `Explainer.explain`."""
        explained = await self._explainer.explain(features)
        self._count_unseen(features)
        return explained

    def _count_unseen(self, features: Features) -> None:
        if features.unseen:
            self.metrics.unseen.update(features.unseen)

    def _score(self, features: NDArray[Any]) -> Any:  # noqa: ANN401
        """Call the model, and count its answers and the time that it took."""
        model, start = self.model, perf_counter()
        answers = model.score(features)
        seconds = perf_counter() - start
        counts = model.decision.counts(answers, model.problem)
        self.metrics.count(counts, model.decision.watched(answers), seconds)
        return answers

    def _explain_slice(self, features: NDArray[Any]) -> Explained:
        """Call the model, and compute the contributions to its answers."""
        assert isinstance(self.model.predictor, Explainable)
        return Explained(self._score(features), self.model.predictor.contributions(features))


def _contributions(model: Model, limits: Limits) -> dict[str, OutputKind]:
    """The output of contributions, if the model has them and the limits allow any."""
    predictor = model.predictor
    if not (isinstance(predictor, Explainable) and limits.max_explained_rows):
        return {}
    kind = contributions.output_kind(model.problem, model.encoder, predictor.outputs, limits.max_explained_rows)
    return {contributions.NAME: kind}
