"""What clients saw of a server."""

import time
from dataclasses import dataclass
from math import nan

import numpy as np


@dataclass(frozen=True)
class Timing:
    """What clients saw: good answers a second, milliseconds for one, how many were errors; or why there are none."""

    rate: float = nan
    p50: float = nan
    p99: float = nan
    errors: int = 0
    refused: str = ""


class Tally:
    """Counts the answers of one measurement."""

    def __init__(self, seconds: float) -> None:
        """Start now, for so many seconds."""
        self.start = time.perf_counter()
        self.end = self.start + seconds
        self.latencies: list[float] = []
        self.errors = 0

    def timing(self) -> Timing:
        """What was found by now."""
        elapsed = time.perf_counter() - self.start
        p50, p99 = np.percentile(self.latencies, [50, 99]) * 1_000
        return Timing((len(self.latencies) - self.errors) / elapsed, float(p50), float(p99), self.errors)
