"""Choose the temperature that calibrates out-of-fold probabilities of several classes.

A temperature does not change the most probable class (Guo et al., On Calibration of Modern Neural Networks,
ICML 2017).
"""

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar

from tabserve.model.decision import softmax
from tabserve.training import folds

BOUNDS = (-4.0, 4.0)
"""The natural logarithms of the smallest and the largest temperature."""

MIN_PROBABILITY = 1e-12
"""Replaces smaller probabilities, as 0 has no logarithm."""


def apply_temperature(probability: NDArray[np.float64], temperature: float) -> NDArray[np.float64]:
    """The probabilities at this temperature, shape (rows, classes); a temperature above 1 brings them closer."""
    return softmax(np.log(np.maximum(probability, MIN_PROBABILITY)) / temperature)


def choose(target: NDArray[np.int8], probability: NDArray[np.float64]) -> float:
    """The temperature with the smallest log loss against smoothed targets.

    The class of a row counts (n + 1) / (n + 2) in a class of n rows, as Platt smooths two classes (Probabilistic
    Outputs for Support Vector Machines, 1999), and the others share the rest: otherwise a few rows that are all
    predicted rightly would make every probability 0 or 1.

    Args:
        target: index of each row's class, shape (rows,).
        probability: out-of-fold at temperature 1, shape (rows, classes).
    """
    smoothed = _smoothed(target, probability.shape[1])

    def loss(logarithm: float) -> float:
        scaled = apply_temperature(probability, float(np.exp(logarithm)))
        return float(-np.mean(np.sum(smoothed * np.log(np.maximum(scaled, MIN_PROBABILITY)), axis=1)))

    return float(np.exp(minimize_scalar(loss, bounds=BOUNDS, method="bounded").x))


def _smoothed(target: NDArray[np.int8], classes: int) -> NDArray[np.float64]:
    """The smoothed target of each row, shape (rows, classes)."""
    rest = 1 / (np.bincount(target, minlength=classes) + 2)
    each = np.full((classes, classes), rest[:, np.newaxis] / (classes - 1))
    np.fill_diagonal(each, 1 - rest)
    return each[target]


def cross_fitted(
    target: NDArray[np.int8], probability: NDArray[np.float64], fold: NDArray[np.int64]
) -> NDArray[np.float64]:
    """The temperature of each measured fold, chosen on its `folds.choosing_rows`."""
    return np.array(folds.cross_fitted(fold, lambda rows: choose(target[rows], probability[rows])))
