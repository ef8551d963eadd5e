"""Measure predicted amounts and their intervals on rows that neither was fitted or chosen on."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, is_classifier
from sklearn.dummy import DummyRegressor
from sklearn.metrics import mean_absolute_error, median_absolute_error, root_mean_squared_error

from tabserve.model.decision import LARGEST, Amount, Amounts
from tabserve.predictors.booster import OBJECTIVES
from tabserve.problem.criterion import FloatArray, IntArray, Loss
from tabserve.problem.metric import first, goodness
from tabserve.problem.task import Regression
from tabserve.training import folds
from tabserve.training.bootstrap import Draw, Interval, intervals
from tabserve.training.interval import choose, coverage, cross_fitted


def measures(target: NDArray[np.float64], amounts: Amounts, criterion: Loss) -> dict[str, float]:
    """Every measure of one set of rows, by name.

    Args:
        target: the true amounts, shape (rows,).
        amounts: predicted, with intervals chosen without these rows.
        criterion: ranks the candidates, larger is better; first in the result, under its own name.
    """
    prediction = amounts.prediction.astype(np.float64)
    return {
        criterion.name: float(criterion(target, prediction)),
        "rmse": float(root_mean_squared_error(target, prediction)),
        "mae": float(mean_absolute_error(target, prediction)),
        "median_absolute_error": float(median_absolute_error(target, prediction)),
        "r2": _r2(target, prediction),
        **coverage(target, amounts),
    }


def evaluate(target: NDArray[np.float64], amounts: Amounts, criterion: Loss, seed: int = 0) -> dict[str, Interval]:
    """Every measure with its bootstrap interval; the arguments are those of `measures`."""

    def measure(rows: NDArray[np.int64]) -> dict[str, float]:
        return measures(target[rows], Amounts(*(values[rows] for values in amounts)), criterion)

    return intervals(len(target), measure, seed)


def _r2(target: NDArray[np.float64], prediction: NDArray[np.float64]) -> float:
    """R²; if all amounts are equal, 1 if all are predicted exactly and else 0 (scikit-learn gives NaN for one row)."""
    missed, spread = np.sum((target - prediction) ** 2), np.sum((target - target.mean()) ** 2)
    return float(1 - missed / spread) if spread else float(missed == 0)


@dataclass(frozen=True)
class RegressionTraining:
    """How an amount is learned: measured by the criterion, with an interval that is chosen out of fold."""

    ESTIMATOR: ClassVar[str] = "an unfitted regressor, such as XGBRegressor()"
    ANSWERS: ClassVar[str] = "amounts"
    SERVED: ClassVar[tuple[str, ...]] = tuple(OBJECTIVES[Regression.KIND])
    COMPARED: ClassVar[tuple[str, ...]] = ()
    SMALLEST_PART: ClassVar[str] = "The table"

    task: Regression

    def baselines(self) -> Mapping[str, BaseEstimator]:
        """Regressors that answer with the mean and with the median amount."""
        return {strategy: DummyRegressor(strategy=strategy) for strategy in ("mean", "median")}

    def accepts(self, estimator: BaseEstimator) -> bool:
        """Whether it is not a classifier by scikit-learn's tags; True for an estimator without tags."""
        return not (hasattr(estimator, "__sklearn_tags__") and is_classifier(estimator))

    def strata(self, target: NDArray[Any]) -> IntArray:
        """A single stratum for all rows."""
        return np.zeros(len(target), np.int64)

    def predict(self, estimator: BaseEstimator, features: NDArray[Any]) -> FloatArray:
        """The amount, shape (rows,)."""
        return np.asarray(estimator.predict(features), dtype=np.float64).ravel()

    def prediction_fault(self, prediction: FloatArray) -> str | None:
        """How many amounts are not finite 32-bit floats, or None."""
        wrong = int((~(np.abs(prediction) <= LARGEST)).sum())
        count = f"{wrong:,} of {len(prediction):,} rows"
        return f"answers {count} by no finite 32-bit float, and amounts are expected; leave it out" if wrong else None

    def score(self, target: NDArray[Any], prediction: FloatArray) -> float:
        """The metric, or the criterion if there is none."""
        if not (metric := self.task.metric):
            return float(self.task.criterion(target, prediction))
        return goodness(
            metric, self._measure(target, choose(target, prediction).scores(prediction[:, np.newaxis]))[metric]
        )

    def from_raw(self, raw: NDArray[Any]) -> FloatArray:
        """The amount, shape (rows,)."""
        return np.asarray(raw[:, 0], dtype=np.float64)

    def choose_decision(self, target: NDArray[Any], prediction: FloatArray) -> Amount:
        """The interval that is meant to hold the true amount of nine rows in ten."""
        return choose(target, prediction)

    def fold_measures(self, target: NDArray[Any], prediction: FloatArray, fold: IntArray) -> pd.DataFrame:
        """See `measures`."""
        amounts = cross_fitted(target, prediction, fold)
        return folds.measure_folds(
            fold,
            amounts,
            lambda rows, amount: self._measure(target[rows], amount.scores(prediction[rows, np.newaxis])),
        )

    def usable(self, _target: NDArray[Any]) -> Callable[[Draw], bool]:
        """Accepts every draw."""
        return lambda _: True

    def measures(self, target: NDArray[Any], answers: Amounts, _decision: Amount, /) -> dict[str, float]:
        """See `measures`."""
        return self._measure(target, answers)

    def evaluate(
        self, target: NDArray[Any], answers: Amounts, _decision: Amount, /, seed: int = 0
    ) -> dict[str, Interval]:
        """See `evaluate`."""
        return first(self.task.ranked_by, evaluate(target, answers, self.task.criterion, seed))

    def details(self, _target: NDArray[Any], _answers: Amounts, /, seed: int = 0) -> dict[str, Any]:  # noqa: ARG002
        """Nothing beside the measures."""
        return {}

    def _measure(self, target: NDArray[Any], amounts: Amounts) -> dict[str, float]:
        return first(self.task.ranked_by, measures(target, amounts, self.task.criterion))
