"""Rows in, probabilities and labels out: the only place where a label is decided."""

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import xgboost as xgb


class Scores(NamedTuple):
    """Answers for a batch of rows.

    Attributes:
        probability: of the positive class, float32, shape (rows,).
        label: int64, 1 where `probability >= threshold`, shape (rows,).
    """

    probability: NDArray[np.float32]
    label: NDArray[np.int64]


def probabilities(booster: "xgb.Booster", features: NDArray[np.float32]) -> NDArray[np.float32]:
    """Probability of the positive class, float32 of shape (rows,), for float32 features of shape (rows, features)."""
    from tabserve.predictors.xgboost_call import predict  # noqa: PLC0415  XGBoost takes seconds to import; models over texts go without

    return predict(booster, features)


def label(probability: NDArray[np.float32], threshold: float) -> NDArray[np.int64]:
    """1 where the probability reaches the threshold, else 0; compared in float64, as every reader of the answer can."""
    return (probability.astype(np.float64) >= threshold).astype(np.int64)


def score(booster: "xgb.Booster", threshold: float, features: NDArray[np.float32]) -> Scores:
    """Probabilities and labels of a batch of rows."""
    probability = probabilities(booster, features)
    return Scores(probability, label(probability, threshold))


def most_probable(probability: NDArray[np.float64]) -> Scores:
    """The most probable class of each row, and the probability of every class, given these, shape (rows, classes)."""
    return Scores(probability.astype(np.float32), probability.argmax(axis=1))
