"""Rate and latency of a server as its clients measured them."""

import time
from dataclasses import dataclass
from math import nan

import numpy as np


@dataclass(frozen=True)
class Timing:
    """Good answers a second, latency in milliseconds, and number of errors; or the refusal, if the server refuses."""

    rate: float = nan
    p50: float = nan
    p99: float = nan
    errors: int = 0
    refused: str = ""


class Tally:
    """The answers of one measurement so far."""

    def __init__(self, seconds: float) -> None:
        """Start a measurement of so many seconds now."""
        self.start = time.perf_counter()
        self.end = self.start + seconds
        self.latencies: list[float] = []
        self.errors = 0

    def timing(self) -> Timing:
        """Rate and latencies so far."""
        elapsed = time.perf_counter() - self.start
        p50, p99 = np.percentile(self.latencies, [50, 99]) * 1_000
        return Timing((len(self.latencies) - self.errors) / elapsed, float(p50), float(p99), self.errors)
