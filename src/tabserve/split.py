"""Stratified splits: development and hold-out rows, and folds; the same seed gives the same rows."""

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from sklearn.model_selection import StratifiedKFold, train_test_split

from tabserve.errors import DataError
from tabserve.frame import Frame


class Split(NamedTuple):
    """Development rows, for everything that learns or chooses, and hold-out rows, opened once."""

    development: Frame
    holdout: Frame


def hold_out(frame: Frame) -> Split:
    """Set the problem's hold-out share aside, stratified by target.

    Raises:
        DataError: a class has too few rows for one in every fold and one in the hold-out.
    """
    problem = frame.problem
    found = int(np.bincount(frame.target, minlength=2).min())
    needed = math.ceil(max(problem.folds / (1 - problem.holdout), 1 / problem.holdout))
    if found < needed:
        raise DataError(
            f"The smaller class has {found} rows; {problem.folds} folds beside a hold-out of {problem.holdout:.0%} need"
            f" at least {needed}; collect more, or use fewer folds."
        )
    positions = np.arange(len(frame))
    development, holdout = train_test_split(
        positions, test_size=problem.holdout, stratify=frame.target, random_state=problem.seed
    )
    return Split(frame.take(development), frame.take(holdout))


def fold_numbers(frame: Frame) -> NDArray[np.int64]:
    """The number of the fold that holds each row out, from 0; stratified by target, shape (rows,)."""
    splitter = StratifiedKFold(frame.problem.folds, shuffle=True, random_state=frame.problem.seed)
    number = np.empty(len(frame), dtype=np.int64)
    for fold, (_, held_out) in enumerate(splitter.split(frame.features, frame.target)):
        number[held_out] = fold
    return number


def subset(frame: Frame, rows: int) -> Frame:
    """At most `rows` rows in their order, drawn stratified by target; the whole frame when it has no more."""
    if rows >= len(frame):
        return frame
    drawn = np.random.default_rng(frame.problem.seed).permutation(len(frame))
    by_class = drawn[np.argsort(frame.target[drawn], kind="stable")]
    return frame.take(np.sort(by_class[(2 * np.arange(rows) + 1) * len(frame) // (2 * rows)]))
