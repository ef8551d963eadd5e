"""Targets for the server's speed, as ratios within one run; they are reported, never asserted."""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

import numpy as np

from bench.turn import OURS, Turn


class Target(NamedTuple):
    """Under a load, our server should be at least `ratio` times as good as the best of others.

    Attributes:
        load: name of the load.
        figure: `rate`, where more is better, or `p99`, where less is better.
        others: names of the other servers.
        ratio: the ratio to reach.
    """

    load: str
    figure: str
    others: tuple[str, ...]
    ratio: float

    def __str__(self) -> str:
        return f"{self.load}: {self.figure} ≥ {self.ratio:g} × {' and '.join(self.others)}"

    def measured(self, turns: Mapping[str, Turn]) -> float:
        """The measured ratio; NaN where a side was not measured."""
        ours, *others = (self._value(turns.get(name)) for name in (OURS, *self.others))
        return float(ours / np.max(others) if self.figure == "rate" else np.min(others) / ours)

    def _value(self, turn: Turn | None) -> float:
        timing = turn and turn.timings.get(self.load)
        return getattr(timing, self.figure) if timing else np.nan


TARGETS = (
    Target("json-1x1", "rate", ("limit",), 0.9),
    Target("json-1x32", "rate", ("limit",), 0.65),
    Target("json-1x32", "rate", ("stock",), 6),
    Target("json-1x32", "rate", ("stock-batching",), 4.5),
    Target("json-1x32", "p99", ("stock", "stock-batching"), 10),
    Target("binary-1000x1", "rate", ("predict-1-thread",), 0.7),
    Target("binary-1000x1", "rate", ("predict-threads",), 0.7),
    Target("json-1000x1", "rate", ("stock",), 2.5),
    Target("grpc-1x32", "rate", ("stock",), 2),
    Target("grpc-1000x1", "rate", ("stock",), 2),
)

MIXED = (Target("columns-1x32", "rate", ("obvious",), 10), Target("columns-1x32", "rate", ("limit",), 0.6))


def table(turns: Mapping[str, Turn], targets: Iterable[Target] = TARGETS) -> str:
    """One line for each target: the measured ratio, and whether it is reached."""
    lines = [f"{'targets':<52}{'measured':>10}"]
    for target in targets:
        ratio = target.measured(turns)
        verdict = "not measured" if np.isnan(ratio) else "reached" if ratio >= target.ratio else "not reached"
        lines.append(f"{target!s:<52}{ratio:>10.2f}  {verdict}")
    return "\n".join(lines)


def document(turns: Mapping[str, Turn]) -> list[dict[str, object]]:
    """The measured ratios as JSON data."""
    return [{"target": str(target), "measured": target.measured(turns)} for target in TARGETS]
