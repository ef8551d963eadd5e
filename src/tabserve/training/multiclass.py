"""How good the most probable class is, among several, and the probabilities beside it."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.metrics import confusion_matrix, log_loss

from tabserve.problem.criterion import Counts, Criterion
from tabserve.training.bootstrap import Interval, every_class, intervals


def counts(target: NDArray[np.int8], probability: NDArray[np.floating[Any]]) -> Counts:
    """What is right and wrong when each row gets its most probable class; one entry per class, against all others."""
    matrix = confusion(target, probability)
    right = np.diag(matrix)
    false_positive, false_negative = matrix.sum(axis=0) - right, matrix.sum(axis=1) - right
    return Counts(right, false_positive, false_negative, len(target) - right - false_positive - false_negative)


def confusion(target: NDArray[np.int8], probability: NDArray[np.floating[Any]]) -> NDArray[np.int64]:
    """Rows of each class that get each class, shape (true, predicted)."""
    classes = range(probability.shape[1])
    return np.asarray(confusion_matrix(target, probability.argmax(axis=1), labels=list(classes)))


def measures(
    target: NDArray[np.int8], probability: NDArray[np.floating[Any]], criterion: Criterion
) -> dict[str, float]:
    """Every measure of one set of rows, by name.

    Args:
        target: the place of each row's class, shape (rows,).
        probability: of each class, shape (rows, classes).
        criterion: its mean over the classes is first in the result, as `macro_` and its name.
    """
    found = counts(target, probability)
    return {
        f"macro_{criterion.name}": float(criterion(found).mean()),
        "accuracy": float(found.true_positive.sum() / len(target)),
        "log_loss": float(log_loss(target, probability, labels=range(probability.shape[1]))),
    }


def evaluate(
    target: NDArray[np.int8], probability: NDArray[np.floating[Any]], criterion: Criterion, seed: int = 0
) -> dict[str, Interval]:
    """Every measure with its interval over rows drawn again with replacement; the arguments are those of `measures`."""
    return intervals(
        len(target), lambda rows: measures(target[rows], probability[rows], criterion), seed, usable=every_class(target)
    )


def by_class(target: NDArray[np.int8], probability: NDArray[np.floating[Any]], labels: Sequence[str]) -> pd.DataFrame:
    """Precision, recall, F1 and number of rows of each class, by its label."""
    found = counts(target, probability)
    flagged, positive = found.true_positive + found.false_positive, found.true_positive + found.false_negative
    return pd.DataFrame(
        {
            "precision": found.true_positive / np.maximum(flagged, 1),
            "recall": found.true_positive / np.maximum(positive, 1),
            "f1": 2 * found.true_positive / np.maximum(flagged + positive, 1),
            "rows": positive,
        },
        index=pd.Index(labels, name="class"),
    )
