"""Measure how well each column predicts the target by itself, to find one that gives the target away."""

import numpy as np
import xgboost as xgb
from numpy.typing import NDArray

from tabserve.table.frame import Frame
from tabserve.training.split import subset

ROWS = 20_000
"""The largest number of rows to measure on: a column that gives the target away does so in any of them."""

ROUNDS, DEPTH, RATE = 40, 3, 0.3
"""A small booster: one column needs no more."""

MIN_ROWS = 40
"""The smallest number of rows to measure on; of fewer a column may explain the target by chance."""


def explained_shares(frame: Frame) -> dict[str, float]:
    """The share of the target's variance that each column explains by itself, by column name.

    It is R² on one half of the rows of a booster that was fitted on the other half; for classes, of their indicators.

    Args:
        frame: the development rows; columns of text, which have no features of their own, have no share.
    """
    if not frame.encoder.encodings or len(frame) < MIN_ROWS:
        return {}
    rows = subset(frame, ROWS)
    actual, sources = _indicators(rows), np.array(rows.encoder.sources)
    half = np.random.default_rng(frame.problem.seed).permutation(len(rows)) % 2 == 0
    shares = {}
    for name in rows.problem.features:
        features = np.flatnonzero(sources == name)
        types = [rows.encoder.types[feature] for feature in features]
        shares[name] = _explained_share(rows.features[:, features], types, actual, half)
    return shares


def _indicators(frame: Frame) -> NDArray[np.float64]:
    """The amounts, or an indicator of each class; shape (rows, outputs)."""
    if labels := len(frame.problem.labels):
        return np.asarray(np.eye(labels)[frame.target])
    return np.asarray(frame.target, np.float64)[:, np.newaxis]


def _explained_share(
    features: NDArray[np.float32], types: list[str], actual: NDArray[np.float64], half: NDArray[np.bool_]
) -> float:
    model = xgb.XGBRegressor(
        n_estimators=ROUNDS, max_depth=DEPTH, learning_rate=RATE, n_jobs=1, enable_categorical=True, feature_types=types
    )
    predicted = model.fit(features[half], actual[half]).predict(features[~half]).reshape(-1, actual.shape[1])
    missed = np.sum((actual[~half] - predicted) ** 2)
    spread = np.sum((actual[~half] - actual[~half].mean(axis=0)) ** 2)
    return float(1 - missed / spread) if spread else 0.0
