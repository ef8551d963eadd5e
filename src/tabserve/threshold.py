"""Out-of-fold probabilities in, decision threshold out; never scored on the rows that chose it."""

import sys
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tabserve.errors import UsageError

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]


class Counts(NamedTuple):
    """Confusion counts, one entry per threshold."""

    true_positive: IntArray
    false_positive: IntArray
    false_negative: IntArray
    true_negative: IntArray

    @classmethod
    def at(cls, threshold: float, target: NDArray[np.int8], probability: FloatArray) -> "Counts":
        """The counts when a row is called positive at `probability >= threshold`."""
        flagged, positive = probability >= threshold, target == 1
        pairs = (flagged & positive, flagged & ~positive, ~flagged & positive, ~flagged & ~positive)
        return cls(*(np.asarray(pair.sum()) for pair in pairs))


class Criterion(Protocol):
    """What a threshold maximises: one number per entry of the counts, larger is better."""

    @property
    def name(self) -> str:
        """What tables and manifests call it."""

    def __call__(self, counts: Counts, /) -> FloatArray:
        """One number per entry of the counts."""


@dataclass(frozen=True)
class F1:
    """Harmonic mean of precision and recall, 2 TP / (2 TP + FP + FN); 0 where nothing is positive."""

    @property
    def name(self) -> str:
        """What tables and manifests call it."""
        return "f1"

    def __call__(self, counts: Counts) -> FloatArray:
        """F1 of each entry."""
        doubled = 2 * counts.true_positive
        return np.asarray(doubled / np.maximum(doubled + counts.false_positive + counts.false_negative, 1))


@dataclass(frozen=True)
class Costs:
    """Minus the mean cost per row, for mistakes that cost different amounts.

    Attributes:
        false_positive: cost of calling a negative row positive.
        false_negative: cost of missing a positive row, in the same currency.
    """

    false_positive: float
    false_negative: float

    def __post_init__(self) -> None:
        """Refuse costs that no threshold can answer."""
        costs: tuple[object, object] = (self.false_positive, self.false_negative)
        for cost in costs:
            if isinstance(cost, bool) or not isinstance(cost, int | float) or not 0 < cost <= sys.float_info.max:
                raise UsageError(f"Both costs must be numbers above 0, not {cost!r:.60}.")

    @property
    def name(self) -> str:
        """What tables and manifests call it."""
        return "minus_cost"

    def __call__(self, counts: Counts) -> FloatArray:
        """Minus the mean cost per row of each entry."""
        cost = self.false_positive * counts.false_positive + self.false_negative * counts.false_negative
        return np.asarray(-cost / sum(counts))


f1 = F1()


class Curve(NamedTuple):
    """Every distinct decision the probabilities allow: thresholds (increasing) and the counts at each."""

    thresholds: FloatArray
    counts: Counts


def curve(target: NDArray[np.int8], probability: ArrayLike) -> Curve:
    """The counts at each distinct probability used as threshold, and above the largest (nobody is positive).

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
    """The threshold with the largest criterion, half way to the next smaller probability.

    Half way, so that a row whose probability differs in the last bit still gets the same label.
    """
    thresholds, counts = curve(target, probability)
    best = int(np.argmax(criterion(counts)))
    lower = thresholds[best - 1] if best else 0.0
    middle = (lower + thresholds[best]) / 2
    return float(middle if middle > lower else thresholds[best])  # neighbouring floats have nothing between them


def cross_fitted(
    target: NDArray[np.int8], probability: ArrayLike, fold: IntArray, criterion: Criterion = f1
) -> FloatArray:
    """One threshold per fold, chosen on the out-of-fold probabilities of all other folds.

    Args:
        target: 0 or 1, shape (rows,).
        probability: out-of-fold, shape (rows,).
        fold: number of the fold that holds each row out, from 0, shape (rows,).
        criterion: what the thresholds maximise.
    """
    values = np.asarray(probability, dtype=np.float64)
    others = [fold != number for number in range(int(fold.max()) + 1)]
    return np.array([choose(target[rows], values[rows], criterion) for rows in others])
