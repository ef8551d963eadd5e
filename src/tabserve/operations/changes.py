"""How predictions of two models differ, for each task: which rows change, and by how much."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tabserve.problem.problem import Problem
from tabserve.problem.task import Binary, Multiclass, Regression


class Changes(NamedTuple):
    """How the changes of a task are named and measured.

    Attributes:
        unchanged: label of rows that do not change.
        quantity: name of what the distances measure.
        kinds: words for each row's change, empty if unchanged; takes the problem, the old and the new answers.
        distances: the distance of each row's old and new answers, shape (rows,).
    """

    unchanged: str
    quantity: str
    kinds: Callable[[Problem, Any, Any], NDArray[np.object_]]
    distances: Callable[[Any, Any], NDArray[np.float64]]


def _labels(problem: Problem, old: Any, new: Any) -> NDArray[np.object_]:  # noqa: ANN401  Scores
    kinds = [["" if old == new else f"{old} becomes {new}" for new in problem.labels] for old in problem.labels]
    return np.asarray(np.array(kinds, np.object_)[old.label, new.label])


def _probabilities(old: Any, new: Any) -> NDArray[np.float64]:  # noqa: ANN401  Scores
    """The largest difference over the classes."""
    distances = np.abs(new.probability.astype(np.float64) - old.probability)
    return np.asarray(distances.reshape(len(distances), -1).max(axis=1))


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
"""Changes by kind of task."""
