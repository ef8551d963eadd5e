"""Choose the temperature that calibrates out-of-fold probabilities of several classes.

A temperature does not change the most probable class (Guo et al., On Calibration of Modern Neural Networks,
ICML 2017).
"""

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from sklearn.metrics import log_loss

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
    """The temperature with the smallest log loss.

    Args:
        target: index of each row's class, shape (rows,).
        probability: out-of-fold at temperature 1, shape (rows, classes).
    """
    labels = range(probability.shape[1])

    def loss(logarithm: float) -> float:
        return float(log_loss(target, apply_temperature(probability, float(np.exp(logarithm))), labels=labels))

    return float(np.exp(minimize_scalar(loss, bounds=BOUNDS, method="bounded").x))


def cross_fitted(
    target: NDArray[np.int8], probability: NDArray[np.float64], fold: NDArray[np.int64]
) -> NDArray[np.float64]:
    """The temperature of each measured fold, chosen on its `folds.choosing_rows`."""
    return np.array(folds.cross_fitted(fold, lambda rows: choose(target[rows], probability[rows])))
