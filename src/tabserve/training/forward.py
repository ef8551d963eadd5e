"""Split rows into blocks that follow each other in time; the rows of one moment stay in one block."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from tabserve.errors import DataError

Moments = NDArray[np.datetime64]
"""The time of each row, shape (rows,)."""


def block_numbers(moment: Moments, shares: Sequence[float]) -> NDArray[np.int64]:
    """The number of the block that holds each row, from 0 for the earliest, shape (rows,).

    Args:
        moment: of each row, in any order.
        shares: wanted share of the rows in each block; approximate, as the rows of a moment stay together.

    Raises:
        DataError: there are too few different moments for so many blocks, or one of them has too many of the rows.
    """
    known, rows_before = np.unique(np.sort(moment), return_index=True)
    cuts = np.cumsum(shares)[:-1] * len(moment)
    first = {int(np.abs(rows_before[1:] - cut).argmin()) + 1 for cut in cuts} if len(known) > 1 else set[int]()
    if len(first) < len(cuts):
        raise DataError(
            f"{len(known):,} different moments make no {len(shares)} blocks of rows one after another, as the rows of a"
            " moment stay together; use more rows, finer times, or fewer folds."
        )
    return np.searchsorted(known[sorted(first)], moment, side="right")


def period(moment: Moments) -> list[str]:
    """The first and the last moment, in ISO 8601."""
    return [str(moment.min()), str(moment.max())]


def first_missing_class(target: NDArray[np.int64], block: NDArray[np.int64], classes: int) -> tuple[int, int] | None:
    """The first block without a row of some class, and that class; None if every block has all `classes` classes."""
    pairs = {*zip(block.tolist(), target.tolist(), strict=True)}
    return next((pair for pair in np.ndindex(int(block.max()) + 1, classes) if pair not in pairs), None)
