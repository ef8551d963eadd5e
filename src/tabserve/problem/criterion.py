"""What is maximised: a number from the four counts of a confusion matrix, or minus a distance from amounts."""

import sys
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

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
    """A figure of confusion counts that a threshold maximises."""

    @property
    def name(self) -> str:
        """Its name in tables and manifests."""

    def __call__(self, counts: Counts, /) -> FloatArray:
        """One number per entry of the counts."""


@dataclass(frozen=True)
class F1:
    """Harmonic mean of precision and recall, 2 TP / (2 TP + FP + FN); 0 where nothing is positive."""

    @property
    def name(self) -> str:
        """Its name in tables and manifests."""
        return "f1"

    def __call__(self, counts: Counts) -> FloatArray:
        """F1 of each entry."""
        doubled = 2 * counts.true_positive
        return np.asarray(doubled / np.maximum(doubled + counts.false_positive + counts.false_negative, 1))


@dataclass(frozen=True)
class Accuracy:
    """Share of the rows that get their own class."""

    @property
    def name(self) -> str:
        """Its name in tables and manifests."""
        return "accuracy"

    def __call__(self, counts: Counts) -> FloatArray:
        """Accuracy of each entry."""
        return np.asarray((counts.true_positive + counts.true_negative) / sum(counts))


@dataclass(frozen=True)
class BalancedAccuracy:
    """Mean of the shares of each class that are found; the share of a class without rows is 0."""

    @property
    def name(self) -> str:
        """Its name in tables and manifests."""
        return "balanced_accuracy"

    def __call__(self, counts: Counts) -> FloatArray:
        """Balanced accuracy of each entry."""
        positive = np.maximum(counts.true_positive + counts.false_negative, 1)
        negative = np.maximum(counts.true_negative + counts.false_positive, 1)
        return np.asarray((counts.true_positive / positive + counts.true_negative / negative) / 2)


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
        """Refuse costs that are not finite numbers above 0."""
        costs: tuple[object, object] = (self.false_positive, self.false_negative)
        for cost in costs:
            if isinstance(cost, bool) or not isinstance(cost, int | float) or not 0 < cost <= sys.float_info.max:
                raise UsageError(f"Both costs must be numbers above 0, not {cost!r:.60}.")

    @property
    def name(self) -> str:
        """Its name in tables and manifests."""
        return "minus_cost"

    def __call__(self, counts: Counts) -> FloatArray:
        """Minus the mean cost per row of each entry."""
        cost = self.false_positive * counts.false_positive + self.false_negative * counts.false_negative
        return np.asarray(-cost / sum(counts))


f1 = F1()


class Loss(Protocol):
    """A figure of predicted amounts, larger is better."""

    @property
    def name(self) -> str:
        """Its name in tables and manifests."""

    def __call__(self, target: FloatArray, prediction: FloatArray, /) -> float:
        """One number for amounts of shape (rows,)."""


@dataclass(frozen=True)
class RMSE:
    """Minus the root of the mean squared error; large errors weigh most."""

    @property
    def name(self) -> str:
        """Its name in tables and manifests."""
        return "minus_rmse"

    def __call__(self, target: FloatArray, prediction: FloatArray) -> float:
        """In the unit of the amounts."""
        return -float(np.sqrt(np.mean((target - prediction) ** 2)))


@dataclass(frozen=True)
class MAE:
    """Minus the mean absolute error."""

    @property
    def name(self) -> str:
        """Its name in tables and manifests."""
        return "minus_mae"

    def __call__(self, target: FloatArray, prediction: FloatArray) -> float:
        """In the unit of the amounts."""
        return -float(np.mean(np.abs(target - prediction)))


rmse = RMSE()

OfAmounts = RMSE | MAE
OfCounts = F1 | Costs | Accuracy | BalancedAccuracy

CRITERIA: dict[str, type[OfCounts | OfAmounts]] = {
    kind.__name__: kind for kind in (F1, Costs, Accuracy, BalancedAccuracy, RMSE, MAE)
}
"""The criteria by their name in a manifest."""
