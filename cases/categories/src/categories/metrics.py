"""What Prometheus is told about the API."""

from collections import Counter
from collections.abc import Iterable, Sequence

from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily, Metric

from tabserve.serving.metrics import ROWS, SECONDS, Histogram


class Metrics:
    """Counts of requests and of products; a collector of prometheus_client."""

    def __init__(self, routes: Iterable[str], categories: Sequence[str]) -> None:
        """Count nothing yet."""
        self._requests: Counter[tuple[str, str]] = Counter()
        self._seconds = {route: Histogram(SECONDS) for route in routes}
        self._sizes = {route: Histogram(ROWS) for route in self._seconds}
        self._categories, self._products = categories, [0] * len(categories)
        self._registry = CollectorRegistry()
        self._registry.register(self)
        ProcessCollector(registry=self._registry)

    def count(self, route: str, status: int, seconds: float) -> None:
        """Count a request that was answered or refused."""
        self._requests[route, str(status)] += 1
        self._seconds[route].add(seconds)

    def add(self, route: str, found: Sequence[int]) -> None:
        """Count the products of a request: of each its category's place."""
        self._sizes[route].add(len(found))
        for category in found:
            self._products[category] += 1

    def collect(self) -> Iterable[Metric]:
        """All of it, as prometheus_client wants it."""
        requests = CounterMetricFamily("categories_requests", "Requests", labels=["route", "status"])
        for labels, count in self._requests.items():
            requests.add_metric(labels, count)
        products = CounterMetricFamily("categories_products", "Products given a category", labels=["category"])
        for category, count in zip(self._categories, self._products, strict=True):
            products.add_metric([category], count)
        seconds = "Seconds from a request's head to its answer"
        yield from (
            requests,
            products,
            _by_route("categories_request_seconds", seconds, self._seconds),
            _by_route("categories_request_products", "Products in a request", self._sizes),
        )

    def written(self) -> bytes:
        """All of it, and the process's own, as Prometheus reads it."""
        return generate_latest(self._registry)


def _by_route(name: str, text: str, histograms: dict[str, Histogram]) -> HistogramMetricFamily:
    family = HistogramMetricFamily(name, text, labels=["route"])
    for route, histogram in histograms.items():
        family.add_metric([route], histogram.buckets(), histogram.sum)
    return family
