"""Stratified splits: development and hold-out rows, and folds; the same seed gives the same rows.

Where the problem has groups, no split parts the rows of one.
"""

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold, train_test_split

from tabserve.errors import DataError
from tabserve.frame import Frame


class Split(NamedTuple):
    """Development rows, for everything that learns or chooses, and hold-out rows, opened once."""

    development: Frame
    holdout: Frame


def hold_out(frame: Frame) -> Split:
    """Set the problem's hold-out share aside, stratified by target.

    Raises:
        DataError: a class has too few rows, or groups, for one in every fold and one in the hold-out.
    """
    problem = frame.problem
    found, counted = _smallest(frame)
    needed = math.ceil(max(problem.folds / (1 - problem.holdout), 1 / problem.holdout))
    if found < needed:
        raise DataError(
            f"The smallest class has {found} {counted}; {problem.folds} folds beside a hold-out of"
            f" {problem.holdout:.0%} need at least {needed}; use more {counted}."
        )
    if frame.group is not None:
        return _hold_out_groups(frame, frame.group)
    positions = np.arange(len(frame))
    development, holdout = train_test_split(
        positions, test_size=problem.holdout, stratify=frame.target, random_state=problem.seed
    )
    return Split(frame.take(development), frame.take(holdout))


def _smallest(frame: Frame) -> tuple[int, str]:
    """How many rows, or groups, there are of the class that has the fewest."""
    classes = range(len(frame.problem.labels))
    if frame.group is None:
        return min(int((frame.target == each).sum()) for each in classes), "rows"
    return min(len(set(frame.group[frame.target == each])) for each in classes), "groups"


def _hold_out_groups(frame: Frame, group: NDArray[np.object_]) -> Split:
    """The first, of as many folds as make about the hold-out's share, that has every class and leaves enough of it."""
    problem = frame.problem
    splitter = StratifiedGroupKFold(max(2, round(1 / problem.holdout)), shuffle=True, random_state=problem.seed)
    for development, holdout in splitter.split(group, frame.target, group):
        split = Split(frame.take(development), frame.take(holdout))
        if _smallest(split.holdout)[0] >= 1 and _smallest(split.development)[0] >= problem.folds:
            return split
    raise DataError(
        f"Whole groups make no hold-out of about {problem.holdout:.0%} that has every class and leaves"
        f" {problem.folds} groups of it, as few groups have most rows; use more groups."
    )


def fold_numbers(frame: Frame) -> NDArray[np.int64]:
    """The number of the fold that holds each row out, from 0; stratified by target, shape (rows,)."""
    kind = StratifiedKFold if frame.group is None else StratifiedGroupKFold
    splitter = kind(frame.problem.folds, shuffle=True, random_state=frame.problem.seed)
    number = np.empty(len(frame), dtype=np.int64)
    for fold, (_, held_out) in enumerate(splitter.split(frame.features, frame.target, frame.group)):
        number[held_out] = fold
    return number


def subset(frame: Frame, rows: int) -> Frame:
    """At most `rows` rows in their order, drawn stratified by target; the whole frame when it has no more."""
    if rows >= len(frame):
        return frame
    drawn = np.random.default_rng(frame.problem.seed).permutation(len(frame))
    by_class = drawn[np.argsort(frame.target[drawn], kind="stable")]
    return frame.take(np.sort(by_class[(2 * np.arange(rows) + 1) * len(frame) // (2 * rows)]))
