"""How good probabilities and a threshold are, on rows that had no part in either."""

from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.metrics import average_precision_score, brier_score_loss, log_loss, roc_auc_score

from tabserve.problem.criterion import F1, Counts, Criterion

CONFIDENCE = 0.95

RESAMPLES = 300


class Interval(NamedTuple):
    """A measure with its bootstrap interval (percentiles, 95 %; Efron & Tibshirani 1993)."""

    value: float
    low: float
    high: float


def decisions(target: NDArray[np.int8], probability: NDArray[np.float64], threshold: float) -> dict[str, float]:
    """What a threshold makes of rows: precision and recall (0 where nothing is flagged, or positive), flagged share."""
    counts = Counts.at(threshold, target, probability)
    hits, flagged = int(counts.true_positive), int(counts.true_positive + counts.false_positive)
    return {
        "precision": hits / max(flagged, 1),
        "recall": hits / max(int(target.sum()), 1),
        "flagged": flagged / len(target),
    }


def curve(target: NDArray[np.int8], probability: ArrayLike) -> dict[str, dict[str, list[float]]]:
    """The decisions at every hundredth from 0 to 1, as the manifest's metrics keep them."""
    values, cuts = np.asarray(probability, dtype=np.float64), [cut / 100 for cut in range(101)]
    points = [decisions(target, values, cut) for cut in cuts]
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
    return {
        criterion.name: float(criterion(Counts.at(threshold, target, values))),
        "f1_at_half": float(F1()(Counts.at(0.5, target, values))),
        **decisions(target, values, threshold),
        "average_precision": float(average_precision_score(target, values)),
        "roc_auc": float(roc_auc_score(target, values)),
        "log_loss": float(log_loss(target, values, labels=[0, 1])),
        "brier": float(brier_score_loss(target, values)),
    }


def bootstrap(
    target: NDArray[np.int8], probability: ArrayLike, threshold: float, criterion: Criterion, seed: int = 0
) -> dict[str, Interval]:
    """Every measure with its interval over rows drawn again with replacement; the arguments are those of `measures`."""
    values = np.asarray(probability, dtype=np.float64)
    return intervals(target, lambda rows: measures(target[rows], values[rows], threshold, criterion), seed)


def intervals(
    target: NDArray[np.int8], measured: Callable[[NDArray[np.int64]], Mapping[str, float]], seed: int = 0
) -> dict[str, Interval]:
    """What is measured on all rows, by name, with its interval over rows drawn again with replacement.

    A difference that is measured within a draw is a paired one: both of its sides see the same rows.

    Args:
        target: the place of each row's class, shape (rows,); draws without one of the classes are drawn again.
        measured: from the positions of rows to what is measured on these.
        seed: of the draws; the same seed and target give the same draws, whatever is measured.
    """
    rng, drawn, classes = np.random.default_rng(seed), list[list[float]](), int(target.max()) + 1
    while len(drawn) < RESAMPLES:
        rows = rng.integers(len(target), size=len(target))
        if np.bincount(target[rows], minlength=classes).all():
            drawn.append(list(measured(rows).values()))
    tail = (1 - CONFIDENCE) / 2
    bounds = np.quantile(drawn, [tail, 1 - tail], axis=0)
    found = measured(np.arange(len(target)))
    return {
        name: Interval(value, float(low), float(high))
        for (name, value), low, high in zip(found.items(), *bounds, strict=True)
    }
