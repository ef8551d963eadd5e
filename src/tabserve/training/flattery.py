"""Measure how far random folds flatter a candidate, against folds by group or forward in time."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from tabserve.errors import DataError, UsageError
from tabserve.table.frame import Frame
from tabserve.training.candidate import Candidate
from tabserve.training.selection import select
from tabserve.training.split import hold_out, subset

ROWS = 20_000
"""The largest number of rows to measure on."""

Quick = Callable[[Frame], Candidate]
"""Makes a candidate that is soon fitted on these rows."""


class Flattery(NamedTuple):
    """The mean of one measure over folds, by random folds and by honest ones.

    Attributes:
        candidate: the name of the candidate that was measured.
        measure: the name of the measure.
        random: by random folds.
        honest: by folds by group, or forward in time.
    """

    candidate: str
    measure: str
    random: float
    honest: float


def flattery(random: Frame, honest: Frame, quick: Quick) -> Flattery | None:
    """Compare the folds of two problems on the same rows.

    Args:
        random: rows of a problem without group and time.
        honest: rows, all of which are among the others, of a problem with a group or a time.
        quick: makes the candidate for either; raises a UsageError if none learns from such columns.

    Returns:
        None if whole groups, or moments, make no folds, or if there is no candidate.
    """
    try:
        rows = hold_out(subset(honest, ROWS)).development
        name, measure, reached = _mean(rows, quick)
    except (DataError, UsageError):
        return None
    same = random.take(np.flatnonzero(np.isin(random.ids, rows.ids)))
    return Flattery(name, measure, _mean(same, quick)[2], reached)


def _mean(frame: Frame, quick: Quick) -> tuple[str, str, float]:
    """The candidate's name, its first measure, and the mean of that over folds."""
    candidate = quick(frame)
    measures = select(frame, [candidate]).outcomes[candidate.name].measures
    return candidate.name, str(measures.columns[0]), float(measures.iloc[:, 0].mean())
