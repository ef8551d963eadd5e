"""Prometheus metrics: ours, and MLServer's own for requests that bypass MLServer.

Our histograms are plain arrays that are read at each scrape: prometheus_client's own cost several times as much per
value, on the path of every request.
"""

import time
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from functools import cache
from itertools import accumulate
from threading import Lock

import numpy as np
import prometheus_client as prometheus
from numpy.typing import NDArray
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
    Metric,
    SummaryMetricFamily,
)

from tabserve.errors import ArtifactError
from tabserve.model.model import Model
from tabserve.model.reference import Quantiles, Reference

SECONDS = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5)

ROWS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)

PROBABILITY_TEXT = "Predicted probability of the positive class; of several classes, of the label that a row got"

UNSEEN_TEXT = "Answered rows whose level in a column of categories training did not see; answered as if it were missing"

QUANTILES_TEXT = "Predicted amounts at or below the quantiles of the hold-out's"

HOLDOUT_TEXT = "Share of the hold-out's amounts at or below each of their quantiles"

PROBABILITY = tuple(np.linspace(0.05, 1, 20).round(2).tolist())


class Histogram:
    """Counts of values between edges, and their sum; a value at an edge counts below it."""

    def __init__(self, edges: Sequence[float] | NDArray[np.float32]) -> None:
        """Start with no count."""
        self._names = [*map(str, edges), "+Inf"]  # of a 32-bit float the fewest digits
        self._edges = [*map(float, edges)]
        self._array = np.array(self._edges)
        self._counts = [0] * (len(edges) + 1)
        self._sum = 0.0

    def add(self, value: float) -> None:
        """Count one value."""
        self._counts[bisect_left(self._edges, value)] += 1
        self._sum += value

    def add_all(self, values: NDArray[np.float32]) -> None:
        """Count many values, shape (values,)."""
        if len(values) == 1:  # several times as fast
            self.add(float(values[0]))
            return
        for index, count in enumerate(np.bincount(np.searchsorted(self._array, values)).tolist()):
            self._counts[index] += count
        self._sum += float(values.sum(dtype=np.float64))

    def buckets(self) -> list[tuple[str, float]]:
        """Each edge with the number of values at or below it."""
        return list(zip(self._names, accumulate(self._counts), strict=True))

    @property
    def edges(self) -> list[float]:
        """The edges, as 64-bit floats."""
        return self._edges

    @property
    def count(self) -> int:
        """The number of values."""
        return sum(self._counts)

    @property
    def sum(self) -> float:
        """The sum of all values."""
        return self._sum


class Duration:
    """A number of events and their total duration in seconds."""

    def __init__(self) -> None:
        """Start with no event."""
        self.count, self.seconds = 0, 0.0

    def add(self, seconds: float) -> None:
        """Count one event."""
        self.count += 1
        self.seconds += seconds


class ModelMetrics:
    """The metrics of one model.

    Attributes:
        success, failure: answered and refused requests.
        calls: of the model, one per batch.
        last: end of the last call in seconds since 1970, 0 before the first.
        probability, amounts: the answered probabilities or, between the quantiles of the hold-out's, the amounts.
        watched: that of both which the model answers.
        holdout: share of the hold-out's amounts at or below each edge of `amounts`.
        labels: number of rows with each label.
        unseen: number of rows with a level that training did not see, by column of categories.
    """

    def __init__(self) -> None:
        """Start with no count."""
        self.rows, self.probability = Histogram(ROWS), Histogram(PROBABILITY)
        self.amounts, self.holdout = Histogram(()), list[float]()
        self.watched = self.probability
        self.success, self.failure, self.calls = Duration(), Duration(), Duration()
        self.last = 0.0
        self.labels: Counter[str] = Counter()
        self.unseen: Counter[str] = Counter()
        self.queue: Callable[[], int] = int
        self.info: dict[str, str] = {}
        self._lock = Lock()

    def describe(self, model: Model, version: str) -> None:
        """Set the facts of the model, also after a reload."""
        facts = {**model.predictor.facts, **model.decision.parameters}
        self.info = {"version": version, "problem": model.problem.name, **facts}
        if model.problem.task.AMOUNT:
            self._describe_amounts(model)
        self.unseen.update(dict.fromkeys(model.encoder.categories, 0))
        self.labels.update(dict.fromkeys(model.problem.labels, 0))  # so that Prometheus sees 0 before the first row

    def _describe_amounts(self, model: Model) -> None:
        """Count amounts from now on, anew if the model was measured on others than the one before."""
        edges, self.holdout = _quantiles(model)
        if self.amounts.edges != [*map(float, edges)]:
            self.amounts = Histogram(edges)
        self.watched = self.amounts

    def count(self, labels: Mapping[str, int], watched: NDArray[np.float32], seconds: float) -> None:
        """Count one call of the model; may be called on any thread.

        Args:
            labels: number of rows with each label.
            watched: the monitored value of each row, shape (rows,).
            seconds: duration of the call.
        """
        with self._lock:
            self.calls.add(seconds)
            self.last = time.time()
            self.rows.add(len(watched))
            self.watched.add_all(watched)
            for name, count in labels.items():
                self.labels[name] += count


