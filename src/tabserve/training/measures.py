"""How candidates are told apart: what is taken of their answers to rows held out, and what is measured on it."""

from typing import Any, Protocol

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.base import ClassifierMixin

from tabserve.model.decision import Decision, MostProbable, Threshold, softmax
from tabserve.table.frame import Frame
from tabserve.training import evaluation, multiclass, temperature, threshold

Probability = NDArray[np.float64]
"""Of the positive class, shape (rows,); or of each of several, shape (rows, classes)."""


class Judge(Protocol):
    """Tells candidates apart."""

    def probability(self, estimator: ClassifierMixin, features: NDArray[Any]) -> Probability:
        """What a fitted estimator says of rows."""

    def served(self, raw: NDArray[Any]) -> Probability:
        """What a predictor's raw outputs say of rows, before any decision."""

    def decision(self, frame: Frame, probability: Probability) -> Decision:
        """The decision that is best on rows, given their out-of-fold probabilities."""

    def measures(self, frame: Frame, probability: Probability, fold: NDArray[np.int64]) -> pd.DataFrame:
        """One row per fold, one column per measure, the criterion first.

        Args:
            frame: the development rows.
            probability: out-of-fold.
            fold: number of the fold that holds each row out, from 0, shape (rows,).
        """


class ByThreshold:
    """Of two classes: by the criterion at a threshold that the other folds chose."""

    def probability(self, estimator: ClassifierMixin, features: NDArray[Any]) -> Probability:
        """Of the positive class, shape (rows,)."""
        positive: Probability = estimator.predict_proba(features)[:, 1]
        return positive

    def served(self, raw: NDArray[Any]) -> Probability:
        """Of the positive class, shape (rows,)."""
        return np.asarray(raw[:, 0], dtype=np.float64)

    def decision(self, frame: Frame, probability: Probability) -> Threshold:
        """The threshold with the largest criterion."""
        return Threshold(threshold.choose(frame.target, probability, frame.problem.criterion))

    def measures(self, frame: Frame, probability: Probability, fold: NDArray[np.int64]) -> pd.DataFrame:
        """Those of `evaluation`."""
        criterion = frame.problem.criterion
        chosen = threshold.cross_fitted(frame.target, probability, fold, criterion)
        return pd.DataFrame(
            evaluation.measures(frame.target[rows], probability[rows], threshold, criterion)
            for rows, threshold in zip(_rows(fold), chosen, strict=True)
        ).rename_axis("fold")


class ByClass:
    """Of several classes, each row its most probable one: by the criterion's mean over them."""

    def probability(self, estimator: ClassifierMixin, features: NDArray[Any]) -> Probability:
        """Of each class, shape (rows, classes); where an estimator gives margins alone, their softmax."""
        if hasattr(estimator, "predict_proba"):
            return np.asarray(estimator.predict_proba(features), dtype=np.float64)
        return softmax(estimator.decision_function(features))

    def served(self, raw: NDArray[Any]) -> Probability:
        """Of each class, shape (rows, classes)."""
        return softmax(raw)

    def decision(self, frame: Frame, probability: Probability) -> MostProbable:
        """The most probable class, at the temperature with the smallest log loss."""
        return MostProbable(temperature.choose(frame.target, probability))

    def measures(self, frame: Frame, probability: Probability, fold: NDArray[np.int64]) -> pd.DataFrame:
        """Those of `multiclass`, each fold's probabilities tempered as the other folds chose."""
        criterion = frame.problem.criterion
        chosen = temperature.cross_fitted(frame.target, probability, fold)
        return pd.DataFrame(
            multiclass.measures(frame.target[rows], temperature.tempered(probability[rows], value), criterion)
            for rows, value in zip(_rows(fold), chosen, strict=True)
        ).rename_axis("fold")


def _rows(fold: NDArray[np.int64]) -> list[NDArray[np.bool_]]:
    return [fold == number for number in range(int(fold.max()) + 1)]


by_threshold, by_class = ByThreshold(), ByClass()
