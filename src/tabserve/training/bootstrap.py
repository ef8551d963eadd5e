"""Bootstrap intervals of measures."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

CONFIDENCE = 0.95

RESAMPLES = 300

Draw = NDArray[np.int64]
"""Indices of rows."""


class Interval(NamedTuple):
    """A measure with its bootstrap interval (percentiles, 95 %; Efron & Tibshirani 1993)."""

    value: float
    low: float
    high: float


def intervals(
    rows: int,
    measured: Callable[[Draw], Mapping[str, float]],
    seed: int = 0,
    usable: Callable[[Draw], bool] = lambda _: True,
) -> dict[str, Interval]:
    """Measure all rows, with an interval over rows drawn with replacement.

    A difference that is measured within a draw is paired: both of its sides see the same rows.

    Args:
        rows: number of rows.
        measured: measures the rows of these indices, by name.
        seed: of the draws; the same seed and number of rows give the same draws.
        usable: whether a draw can be measured; if not, it is drawn again. All rows together must be usable.
    """
    rng, drawn = np.random.default_rng(seed), list[list[float]]()
    while len(drawn) < RESAMPLES:
        draw = rng.integers(rows, size=rows)
        if usable(draw):
            drawn.append(list(measured(draw).values()))
    tail = (1 - CONFIDENCE) / 2
    bounds = np.quantile(drawn, [tail, 1 - tail], axis=0)
    return {
        name: Interval(value, float(low), float(high))
        for (name, value), low, high in zip(measured(np.arange(rows)).items(), *bounds, strict=True)
    }


def every_class(target: NDArray[np.integer[Any]]) -> Callable[[Draw], bool]:
    """A test whether a draw has a row of each class that occurs, given the class of each row, shape (rows,)."""
    classes = np.unique(target)
    return lambda draw: bool(np.bincount(target[draw], minlength=classes[-1] + 1)[classes].all())
