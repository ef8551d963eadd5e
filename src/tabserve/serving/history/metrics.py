"""The Prometheus metrics of a history."""

from collections import Counter
from collections.abc import Callable, Iterable

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

FULL, REFUSED, CLOSED = "full", "refused", "closed"
"""Why entries are lost: too many waited, the database takes them never, or the server ended first."""


class HistoryMetrics:
    """Counts of entries and of failures; a collector of prometheus_client.

    Attributes:
        written: entries in the store.
        lost: entries that are not, by reason.
        failures: attempts to write that failed.
        waiting: returns the bytes of the entries that wait to be written.
    """

    def __init__(self, waiting: Callable[[], int]) -> None:
        """Start at zero, also for each reason, so that Prometheus sees 0 before the first loss."""
        self.written = self.failures = 0
        self.lost = Counter({FULL: 0, REFUSED: 0, CLOSED: 0})
        self.waiting = waiting

    def collect(self) -> Iterable[Metric]:
        """The metrics, for prometheus_client."""
        yield CounterMetricFamily("tabserve_history_written", "Entries written to the history", self.written)
        lost = CounterMetricFamily("tabserve_history_lost", "Entries that the history lost", labels=["reason"])
        for reason, count in self.lost.items():
            lost.add_metric([reason], count)
        yield lost
        text = "Attempts to write the history that failed; each is made again"
        yield CounterMetricFamily("tabserve_history_failures", text, self.failures)
        yield GaugeMetricFamily("tabserve_history_waiting_bytes", "Bytes of entries to be written", self.waiting())
