"""The rows of each fold, and what is measured on them."""

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tabserve.problem.criterion import IntArray

Rows = NDArray[np.bool_]
"""Which rows, shape (rows,)."""

Chosen = TypeVar("Chosen")


def held_out(fold: IntArray) -> list[Rows]:
    """The rows of each fold, given the number of the fold that holds each row out, from 0, shape (rows,)."""
    return [fold == number for number in range(int(fold.max()) + 1)]


def cross_fitted(fold: IntArray, choose: Callable[[Rows], Chosen]) -> list[Chosen]:
    """What is chosen for each fold on the rows of all others."""
    return [choose(~rows) for rows in held_out(fold)]


def measured(
    fold: IntArray, chosen: Sequence[Any] | NDArray[Any], measures: Callable[[Rows, Any], dict[str, float]]
) -> pd.DataFrame:
    """One row per fold, one column per measure, given what was chosen for each fold."""
    pairs = zip(held_out(fold), chosen, strict=True)
    return pd.DataFrame(measures(rows, value) for rows, value in pairs).rename_axis("fold")
