"""How good probabilities and a threshold are, on rows that had no part in either."""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.metrics import average_precision_score, brier_score_loss, log_loss, roc_auc_score

from tabserve.threshold import F1, Counts, Criterion

CONFIDENCE = 0.95

RESAMPLES = 300


class Interval(NamedTuple):
    """A measure with its bootstrap interval (percentiles, 95 %; Efron & Tibshirani 1993)."""

    value: float
    low: float
    high: float


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
    hits, flagged = int(counts.true_positive), int(counts.true_positive + counts.false_positive)
    return {
        criterion.name: float(criterion(counts)),
        "f1_at_half": float(F1()(Counts.at(0.5, target, values))),
        "precision": hits / max(flagged, 1),
        "recall": hits / max(int(target.sum()), 1),
        "flagged": flagged / len(values),
        "average_precision": float(average_precision_score(target, values)),
        "roc_auc": float(roc_auc_score(target, values)),
        "log_loss": float(log_loss(target, values, labels=[0, 1])),
        "brier": float(brier_score_loss(target, values)),
    }


def bootstrap(
    target: NDArray[np.int8], probability: ArrayLike, threshold: float, criterion: Criterion, seed: int = 0
) -> dict[str, Interval]:
    """Every measure with its interval over rows drawn again with replacement; the arguments are those of `measures`."""
    values, rng = np.asarray(probability, dtype=np.float64), np.random.default_rng(seed)
    drawn: list[list[float]] = []
    while len(drawn) < RESAMPLES:
        rows = rng.integers(len(values), size=len(values))
        if 0 < target[rows].sum() < len(rows):
            drawn.append(list(measures(target[rows], values[rows], threshold, criterion).values()))
    tail = (1 - CONFIDENCE) / 2
    bounds = np.quantile(drawn, [tail, 1 - tail], axis=0)
    found = measures(target, values, threshold, criterion)
    return {
        name: Interval(value, float(low), float(high))
        for (name, value), low, high in zip(found.items(), *bounds, strict=True)
    }
