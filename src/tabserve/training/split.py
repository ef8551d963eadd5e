"""Development and hold-out rows, and folds, stratified where there are classes; the same seed gives the same rows.

Where the problem has groups, no split parts the rows of one. Large groups then make other shares than those asked for,
which is said, or refused.
"""

import logging
import math
from collections import Counter
from collections.abc import Sequence
from fractions import Fraction
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold, train_test_split

from tabserve.errors import DataError
from tabserve.problem.problem import Problem
from tabserve.table.frame import Frame
from tabserve.training.task_training import training_of

OFF, TOO_FAR = 0.25, 0.5
"""How far a share of the rows is from the one asked for, as a part of that, when it is said, and when it is refused."""

MOST_PARTS = 10
"""Equal parts of whole groups, some of which are held out; more only for a share that is smaller than one of them."""

log = logging.getLogger(__name__)


class Split(NamedTuple):
    """Development rows, for everything that learns or chooses, and hold-out rows, opened once."""

    development: Frame
    holdout: Frame


def hold_out(frame: Frame) -> Split:
    """Set the problem's hold-out share aside, stratified by class.

    Raises:
        DataError: a class, or the table, has too few rows, or groups, for one in every fold and one in the hold-out;
            or whole groups make no hold-out of about this share.
    """
    problem = frame.problem
    found, counted = _smallest(frame)
    needed = math.ceil(max(problem.folds / (1 - problem.holdout), 1 / problem.holdout))
    if found < needed:
        raise DataError(
            f"{training_of(problem).SCARCE} has {found} {counted}; {problem.folds} folds beside a hold-out of"
            f" {problem.holdout:.0%} need at least {needed}; use more {counted}."
        )
    if frame.group is not None:
        return _hold_out_groups(frame, frame.group)
    positions = np.arange(len(frame))
    development, holdout = train_test_split(
        positions, test_size=problem.holdout, stratify=_strata(frame), random_state=problem.seed
    )
    return _split(frame, development, holdout)


def _split(frame: Frame, development: NDArray[np.int64], holdout: NDArray[np.int64]) -> Split:
    """The rows at these positions, both encoded by the levels that occur in the development rows."""
    developed = narrowed(frame.take(development))
    return Split(developed, frame.take(holdout).encoded_by(developed.encoder))


def narrowed(frame: Frame) -> Frame:
    """The same rows, whose encoder knows only the levels that occur in them; the same frame without categories."""
    if not any(frame.encoder.levels):
        return frame
    return frame.encoded_by(frame.encoder.narrowed(frame.features))


def _smallest(frame: Frame) -> tuple[int, str]:
    """How many rows, or groups, there are of the class that has the fewest; of all, where there are no classes."""
    strata, counted = _strata(frame), "rows"
    if frame.group is not None:
        pairs = {*zip(frame.group.tolist(), strata.tolist(), strict=True)}
        strata, counted = np.array([stratum for _, stratum in pairs], np.int64), "groups"
    return int(np.bincount(strata, minlength=max(1, len(frame.problem.labels))).min()), counted


def _strata(frame: Frame) -> NDArray[np.int64]:
    return training_of(frame.problem).strata(frame.target)


def _hold_out_groups(frame: Frame, group: NDArray[np.object_]) -> Split:
    """Of parts, or some of them together, the nearest to the share asked for that has every class and leaves enough."""
    problem = frame.problem
    held_out, parts = _as_parts(problem.holdout, _smallest(frame)[0])
    number = _numbered(StratifiedGroupKFold(parts, shuffle=True, random_state=problem.seed), frame)
    sides = [(number - first) % parts < held_out for first in range(parts)]
    for side in sorted(sides, key=lambda side: abs(float(side.mean()) - problem.holdout)):
        development, holdout = np.flatnonzero(~side), np.flatnonzero(side)
        split = _split(frame, development, holdout)
        if _smallest(split.holdout)[0] >= 1 and _smallest(split.development)[0] >= problem.folds:
            _check_share("a hold-out", len(holdout) / len(frame), problem.holdout, group)
            return split
    raise DataError(
        f"Whole groups make no hold-out of about {problem.holdout:.0%} that has every class and leaves"
        f" {problem.folds} groups of it, as few groups have most rows; use more groups."
    )


def _as_parts(share: float, groups: int) -> tuple[int, int]:
    """A share as so many of so many equal parts, of which no more are made than so many groups can fill."""
    fewest = round(1 / min(share, 1 - share))
    return Fraction(share).limit_denominator(max(fewest, min(MOST_PARTS, groups))).as_integer_ratio()


def fold_numbers(frame: Frame) -> NDArray[np.int64]:
    """The number of the fold that holds each row out, from 0; stratified by class, shape (rows,).

    Raises:
        DataError: whole groups make no folds of about the same size.
    """
    kind = StratifiedKFold if frame.group is None else StratifiedGroupKFold
    number = _numbered(kind(frame.problem.folds, shuffle=True, random_state=frame.problem.seed), frame)
    if frame.group is not None:
        asked, shares = 1 / frame.problem.folds, np.bincount(number, minlength=frame.problem.folds) / len(frame)
        _check_share("a fold", float(shares[np.abs(shares - asked).argmax()]), asked, frame.group)
    return number


def _numbered(splitter: StratifiedKFold | StratifiedGroupKFold, frame: Frame) -> NDArray[np.int64]:
    number = np.empty(len(frame), dtype=np.int64)
    for fold, (_, held_out) in enumerate(splitter.split(frame.features, _strata(frame), frame.group)):
        number[held_out] = fold
    return number


def _check_share(part: str, found: float, asked: float, group: NDArray[np.object_]) -> None:
    """Say that whole groups make a part of the rows other than was asked for, or refuse it."""
    if not _is_off(found, asked):
        return
    largest = Counter(group).most_common(1)[0][1] / len(group)
    sentence = (
        f"Whole groups make {part} of {found:.1%} of the rows in place of {asked:.1%}, as the largest group has"
        f" {largest:.1%} of them"
    )
    if _is_off(found, asked, TOO_FAR):
        raise DataError(f"{sentence}; use more groups, or divide the largest.")
    log.warning("%s.", sentence)


def _is_off(found: float, asked: float, most: float = OFF) -> bool:
    return abs(found - asked) > most * asked


class Described(NamedTuple):
    """How a split is told: the share that was held out, and the folds of the rest."""

    held_out: str
    folds: str


def described(problem: Problem, rows: int, folds: Sequence[int]) -> Described:
    """A split of so many rows that leaves folds of these; where it is not as asked for, it says so."""
    found, asked = 1 - sum(folds) / rows, problem.holdout
    held_out, shares = f"{found:.0%}", [fold / sum(folds) for fold in folds]
    if _is_off(found, asked):
        held_out += f" (in place of {asked:.0%}, as groups are whole)"
    numbered = f"{len(folds)} folds"
    if any(_is_off(share, 1 / len(folds)) for share in shares):
        numbered += f" (of {min(shares):.0%} to {max(shares):.0%} each, as groups are whole)"
    return Described(held_out, numbered)


def subset(frame: Frame, rows: int) -> Frame:
    """At most `rows` rows in their order, drawn evenly over the classes or the amounts; all when there are no more."""
    if rows >= len(frame):
        return frame
    drawn = np.random.default_rng(frame.problem.seed).permutation(len(frame))
    in_order = drawn[np.argsort(frame.target[drawn], kind="stable")]
    return frame.take(np.sort(in_order[(2 * np.arange(rows) + 1) * len(frame) // (2 * rows)]))
