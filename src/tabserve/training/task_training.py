"""What training asks of a task: how its rows are split, its estimators judged, and its decision chosen."""

from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Protocol

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.base import BaseEstimator

from tabserve.model.decision import Decision
from tabserve.problem.problem import Problem
from tabserve.problem.task import Binary, Multiclass, Regression
from tabserve.training.binary import BinaryTraining
from tabserve.training.bootstrap import Draw, Interval
from tabserve.training.multiclass import MulticlassTraining
from tabserve.training.regression import RegressionTraining

Target = NDArray[Any]
"""The index of each row's class, or its amount; shape (rows,)."""

Prediction = NDArray[np.float64]
"""The probability of the positive class, or the amount, shape (rows,); or of each of several, shape (rows, classes)."""

Fold = NDArray[np.int64]
"""Number of the fold that holds each row out, from 0, or `folds.NEVER`; shape (rows,)."""


class TaskTraining(Protocol):
    """The training half of a task.

    Attributes:
        ESTIMATOR: what learns it, in words.
        ANSWERS: what such an estimator answers, in words.
        SERVED: objectives of XGBoost whose models a folder can hold.
        COMPARED: other objectives of XGBoost whose answers can be judged.
        SCARCE: what must have enough rows for every part of a split, in words.
    """

    ESTIMATOR: ClassVar[str]
    ANSWERS: ClassVar[str]
    SERVED: ClassVar[tuple[str, ...]]
    COMPARED: ClassVar[tuple[str, ...]]
    SMALLEST_PART: ClassVar[str]

    def baselines(self) -> Mapping[str, BaseEstimator]:
        """Unfitted estimators that know the target and no column, by name."""

    def accepts(self, estimator: BaseEstimator) -> bool:
        """Whether an estimator is of the kind that learns such a task."""

    def strata(self, target: Target) -> NDArray[np.int64]:
        """What a split spreads evenly over its parts, by number: the classes; all amounts are one stratum."""

    def predict(self, estimator: BaseEstimator, features: NDArray[Any]) -> Prediction:
        """What a fitted estimator says of rows."""

    def prediction_fault(self, prediction: Prediction) -> str | None:
        """What is wrong with what an estimator says, if anything is."""

    def score(self, target: Target, prediction: Prediction) -> float:
        """What the values of a grid are told apart by; larger is better."""

    def from_raw(self, raw: NDArray[Any]) -> Prediction:
        """What a predictor's raw outputs say of rows, before any decision."""

    def choose_decision(self, target: Target, prediction: Prediction) -> Decision:
        """The decision that is best on rows, given their out-of-fold predictions."""

    def fold_measures(self, target: Target, prediction: Prediction, fold: Fold) -> pd.DataFrame:
        """One row per measured fold, one column per measure, the criterion first; each decided by other folds."""

    def usable(self, target: Target) -> Callable[[Draw], bool]:
        """Whether rows drawn again can be measured, given their positions."""

    def measures(self, target: Target, answers: Any, decision: Any, /) -> dict[str, float]:  # noqa: ANN401
        """Every measure of answers that a decision made, on rows that had no part in anything."""

    def evaluate(self, target: Target, answers: Any, decision: Any, /, seed: int = 0) -> dict[str, Interval]:  # noqa: ANN401
        """Every measure on rows that had no part in anything, with its bootstrap interval.

        Args:
            target: of the rows.
            answers: what the decision made of the raw outputs.
            decision: the one.
            seed: of the bootstrap.
        """

    def details(self, target: Target, answers: Any, /, seed: int = 0) -> dict[str, Any]:  # noqa: ANN401
        """What the manifest keeps of these answers beside the measures, by name."""


TRAINING: Mapping[str, Callable[[Any], TaskTraining]] = {
    Binary.KIND: BinaryTraining,
    Multiclass.KIND: MulticlassTraining,
    Regression.KIND: RegressionTraining,
}
"""By the kind of a task."""


def training_of(problem: Problem) -> TaskTraining:
    """The training half of a problem's task."""
    return TRAINING[problem.task.KIND](problem.task)
