"""Refuse a frame that is not to be learned from as a whole, though each of its rows is."""

from collections import Counter

import numpy as np
from numpy.typing import NDArray

from tabserve.errors import DataError
from tabserve.table.frame import Frame


def refuse_repeated(name: str, ids: NDArray[np.object_]) -> None:
    """Refuse ids that are not unique."""
    if len(set(ids)) < len(ids):
        first, times = Counter(ids).most_common(1)[0]
        raise DataError(f"{name} has the id {first!r} {times} times; every row needs an id of its own.")


def refuse_empty(table: str, frame: Frame) -> None:
    """Refuse a column of numbers that is empty throughout; the encoder refuses empty columns of other kinds.

    Raises:
        DataError: a column is empty; the message names it.
    """
    numbers = {column.name for column in frame.problem.columns if column.missing and not column.as_text}
    for index, name in enumerate(frame.encoder.names):
        column = frame.features[:, index]
        if name in numbers and np.isnan(column[0]) and np.isnan(column).all():
            raise DataError(f"{table}: Column {name!r} is empty throughout; leave it out.")


def refuse_one_target(table: str, frame: Frame) -> None:
    """Refuse rows that all have the same target.

    Raises:
        DataError: all rows have the same target; the message names it.
    """
    if not len(targets := np.unique(frame.target)):
        raise DataError(f"{table} has no row with a target in column {frame.problem.target!r}.")
    if len(targets) == 1:
        only, name = frame.problem.task.spelled(targets[0]), frame.problem.target
        raise DataError(f"{table} has only {only} in column {name!r}; a model needs rows of different targets.")


def mixed_moments(table: str) -> DataError:
    """The error of a table some of whose moments have a time."""
    return DataError(f"{table} has dates with and without a time in the column that it is split by; write all alike.")
