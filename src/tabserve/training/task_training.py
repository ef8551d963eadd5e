"""What training does differently for each task: stratify rows, measure estimators, choose the decision."""

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
"""Probability of the positive class, or amount, shape (rows,); of several classes, of each, shape (rows, classes)."""

Fold = NDArray[np.int64]
"""The number of the fold that holds each row out, from 0, or `folds.NOT_HELD_OUT`; shape (rows,)."""


class TaskTraining(Protocol):
    """How a task is learned and measured.

    Attributes:
        ESTIMATOR: the expected kind of estimator, for messages.
        ANSWERS: what such an estimator predicts, for messages.
        SERVED: XGBoost objectives whose models a folder can hold; the first is the default.
        COMPARED: other XGBoost objectives whose predictions can be measured.
        SMALLEST_PART: what must have enough rows for every part of a split, for messages.
    """

    ESTIMATOR: ClassVar[str]
    ANSWERS: ClassVar[str]
    SERVED: ClassVar[tuple[str, ...]]
    COMPARED: ClassVar[tuple[str, ...]]
    SMALLEST_PART: ClassVar[str]

    def baselines(self) -> Mapping[str, BaseEstimator]:
        """Unfitted estimators that use the target but no column, by name."""

    def accepts(self, estimator: BaseEstimator) -> bool:
        """Whether the estimator is of the kind that the task needs."""

    def strata(self, target: Target) -> NDArray[np.int64]:
        """The stratum of each row, shape (rows,): its class, or 0 for an amount."""

    def predict(self, estimator: BaseEstimator, features: NDArray[Any]) -> Prediction:
        """The prediction of a fitted estimator."""

    def prediction_fault(self, prediction: Prediction) -> str | None:
        """Why a prediction cannot be measured, or None."""

    def score(self, target: Target, prediction: Prediction) -> float:
        """The score that ranks the points of a grid; larger is better."""

    def from_raw(self, raw: NDArray[Any]) -> Prediction:
        """The prediction in a predictor's raw outputs, before any decision."""

    def choose_decision(self, target: Target, prediction: Prediction) -> Decision:
        """The best decision for these rows, given their out-of-fold predictions."""

    def fold_measures(self, target: Target, prediction: Prediction, fold: Fold) -> pd.DataFrame:
        """One row per measured fold, one column per measure, the ranking one first; decisions are cross-fitted."""

    def usable(self, target: Target) -> Callable[[Draw], bool]:
        """A function that says whether a bootstrap draw can be measured."""

    def measures(self, target: Target, answers: Any, decision: Any, /) -> dict[str, float]:  # noqa: ANN401
        """Every measure of a decision's answers, on rows that nothing was fitted or chosen on."""

    def evaluate(self, target: Target, answers: Any, decision: Any, /, seed: int = 0) -> dict[str, Interval]:  # noqa: ANN401
        """Every measure with its bootstrap interval, on rows that nothing was fitted or chosen on.

        Args:
            target: of these rows.
            answers: the answers that the decision made of the raw outputs.
            decision: the decision.
            seed: of the bootstrap.
        """

    def details(self, target: Target, answers: Any, /, seed: int = 0) -> dict[str, Any]:  # noqa: ANN401
        """What the manifest's metrics keep about these answers beside the measures, by name."""


TRAINING: Mapping[str, Callable[[Any], TaskTraining]] = {
    Binary.KIND: BinaryTraining,
    Multiclass.KIND: MulticlassTraining,
    Regression.KIND: RegressionTraining,
}
"""The class of each kind of task."""


def training_of(problem: Problem) -> TaskTraining:
    """The `TaskTraining` of the problem's task."""
    return TRAINING[problem.task.KIND](problem.task)
