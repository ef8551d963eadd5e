"""Choose the decision threshold from out-of-fold probabilities."""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tabserve.problem.criterion import Counts, Criterion, FloatArray, IntArray, f1
from tabserve.training import folds


class Curve(NamedTuple):
    """All distinct thresholds, ascending, with the confusion counts at each."""

    thresholds: FloatArray
    counts: Counts


def curve(target: NDArray[np.int8], probability: ArrayLike) -> Curve:
    """The counts at each distinct probability as threshold, and at one above the largest, where no row is flagged.

    Args:
        target: 0 or 1, shape (rows,).
        probability: of the positive class, shape (rows,).
    """
    values = np.asarray(probability, dtype=np.float64)
    order = np.argsort(values, kind="stable")
    thresholds, first = np.unique(values[order], return_index=True)
    below = np.concatenate([[0], np.cumsum(target[order] == 1)])
    cut = np.append(first, len(values))
    true_positive = below[-1] - below[cut]
    false_positive = len(values) - cut - true_positive
    negatives = len(values) - below[-1]
    counts = Counts(true_positive, false_positive, below[cut], negatives - false_positive)
    return Curve(np.append(thresholds, max(1.0, np.nextafter(thresholds[-1], np.inf))), counts)


def choose(target: NDArray[np.int8], probability: ArrayLike, criterion: Criterion = f1) -> float:
    """The threshold with the largest criterion, moved half way to the next smaller probability.

    It is moved so that a row whose probability differs in the last bit still gets the same label.
    """
    thresholds, counts = curve(target, probability)
    best = int(np.argmax(criterion(counts)))
    lower = thresholds[best - 1] if best else 0.0
    middle = (lower + thresholds[best]) / 2
    return float(middle if middle > lower else thresholds[best])  # there is no number between neighbouring floats


def cross_fitted(
    target: NDArray[np.int8], probability: ArrayLike, fold: IntArray, criterion: Criterion = f1
) -> FloatArray:
    """The threshold of each measured fold, chosen on its `folds.choosing_rows`.

    Args:
        target: 0 or 1, shape (rows,).
        probability: out-of-fold, shape (rows,).
        fold: the number of the fold that holds each row out, from 0, or `folds.NOT_HELD_OUT`; shape (rows,).
        criterion: the thresholds maximise it.
    """
    values = np.asarray(probability, dtype=np.float64)
    return np.array(folds.cross_fitted(fold, lambda rows: choose(target[rows], values[rows], criterion)))
