"""Measure how well each column predicts the target by itself, to find one that gives the target away.

Means of the target in narrow bins show that most columns explain next to nothing; only of the others a booster, which
takes about ten times as long, tells how much they explain.
"""

import numpy as np
import xgboost as xgb
from numpy.typing import NDArray

from tabserve.table.frame import Frame
from tabserve.training.split import subset

ROWS = 20_000
"""The largest number of rows to measure on: a column that gives the target away does so in any of them."""

ROUNDS, DEPTH, RATE = 40, 3, 0.3
"""A small booster: one column needs no more."""

BIN_ROWS = 10
"""The number of rows in a bin, more if values repeat."""

WORTH_A_BOOSTER = 0.05
"""The share explained by the means of bins above which a booster measures the column."""

MIN_ROWS = 40
"""The smallest number of rows to measure on; of fewer a column may explain the target by chance."""


def explained_shares(frame: Frame) -> dict[str, float]:
    """The share of the target's variance that each column explains by itself, by column name.

    It is R² on one half of the rows of what was fitted on the other half; for classes, of their indicators.

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
        columns = np.flatnonzero(sources == name)
        features, types = rows.features[:, columns], [rows.encoder.types[column] for column in columns]
        share = max(_share_by_means(cells, actual, half) for cells in features.T)
        shares[name] = _share_by_booster(features, types, actual, half) if share > WORTH_A_BOOSTER else share
    return shares


def _indicators(frame: Frame) -> NDArray[np.float64]:
    """The amounts, or an indicator of each class; shape (rows, outputs)."""
    if labels := len(frame.problem.labels):
        return np.asarray(np.eye(labels)[frame.target])
    return np.asarray(frame.target, np.float64)[:, np.newaxis]


def _share_by_means(cells: NDArray[np.float32], actual: NDArray[np.float64], half: NDArray[np.bool_]) -> float:
    """What the mean of each bin of one feature explains; missing cells have a bin of their own."""
    known = np.sort(cells[half & ~np.isnan(cells)])
    edges = np.append(np.unique(known[::BIN_ROWS]), np.inf)
    number = np.searchsorted(edges, cells, side="right")  # NaN comes after infinity
    order = np.argsort(number[half], kind="stable")
    present, first, rows = np.unique(number[half][order], return_index=True, return_counts=True)
    means = np.tile(actual[half].mean(axis=0), (len(edges) + 1, 1))
    means[present] = np.add.reduceat(actual[half][order], first) / rows[:, np.newaxis]
    return _r2(actual[~half], means[number[~half]])


def _share_by_booster(
    features: NDArray[np.float32], types: list[str], actual: NDArray[np.float64], half: NDArray[np.bool_]
) -> float:
    model = xgb.XGBRegressor(
        n_estimators=ROUNDS, max_depth=DEPTH, learning_rate=RATE, n_jobs=1, enable_categorical=True, feature_types=types
    )
    predicted = model.fit(features[half], actual[half]).predict(features[~half])
    return _r2(actual[~half], predicted.reshape(-1, actual.shape[1]))


def _r2(actual: NDArray[np.float64], predicted: NDArray[np.float64]) -> float:
    """R² over all outputs; 0 if the target is the same in all rows."""
    spread = np.sum((actual - actual.mean(axis=0)) ** 2)
    return float(1 - np.sum((actual - predicted) ** 2) / spread) if spread else 0.0
