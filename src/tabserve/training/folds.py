"""The rows that each fold is fitted on, chooses its decision on, and is measured on.

Each row has the number of the fold that holds it out, from 0. If folds go forward in time, the earliest rows have
`NOT_HELD_OUT`, and a fold uses earlier rows only: its models are fitted on them, and its decision is chosen on the
later half of the folds before it. There are none before fold 0, so it is predicted but not measured. The earlier half
takes no part, as its models were fitted on few rows, of few seasons: by their errors an interval would be too wide.
"""

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tabserve.problem.criterion import IntArray

NOT_HELD_OUT = -1
"""The fold number of rows that no fold holds out; they have no out-of-fold prediction."""

Rows = NDArray[np.bool_]
"""A mask of rows, shape (rows,)."""

Choice = TypeVar("Choice")


def count(fold: IntArray) -> int:
    """The number of folds that are predicted."""
    return int(fold.max()) + 1


def training_rows(fold: IntArray, number: int) -> Rows:
    """The rows that the models of a fold are fitted on: all others or, if folds go forward in time, earlier rows."""
    return np.asarray(fold < number if _go_forward(fold) else fold != number)


def choosing_rows(fold: IntArray, number: int) -> Rows:
    """The rows that the decision of a fold is chosen on: its training rows or, forward in time, the later folds'."""
    earliest = number // 2 if _go_forward(fold) else 0
    return np.asarray(training_rows(fold, number) & (fold >= earliest))


def deciding_rows(fold: IntArray) -> Rows:
    """The rows that the decision of a model is chosen on that is fitted on all rows."""
    return choosing_rows(fold, count(fold))


def _go_forward(fold: IntArray) -> bool:
    """Whether folds go forward in time."""
    return bool((fold == NOT_HELD_OUT).any())


def measured_folds(fold: IntArray) -> list[int]:
    """The folds that a decision can be chosen for: all or, if they go forward in time, all but the first."""
    return [number for number in range(count(fold)) if choosing_rows(fold, number).any()]


def cross_fitted(fold: IntArray, choose: Callable[[Rows], Choice]) -> list[Choice]:
    """Choose for each measured fold on its `choosing_rows`."""
    return [choose(choosing_rows(fold, number)) for number in measured_folds(fold)]


def measure_folds(
    fold: IntArray, choices: Sequence[Any] | NDArray[Any], measures: Callable[[Rows, Any], dict[str, float]]
) -> pd.DataFrame:
    """One row per measured fold, one column per measure, given the choice for each fold."""
    numbers = measured_folds(fold)
    rows = [measures(fold == number, choice) for number, choice in zip(numbers, choices, strict=True)]
    return pd.DataFrame(rows, pd.Index(numbers, name="fold"))
