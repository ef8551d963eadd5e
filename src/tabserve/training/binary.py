"""Measure the probabilities of two classes and a threshold on rows that neither was fitted or chosen on."""

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator
from sklearn.metrics import average_precision_score, brier_score_loss, log_loss, roc_auc_score

from tabserve.model.decision import Scores, Threshold
from tabserve.predictors.booster import OBJECTIVES, SOFTPROB
from tabserve.problem.criterion import F1, Accuracy, BalancedAccuracy, Counts, Criterion, FloatArray, IntArray
from tabserve.problem.metric import first, goodness
from tabserve.problem.task import Binary
from tabserve.training import folds
from tabserve.training import threshold as thresholds
from tabserve.training.bootstrap import Interval, every_class, intervals
from tabserve.training.classes import ClassTraining


def threshold_measures(
    target: NDArray[np.int8], probability: NDArray[np.float64], threshold: float
) -> dict[str, float]:
    """Precision and recall (0 if no row is flagged, or none is positive) and share of flagged rows at a threshold."""
    counts = Counts.at(threshold, target, probability)
    hits, flagged = int(counts.true_positive), int(counts.true_positive + counts.false_positive)
    return {
        "precision": hits / max(flagged, 1),
        "recall": hits / max(int(target.sum()), 1),
        "flagged": flagged / len(target),
    }


def curve(target: NDArray[np.int8], probability: ArrayLike) -> dict[str, dict[str, list[float]]]:
    """The threshold measures at every hundredth from 0 to 1, as the manifest's metrics keep them."""
    values, cuts = np.asarray(probability, dtype=np.float64), [cut / 100 for cut in range(101)]
    points = [threshold_measures(target, values, cut) for cut in cuts]
    return {"curve": {"threshold": cuts, **{name: [round(point[name], 6) for point in points] for name in points[0]}}}


def measures(
    target: NDArray[np.int8], probability: ArrayLike, threshold: float, criterion: Criterion
) -> dict[str, float]:
    """Every measure of one set of rows, by name.

    Args:
        target: 0 or 1, shape (rows,).
        probability: of the positive class, shape (rows,).
        threshold: chosen without these rows.
        criterion: what the threshold was chosen for; first in the result, under its own name.
    """
    values = np.asarray(probability, dtype=np.float64)
    counts = Counts.at(threshold, target, values)
    return {
        criterion.name: float(criterion(counts)),
        "f1_at_half": float(F1()(Counts.at(0.5, target, values))),
        **threshold_measures(target, values, threshold),
        "average_precision": float(average_precision_score(target, values)),
        "roc_auc": float(roc_auc_score(target, values)),
        "log_loss": float(log_loss(target, values, labels=[0, 1])),
        "brier": float(brier_score_loss(target, values)),
        "accuracy": float(Accuracy()(counts)),
        "balanced_accuracy": float(BalancedAccuracy()(counts)),
    }


def evaluate(
    target: NDArray[np.int8], probability: ArrayLike, threshold: float, criterion: Criterion, seed: int = 0
) -> dict[str, Interval]:
    """Every measure with its bootstrap interval; the arguments are those of `measures`."""
    values = np.asarray(probability, dtype=np.float64)
    return intervals(
        len(target),
        lambda rows: measures(target[rows], values[rows], threshold, criterion),
        seed,
        usable=every_class(target),
    )


@dataclass(frozen=True)
class BinaryTraining(ClassTraining):
    """How two classes are learned: measured by the criterion, at a threshold that is chosen out of fold."""

    SERVED: ClassVar[tuple[str, ...]] = tuple(OBJECTIVES[Binary.KIND])
    COMPARED: ClassVar[tuple[str, ...]] = ("reg:logistic", SOFTPROB)

    task: Binary

    def predict(self, estimator: BaseEstimator, features: NDArray[Any]) -> FloatArray:
        """The probability of the positive class, shape (rows,)."""
        return np.asarray(estimator.predict_proba(features)[:, 1], dtype=np.float64)

    def score(self, target: NDArray[Any], prediction: FloatArray) -> float:
        """The metric, at the best threshold for these rows if it needs one; average precision if there is none."""
        if not (metric := self.task.metric):
            return float(average_precision_score(target, prediction))
        cut = thresholds.choose(target, prediction, self.task.criterion)
        return goodness(metric, self._measure(target, prediction, cut)[metric])

    def from_raw(self, raw: NDArray[Any]) -> FloatArray:
        """The probability of the positive class, shape (rows,)."""
        return np.asarray(raw[:, 0], dtype=np.float64)

    def choose_decision(self, target: NDArray[Any], prediction: FloatArray) -> Threshold:
        """The threshold with the largest criterion."""
        return Threshold(thresholds.choose(target, prediction, self.task.criterion))

    def fold_measures(self, target: NDArray[Any], prediction: FloatArray, fold: IntArray) -> pd.DataFrame:
        """See `measures`."""
        cuts = thresholds.cross_fitted(target, prediction, fold, self.task.criterion)
        return folds.measure_folds(fold, cuts, lambda rows, cut: self._measure(target[rows], prediction[rows], cut))

    def measures(self, target: NDArray[Any], answers: Scores, decision: Threshold, /) -> dict[str, float]:
        """See `measures`."""
        return self._measure(target, answers.probability, decision.threshold)

    def evaluate(
        self, target: NDArray[Any], answers: Scores, decision: Threshold, /, seed: int = 0
    ) -> dict[str, Interval]:
        """See `evaluate`."""
        measured = evaluate(target, answers.probability, decision.threshold, self.task.criterion, seed)
        return first(self.task.ranked_by, measured)

    def details(self, target: NDArray[Any], answers: Scores, /, seed: int = 0) -> dict[str, Any]:  # noqa: ARG002
        """See `curve`."""
        return curve(target, answers.probability)

    def _measure(self, target: NDArray[Any], probability: ArrayLike, threshold: float) -> dict[str, float]:
        return first(self.task.ranked_by, measures(target, probability, threshold, self.task.criterion))
