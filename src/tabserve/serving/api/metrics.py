"""The Prometheus metrics of an API."""

from collections import Counter
from collections.abc import Iterable

from prometheus_client import CollectorRegistry, ProcessCollector, Summary, generate_latest
from prometheus_client import Counter as Counts
from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily, Metric

from tabserve.serving.api.contract import LOAD, Contract
from tabserve.serving.metrics import METRICS, ROWS, SECONDS, Histogram, Outcomes


class ApiMetrics:
    """Counts requests and their records; a collector of prometheus_client.

    Attributes:
        model: the metrics of the model, the same as in the V2 server.
        outcomes: the counts of V2 requests, under MLServer's names.
    """

    def __init__(self, contract: Contract) -> None:
        """Start at zero, in a registry of its own with the metrics of the model and the process."""
        self.model = METRICS.model(contract.name)
        self._name, self._records, self._target = contract.name, contract.records, contract.problem.target
        self._requests: Counter[tuple[str, str]] = Counter()
        self._seconds = {route: Histogram(SECONDS) for route in (*contract.routes, LOAD)}
        self._sizes = {route: Histogram(ROWS) for route in contract.routes}
        self._registry = CollectorRegistry()
        self._registry.register(self)
        self._registry.register(METRICS)
        ProcessCollector(registry=self._registry)
        self.outcomes = _outcomes(self._registry)

    def count_request(self, route: str, status: int, seconds: float) -> None:
        """Count a request that was answered or refused."""
        self._requests[route, str(status)] += 1
        self._seconds[route].add(seconds)

    def count_records(self, route: str, rows: int) -> None:
        """Count the records of a request that was answered."""
        self._sizes[route].add(rows)

    def collect(self) -> Iterable[Metric]:
        """The metrics of the API, for prometheus_client."""
        requests = CounterMetricFamily(f"{self._name}_requests", "Requests", labels=["route", "status"])
        for labels, count in self._requests.items():
            requests.add_metric(labels, count)
        name, text = f"{self._name}_{self._records}", f"{self._records.capitalize()} given a {self._target}"
        predicted = CounterMetricFamily(name, text, labels=[self._target])
        for label, count in self.model.labels.items():
            predicted.add_metric([label], count)
        seconds, sizes = "Seconds from a request's head to its answer", f"{self._records.capitalize()} in a request"
        yield from (
            requests,
            predicted,
            _by_route(f"{self._name}_request_seconds", seconds, self._seconds),
            _by_route(f"{self._name}_request_{self._records}", sizes, self._sizes),
        )

    def to_bytes(self) -> bytes:
        """All metrics, with those of the model and the process, in Prometheus's text format."""
        return generate_latest(self._registry)


def _outcomes(registry: CollectorRegistry) -> Outcomes:
    """Counts of V2 requests with the names and labels of MLServer's."""
    labels, name = ["model", "version"], "model_infer_request"
    return Outcomes(
        Counts(f"{name}_success", "V2 requests answered", labels, registry=registry),
        Counts(f"{name}_failure", "V2 requests refused", labels, registry=registry),
        Summary(f"{name}_duration", "Seconds from a V2 request to its answer", labels, registry=registry),
    )


def _by_route(name: str, text: str, histograms: dict[str, Histogram]) -> HistogramMetricFamily:
    family = HistogramMetricFamily(name, text, labels=["route"])
    for route, histogram in histograms.items():
        family.add_metric([route], histogram.buckets(), histogram.sum)
    return family