class ServingMetrics:
    """All metrics beside MLServer's own; a collector of prometheus_client."""

    def __init__(self) -> None:
        """Start with no count."""
        self._models: dict[str, ModelMetrics] = {}
        self._seconds: dict[str, Histogram] = {}
        self._rejected: Counter[tuple[str, str]] = Counter()
        self._others: dict[str, Callable[[], Iterable[Metric]]] = {}

    def include(self, name: str, collect: Callable[[], Iterable[Metric]]) -> None:
        """Collect the metrics of another part too; those of a later part of the same name replace them."""
        self._others[name] = collect

    def model(self, name: str) -> ModelMetrics:
        """The metrics of one model, which stay after a reload."""
        return self._models.setdefault(name, ModelMetrics())

    def seconds(self, protocol: str) -> Histogram:
        """The durations of requests, from the last byte to the answer."""
        return self._seconds.setdefault(protocol, Histogram(SECONDS))

    def reject(self, protocol: str, status: str) -> None:
        """Count a refused request."""
        self._rejected[protocol, status] += 1

    def collect(self) -> Iterable[Metric]:
        """All metrics, for prometheus_client."""
        yield _histograms("tabserve_request_seconds", "Seconds from a request to its answer", "protocol", self._seconds)
        rows = {name: model.rows for name, model in self._models.items()}
        yield _histograms("tabserve_batch_rows", "Rows in one call of the model", "model", rows)
        probability = {n: model.probability for n, model in self._models.items() if model.watched is model.probability}
        yield _histograms("tabserve_probability", PROBABILITY_TEXT, "model", probability)
        yield from _amounts({name: model for name, model in self._models.items() if model.watched is model.amounts})
        queue = GaugeMetricFamily("tabserve_queue_rows", "Rows that wait for their scores", labels=["model"])
        info = InfoMetricFamily("tabserve_model", "The model that is served", labels=["model"])
        for name, model in self._models.items():
            queue.add_metric([name], model.queue())
            info.add_metric([name], model.info)
        labels = CounterMetricFamily("tabserve_labels", "Rows that got each label", labels=["model", "label"])
        for name, model in self._models.items():
            for label, count in model.labels.items():
                labels.add_metric([name, label], count)
        unseen = CounterMetricFamily("tabserve_unseen_levels", UNSEEN_TEXT, labels=["model", "column"])
        for name, model in self._models.items():
            for column, count in model.unseen.items():
                unseen.add_metric([name, column], count)
        rejected = CounterMetricFamily("tabserve_rejected", "Requests refused", labels=["protocol", "status"])
        for refusal, count in self._rejected.items():
            rejected.add_metric(refusal, count)
        yield from (queue, info, labels, unseen, rejected)
        for collect in self._others.values():
            yield from collect()


class Outcomes:
    """MLServer's own counts of inference requests, for requests that bypass MLServer."""

    def __init__(self, success: prometheus.Counter, failure: prometheus.Counter, duration: prometheus.Summary) -> None:
        """Count in these collectors of MLServer, which have the labels `model` and `version`."""
        self._success, self._failure, self._duration = success, failure, duration
        self._collectors_of = cache(self._collectors)

    def count(self, name: str, version: str | None, seconds: float, *, success: bool) -> None:
        """Count one request for a served model."""
        succeeded, failed, duration, ours = self._collectors_of(name, version)
        (succeeded if success else failed).inc()
        duration.observe(seconds)
        (ours.success if success else ours.failure).add(seconds)

    def _collectors(
        self, name: str, version: str | None
    ) -> tuple[prometheus.Counter, prometheus.Counter, prometheus.Summary, ModelMetrics]:
        labels = {"model": name, "version": version}
        theirs = self._success.labels(**labels), self._failure.labels(**labels), self._duration.labels(**labels)
        return (*theirs, METRICS.model(name))


def _histograms(name: str, text: str, label: str, histograms: dict[str, Histogram]) -> HistogramMetricFamily:
    family = HistogramMetricFamily(name, text, labels=[label])
    for value, histogram in histograms.items():
        family.add_metric([value], histogram.buckets(), histogram.sum)
    return family


def _amounts(models: Mapping[str, ModelMetrics]) -> Iterable[Metric]:
    """The distribution of each model's amounts, and that of the hold-out's at the same edges."""
    amounts = SummaryMetricFamily("tabserve_amount", "Predicted amounts", labels=["model"])
    quantiles = HistogramMetricFamily("tabserve_amount_quantiles", QUANTILES_TEXT, labels=["model"])
    holdout = GaugeMetricFamily("tabserve_amount_holdout", HOLDOUT_TEXT, labels=["model", "le"])
    for name, model in models.items():
        buckets = model.amounts.buckets()
        amounts.add_metric([name], model.amounts.count, model.amounts.sum)
        quantiles.add_metric([name], buckets, None)  # no sum: the client would leave it out below 0 alone
        for (edge, _), share in zip(buckets, model.holdout, strict=False):  # not at the last edge, which is infinite
            holdout.add_metric([name, edge], share)
    yield from (amounts, quantiles, holdout)


def _quantiles(model: Model) -> tuple[NDArray[np.float32], list[float]]:
    """Quantiles of the hold-out's amounts, and the share at or below each; none if the folder keeps no reference."""
    with suppress(ArtifactError):
        score = Reference.from_json(model.data).score
        if isinstance(score, Quantiles):
            return score.edges, score.below.tolist()
    return np.empty(0, np.float32), []


METRICS = ServingMetrics()
prometheus.REGISTRY.register(METRICS)
