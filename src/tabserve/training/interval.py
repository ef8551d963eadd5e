"""Choose intervals that hold the true amount of nine rows in ten, from out-of-fold predictions.

The width depends on the prediction, as one width for all would be too narrow for the largest. In each bin of the
prediction the width is the quantile of the absolute residuals that split conformal prediction takes: of n residuals the
⌈0.9 (n + 1)⌉th smallest (Lei et al., Distribution-Free Predictive Inference for Regression, JASA 113, 2018; by bins:
Boström & Johansson, Mondrian Conformal Regressors, COPA 2020). Out-of-fold residuals take the place of residuals on a
calibration set (Barber et al., Predictive Inference with the Jackknife+, Annals of Statistics 49, 2021), so that no
rows need to be set aside.
"""

import math

import numpy as np

from tabserve.model.decision import COVERAGE, Amount, Amounts, bins
from tabserve.problem.criterion import FloatArray, IntArray
from tabserve.training import folds

MAX_BINS = 8
"""The largest number of bins of the prediction."""

MIN_ROWS = 30
"""The smallest number of rows in a bin; a quantile of fewer is uncertain."""

DEAREST = 0.9
"""The quantile of the predictions from which a row counts as among the dearest."""


def choose(target: FloatArray, prediction: FloatArray) -> Amount:
    """Choose the edges and the widths of the bins.

    Args:
        target: the true amounts, shape (rows,).
        prediction: out-of-fold, shape (rows,).
    """
    edges = _edges(prediction)
    number, residual = bins(edges, prediction), np.abs(target - prediction)
    widths = [_width(residual[number == index]) for index in range(len(edges) + 1)]
    return Amount(tuple(edges.tolist()), tuple(widths))


def cross_fitted(target: FloatArray, prediction: FloatArray, fold: IntArray) -> list[Amount]:
    """Edges and widths for each measured fold, chosen on its `folds.choosing_rows`."""
    return folds.cross_fitted(fold, lambda rows: choose(target[rows], prediction[rows]))


def coverage(target: FloatArray, amounts: Amounts) -> dict[str, float]:
    """Share of rows whose interval holds the true amount (all rows, and the dearest tenth), and the mean width."""
    held = (amounts.low <= target) & (target <= amounts.high)
    dearest = amounts.prediction >= np.quantile(amounts.prediction, DEAREST)
    return {
        "coverage": float(held.mean()),
        "coverage_dearest_tenth": float(held[dearest].mean()),
        "interval_width": float(np.mean(amounts.high.astype(np.float64) - amounts.low)),
    }


def _edges(prediction: FloatArray) -> FloatArray:
    """Quantiles of the prediction with at least `MIN_ROWS` rows between them; fewer if predictions repeat."""
    ordered, kept, start = np.sort(prediction), list[float](), 0
    for edge in np.unique(np.quantile(ordered, np.arange(1, MAX_BINS) / MAX_BINS)).tolist():
        end = int(np.searchsorted(ordered, edge))
        if end - start >= MIN_ROWS and len(ordered) - end >= MIN_ROWS:
            kept.append(edge)
            start = end
    return np.array(kept, np.float64)


def _width(residual: FloatArray) -> float:
    """The conformal quantile of the residuals; the largest residual if there are too few."""
    rank = min(len(residual), math.ceil(COVERAGE * (len(residual) + 1)))
    return float(np.partition(residual, rank - 1)[rank - 1])
