"""Which rows change where another model answers, and how far its answers are from the old ones, for each task."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tabserve.problem.problem import Problem
from tabserve.problem.task import Binary, Multiclass, Regression


class Changes(NamedTuple):
    """How a task tells changes.

    Attributes:
        same: what is said of a row that does not change.
        amount: what is apart.
        how: how each row changes, in words, or an empty text; given the problem, the old and the new answers.
        apart: how far both answers are apart, shape (rows,).
    """

    same: str
    amount: str
    how: Callable[[Problem, Any, Any], NDArray[np.object_]]
    apart: Callable[[Any, Any], NDArray[np.float64]]


def _labels(problem: Problem, old: Any, new: Any) -> NDArray[np.object_]:  # noqa: ANN401  Scores
    names = [["" if one == other else f"{one} becomes {other}" for other in problem.labels] for one in problem.labels]
    return np.asarray(np.array(names, np.object_)[old.label, new.label])


def _probabilities(old: Any, new: Any) -> NDArray[np.float64]:  # noqa: ANN401  Scores
    """Of several, that of the class whose probability differs most."""
    apart = np.abs(new.probability.astype(np.float64) - old.probability)
    return np.asarray(apart.reshape(len(apart), -1).max(axis=1))


def _intervals(_problem: Problem, old: Any, new: Any) -> NDArray[np.object_]:  # noqa: ANN401  Amounts
    above, below = new.prediction > old.high, new.prediction < old.low
    return np.select([above, below], ["above the old interval", "below the old interval"], "").astype(np.object_)


def _amounts(old: Any, new: Any) -> NDArray[np.float64]:  # noqa: ANN401  Amounts
    return np.asarray(np.abs(new.prediction.astype(np.float64) - old.prediction))


LABELS = Changes("same label", "probability", _labels, _probabilities)

CHANGES: Mapping[str, Changes] = {
    Binary.KIND: LABELS,
    Multiclass.KIND: LABELS,
    Regression.KIND: Changes("in the old interval", "amount", _intervals, _amounts),
}
"""By the kind of a task."""
