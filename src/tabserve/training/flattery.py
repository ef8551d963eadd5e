"""Measure how far random folds flatter a candidate, against folds by group or forward in time."""

from dataclasses import replace
from typing import NamedTuple

from tabserve.errors import DataError
from tabserve.table.frame import Frame
from tabserve.training.candidate import Candidate
from tabserve.training.selection import select
from tabserve.training.split import hold_out, subset

ROWS = 20_000
"""The largest number of rows to measure on."""


class Flattery(NamedTuple):
    """The mean of one measure over folds, by random folds and by honest ones.

    Attributes:
        measure: its name.
        random: by the folds of a problem without group and time.
        honest: by the folds of the problem with one of them.
    """

    measure: str
    random: float
    honest: float


def flattery(frame: Frame, candidate: Candidate) -> Flattery | None:
    """Compare the folds of a problem with group or time to those without.

    Args:
        frame: development rows, of a problem with a group or a time.
        candidate: measured by both kinds of folds.

    Returns:
        None if whole groups, or moments, make no folds.
    """
    try:
        rows = hold_out(subset(frame, ROWS)).development
        measure, honest = _mean(rows, candidate)
    except DataError:
        return None
    problem = replace(rows.problem, group=None, time=None)
    _, random = _mean(replace(rows, problem=problem, group=None, moment=None), candidate)
    return Flattery(measure, random, honest)


def _mean(frame: Frame, candidate: Candidate) -> tuple[str, float]:
    """The first measure of the candidate, and its mean over folds."""
    measures = select(frame, [candidate]).outcomes[candidate.name].measures
    return str(measures.columns[0]), float(measures.iloc[:, 0].mean())
