"""The rows of each fold, those that it may learn from, and what is measured on it.

Each row has a number: that of the fold that holds it out, from 0. Where folds go forward in time, the earliest rows
have `NEVER`, and a fold knows the rows before it alone: its models are fitted on them, and its decision is chosen on
those of them that have out-of-fold predictions. Fold 0 has none before it, so it is predicted and not measured.
"""

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tabserve.problem.criterion import IntArray

NOT_HELD_OUT = -1
"""The fold of rows that none holds out, and that have no out-of-fold prediction."""

Rows = NDArray[np.bool_]
"""Which rows, shape (rows,)."""

Choice = TypeVar("Choice")


def count(fold: IntArray) -> int:
    """How many folds are predicted."""
    return int(fold.max()) + 1


def training_rows(fold: IntArray, number: int) -> Rows:
    """The rows that the models of a fold are fitted on: all others or, where folds go forward in time, earlier ones."""
    return np.asarray(fold < number if (fold == NOT_HELD_OUT).any() else fold != number)


def choosing_rows(fold: IntArray, number: int) -> Rows:
    """The rows that the decision of a fold is chosen on: those of them that have out-of-fold predictions."""
    return np.asarray(training_rows(fold, number) & (fold != NOT_HELD_OUT))


def measured_folds(fold: IntArray) -> list[int]:
    """The folds that a decision can be chosen for: all or, where they go forward in time, all but the first."""
    return [number for number in range(count(fold)) if choosing_rows(fold, number).any()]


def cross_fitted(fold: IntArray, choose: Callable[[Rows], Choice]) -> list[Choice]:
    """What is chosen for each measured fold."""
    return [choose(choosing_rows(fold, number)) for number in measured_folds(fold)]


def measure_folds(
    fold: IntArray, chosen: Sequence[Any] | NDArray[Any], measures: Callable[[Rows, Any], dict[str, float]]
) -> pd.DataFrame:
    """One row per measured fold, one column per measure, given what was chosen for each."""
    numbers = measured_folds(fold)
    rows = [measures(fold == number, value) for number, value in zip(numbers, chosen, strict=True)]
    return pd.DataFrame(rows, pd.Index(numbers, name="fold"))
