"""Bootstrap intervals of measures."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

CONFIDENCE = 0.95

RESAMPLES = 300

Draw = NDArray[np.int64]
"""Indices of rows that were drawn with replacement, shape (rows,)."""


class Interval(NamedTuple):
    """A measure with its bootstrap interval (percentiles, 95 %; Efron & Tibshirani 1993)."""

    value: float
    low: float
    high: float

    def __neg__(self) -> "Interval":
        """The interval of minus the measure."""
        return Interval(-self.value, -self.high, -self.low)


def intervals(
    rows: int,
    measure: Callable[[Draw], Mapping[str, float]],
    seed: int = 0,
    usable: Callable[[Draw], bool] = lambda _: True,
) -> dict[str, Interval]:
    """Every measure of all rows, with its bootstrap interval.

    A difference that is measured within a draw is paired: both of its sides are measured on the same rows.

    Args:
        rows: number of rows.
        measure: computes the measures of the rows at these indices, by name.
        seed: of the draws; the same seed and number of rows give the same draws.
        usable: whether a draw can be measured; if not, it is drawn again. All rows together must be usable.
    """
    rng, resampled = np.random.default_rng(seed), list[list[float]]()
    with tqdm(total=RESAMPLES, desc="bootstrap", unit="draw", leave=False, disable=None) as progress:
        while len(resampled) < RESAMPLES:
            draw = rng.integers(rows, size=rows)
            if usable(draw):
                resampled.append(list(measure(draw).values()))
                progress.update()
    tail = (1 - CONFIDENCE) / 2
    bounds = np.quantile(resampled, [tail, 1 - tail], axis=0)
    return {
        name: Interval(value, float(low), float(high))
        for (name, value), low, high in zip(measure(np.arange(rows)).items(), *bounds, strict=True)
    }


def every_class(target: NDArray[np.integer[Any]]) -> Callable[[Draw], bool]:
    """A function that says whether a draw has a row of every class that occurs in `target`."""
    classes = np.unique(target)
    return lambda draw: bool(np.bincount(target[draw], minlength=classes[-1] + 1)[classes].all())
