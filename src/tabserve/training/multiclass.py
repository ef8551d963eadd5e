"""Measure the most probable class, and the probabilities of several classes."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.base import BaseEstimator
from sklearn.metrics import confusion_matrix, log_loss

from tabserve.model.decision import MostProbable, Scores, softmax
from tabserve.predictors.booster import OBJECTIVE, OBJECTIVES, SOFTMAX
from tabserve.problem.criterion import Counts, Criterion, FloatArray, IntArray
from tabserve.problem.metric import first, goodness
from tabserve.problem.task import Multiclass
from tabserve.training import folds
from tabserve.training.bootstrap import Interval, every_class, intervals
from tabserve.training.classes import ClassTraining
from tabserve.training.temperature import apply_temperature, choose, cross_fitted


def counts(target: NDArray[np.int8], probability: NDArray[np.floating[Any]]) -> Counts:
    """Confusion counts if each row gets its most probable class; one entry per class, against all others."""
    matrix = confusion(target, probability)
    right = np.diag(matrix)
    false_positive, false_negative = matrix.sum(axis=0) - right, matrix.sum(axis=1) - right
    return Counts(right, false_positive, false_negative, len(target) - right - false_positive - false_negative)


def confusion(target: NDArray[np.int8], probability: NDArray[np.floating[Any]]) -> NDArray[np.int64]:
    """The number of rows of each class that get each class, shape (true, predicted)."""
    classes = range(probability.shape[1])
    return np.asarray(confusion_matrix(target, probability.argmax(axis=1), labels=list(classes)))


def measures(
    target: NDArray[np.int8], probability: NDArray[np.floating[Any]], criterion: Criterion
) -> dict[str, float]:
    """Every measure of one set of rows, by name.

    Args:
        target: index of each row's class, shape (rows,).
        probability: of each class, shape (rows, classes).
        criterion: its mean over the classes comes first in the result, named `macro_` and its name.
    """
    tally = counts(target, probability)
    return {
        f"macro_{criterion.name}": float(criterion(tally).mean()),
        "accuracy": float(tally.true_positive.sum() / len(target)),
        "log_loss": float(log_loss(target, probability, labels=range(probability.shape[1]))),
        "balanced_accuracy": _balanced_accuracy(tally),
    }


def evaluate(
    target: NDArray[np.int8], probability: NDArray[np.floating[Any]], criterion: Criterion, seed: int = 0
) -> dict[str, Interval]:
    """Every measure with its bootstrap interval; the arguments are those of `measures`."""
    return intervals(
        len(target), lambda rows: measures(target[rows], probability[rows], criterion), seed, usable=every_class(target)
    )


def by_class(target: NDArray[np.int8], probability: NDArray[np.floating[Any]], labels: Sequence[str]) -> pd.DataFrame:
    """Precision, recall, F1 and number of rows of each class, by its label."""
    tally = counts(target, probability)
    flagged, positive = tally.true_positive + tally.false_positive, tally.true_positive + tally.false_negative
    return pd.DataFrame(
        {
            "precision": tally.true_positive / np.maximum(flagged, 1),
            "recall": tally.true_positive / np.maximum(positive, 1),
            "f1": 2 * tally.true_positive / np.maximum(flagged + positive, 1),
            "rows": positive,
        },
        index=pd.Index(labels, name="class"),
    )


def _balanced_accuracy(tally: Counts) -> float:
    """Mean recall of the classes that have rows."""
    rows = tally.true_positive + tally.false_negative
    return float((tally.true_positive[rows > 0] / rows[rows > 0]).mean())


@dataclass(frozen=True)
class MulticlassTraining(ClassTraining):
    """How several classes are learned: a row gets its most probable one; measured by the criterion's mean over them."""

    # XGBClassifier turns its default, `OBJECTIVE`, into the first one when it is fitted on several classes.
    SERVED: ClassVar[tuple[str, ...]] = (*OBJECTIVES[Multiclass.KIND], OBJECTIVE)
    COMPARED: ClassVar[tuple[str, ...]] = (SOFTMAX,)

    task: Multiclass

    def predict(self, estimator: BaseEstimator, features: NDArray[Any]) -> FloatArray:
        """The probability of each class, shape (rows, classes): the softmax of the margins if it gives nothing else."""
        if hasattr(estimator, "predict_proba"):
            return np.asarray(estimator.predict_proba(features), dtype=np.float64)
        return softmax(estimator.decision_function(features))

    def score(self, target: NDArray[Any], prediction: FloatArray) -> float:
        """The metric, or minus the log loss, of probabilities made to add up to 1, which 32-bit ones do only nearly."""
        metric = self.task.metric or "log_loss"
        return goodness(metric, self._measure(target, apply_temperature(prediction, 1.0))[metric])

    def from_raw(self, raw: NDArray[Any]) -> FloatArray:
        """The probability of each class, shape (rows, classes)."""
        return softmax(raw)

    def choose_decision(self, target: NDArray[Any], prediction: FloatArray) -> MostProbable:
        """The most probable class, at the temperature with the smallest log loss."""
        return MostProbable(choose(target, prediction))

    def fold_measures(self, target: NDArray[Any], prediction: FloatArray, fold: IntArray) -> pd.DataFrame:
        """See `measures`; the temperature of each fold is chosen out of fold."""
        temperatures = cross_fitted(target, prediction, fold)
        return folds.measure_folds(
            fold,
            temperatures,
            lambda rows, value: self._measure(target[rows], apply_temperature(prediction[rows], value)),
        )

    def measures(self, target: NDArray[Any], answers: Scores, _decision: MostProbable, /) -> dict[str, float]:
        """See `measures`."""
        return self._measure(target, answers.probability)

    def evaluate(
        self, target: NDArray[Any], answers: Scores, _decision: MostProbable, /, seed: int = 0
    ) -> dict[str, Interval]:
        """See `evaluate`."""
        return first(self.task.ranked_by, evaluate(target, answers.probability, self.task.criterion, seed))

    def details(self, target: NDArray[Any], answers: Scores, /, seed: int = 0) -> dict[str, Any]:
        """The measures of each class with bootstrap intervals, and its number of rows, by label; see `by_class`."""
        labels, names = self.task.labels, ["precision", "recall", "f1"]

        def measure(rows: NDArray[np.int64]) -> dict[str, float]:
            figures = by_class(target[rows], answers.probability[rows], labels)[names].to_numpy().ravel()
            return {str(index): value for index, value in enumerate(figures.tolist())}

        measured = iter(intervals(len(target), measure, seed, usable=self.usable(target)).values())
        rows = np.bincount(target, minlength=len(labels)).tolist()
        return {
            "classes": {
                label: {**{name: next(measured)._asdict() for name in names}, "rows": count}
                for label, count in zip(labels, rows, strict=True)
            }
        }

    def _measure(self, target: NDArray[Any], probability: NDArray[np.floating[Any]]) -> dict[str, float]:
        return first(self.task.ranked_by, measures(target, probability, self.task.criterion))
