"""Development and hold-out rows, and folds, stratified where there are classes; the same seed gives the same rows.

Where the problem has groups, no split parts the rows of one. Where it has a time, the latest rows are held out, folds
go forward, and no split parts the rows of one moment. Large groups, or moments, then make other shares than those asked
for, which is said, or refused.
"""

import math
from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold, train_test_split

from tabserve.errors import DataError
from tabserve.problem.problem import Problem
from tabserve.table.frame import Frame
from tabserve.training import forward
from tabserve.training.folds import NEVER
from tabserve.training.shares import check_even, check_share, is_off
from tabserve.training.task_training import training_of

MOST_PARTS = 10
"""Equal parts of whole groups, some of which are held out; more only for a share that is smaller than one of them."""


class Split(NamedTuple):
    """Development rows, for everything that learns or chooses, and hold-out rows, opened once."""

    development: Frame
    holdout: Frame


def hold_out(frame: Frame) -> Split:
    """Set the problem's hold-out share aside: the latest rows where it has a time, else stratified by class.

    Raises:
        DataError: a class, or the table, has too few rows, or groups, for one in every fold and one in the hold-out;
            or whole groups, or moments, make no hold-out of about this share; or the latest rows, or those before
            them, lack a class.
    """
    problem = frame.problem
    if frame.moment is not None:
        is_latest = _is_latest(frame, frame.moment)
        check_share("a hold-out", float(is_latest.mean()), problem.holdout, frame)
        _check_classes(frame, frame.moment, is_latest.astype(np.int64))
        return parted(frame, np.flatnonzero(~is_latest), np.flatnonzero(is_latest))
    found, counted = smallest(frame)
    needed = math.ceil(max(problem.folds / (1 - problem.holdout), 1 / problem.holdout))
    if found < needed:
        raise DataError(
            f"{training_of(problem).SCARCE} has {found} {counted}; {problem.folds} folds beside a hold-out of"
            f" {problem.holdout:.0%} need at least {needed}; use more {counted}."
        )
    if frame.group is not None:
        return _hold_out_groups(frame)
    positions = np.arange(len(frame))
    development, holdout = train_test_split(
        positions, test_size=problem.holdout, stratify=strata(frame), random_state=problem.seed
    )
    return parted(frame, development, holdout)


def parted(frame: Frame, development: NDArray[np.int64], holdout: NDArray[np.int64]) -> Split:
    """The rows at these positions, both encoded by the levels that occur in the development rows."""
    developed = narrowed(frame.take(development))
    return Split(developed, frame.take(holdout).with_encoder(developed.encoder))


def narrowed(frame: Frame) -> Frame:
    """The same rows, whose encoder knows only the levels that occur in them; the same frame without categories."""
    if not any(frame.encoder.levels):
        return frame
    return frame.with_encoder(frame.encoder.narrow(frame.features))


def smallest(frame: Frame) -> tuple[int, str]:
    """How many rows, or groups, there are of the class that has the fewest; of all, where there are no classes."""
    of_each, counted = strata(frame), "rows"
    if frame.group is not None:
        pairs = {*zip(frame.group.tolist(), of_each.tolist(), strict=True)}
        of_each, counted = np.array([stratum for _, stratum in pairs], np.int64), "groups"
    return int(np.bincount(of_each, minlength=max(1, len(frame.problem.labels))).min()), counted


def strata(frame: Frame) -> NDArray[np.int64]:
    """What a split spreads evenly over its parts, by number: the class of each row, shape (rows,)."""
    return training_of(frame.problem).strata(frame.target)


def periods(frame: Frame) -> dict[str, list[str]]:
    """From when to when the development rows are that `hold_out` leaves, and those that it sets aside."""
    assert frame.moment is not None
    is_latest = _is_latest(frame, frame.moment)
    return {
        "development": forward.period(frame.moment[~is_latest]),
        "holdout": forward.period(frame.moment[is_latest]),
    }


def _is_latest(frame: Frame, moment: forward.Moments) -> NDArray[np.bool_]:
    """Whether each row is among the latest, of which there is about the share that is held out."""
    share = frame.problem.holdout
    return np.asarray(forward.block_numbers(moment, (1 - share, share)) == 1)


def _check_classes(frame: Frame, moment: forward.Moments, block: NDArray[np.int64]) -> None:
    """Refuse blocks of rows, one after another, if one lacks a class: nothing can be fitted or measured there."""
    if lacks := forward.lacking(strata(frame), block, len(frame.problem.labels)):
        first, last = forward.period(moment[block == lacks[0]])
        raise DataError(
            f"No row from {first} to {last} has {frame.problem.task.spelled(lacks[1])} in column"
            f" {frame.problem.target!r}, and those are rows to fit on alone, or to measure on; use more rows, or fewer"
            " folds."
        )


def _hold_out_groups(frame: Frame) -> Split:
    """Of parts, or some of them together, the nearest to the share asked for that has every class and leaves enough."""
    problem = frame.problem
    held_out, parts = _as_parts(problem.holdout, smallest(frame)[0])
    number = numbered(StratifiedGroupKFold(parts, shuffle=True, random_state=problem.seed), frame)
    sides = [(number - first) % parts < held_out for first in range(parts)]
    for side in sorted(sides, key=lambda side: abs(float(side.mean()) - problem.holdout)):
        development, holdout = np.flatnonzero(~side), np.flatnonzero(side)
        split = parted(frame, development, holdout)
        if smallest(split.holdout)[0] >= 1 and smallest(split.development)[0] >= problem.folds:
            check_share("a hold-out", len(holdout) / len(frame), problem.holdout, frame)
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
    """The number of the fold that holds each row out, from 0, shape (rows,); stratified by class.

    Where the problem has a time, there are two blocks more than folds, one after another. The earliest is held out by
    none (`NEVER`). The next, fold 0, is there to choose the first decision on; all later ones are measured.

    Raises:
        DataError: whole groups, or moments, make no folds of about the same size; or a block lacks a class.
    """
    folds = frame.problem.folds
    if frame.moment is not None:
        block = forward.block_numbers(frame.moment, [1 / (folds + 2)] * (folds + 2))
        _check_classes(frame, frame.moment, block)
        check_even(block, frame)
        return block + NEVER
    kind = StratifiedKFold if frame.group is None else StratifiedGroupKFold
    number = numbered(kind(folds, shuffle=True, random_state=frame.problem.seed), frame)
    if frame.group is not None:
        check_even(number, frame)
    return number


def numbered(splitter: StratifiedKFold | StratifiedGroupKFold, frame: Frame) -> NDArray[np.int64]:
    """The number of the part that a splitter puts each row in, shape (rows,)."""
    number = np.empty(len(frame), dtype=np.int64)
    for fold, (_, held_out) in enumerate(splitter.split(frame.features, strata(frame), frame.group)):
        number[held_out] = fold
    return number


class Described(NamedTuple):
    """How a split is told: by what, the share that was held out, and the folds of the rest."""

    how: str
    held_out: str
    folds: str


def described(
    problem: Problem, rows: int, folds: Sequence[int], held_out: Mapping[str, Sequence[str]] | None = None
) -> Described:
    """A split of so many rows that leaves folds of these; where it is not as asked for, it says so.

    Args:
        problem: says what was asked for.
        rows: how many there are in all.
        folds: rows of each fold; of each block, where the problem has a time.
        held_out: the `periods` of the rows, where the problem has a time.
    """
    found, asked, noun = 1 - sum(folds) / rows, problem.holdout, "moments" if problem.time else "groups"
    share, shares = f"{found:.0%}", [fold / sum(folds) for fold in folds]
    if is_off(found, asked):
        share += f" (in place of {asked:.0%}, as {noun} are whole)"
    numbered = f"{problem.folds if problem.time else len(folds)} folds{' forward in time' if problem.time else ''}"
    if any(is_off(share, 1 / len(folds)) for share in shares):
        numbered += f" (of {min(shares):.0%} to {max(shares):.0%} each, as {noun} are whole)"
    if not problem.time:
        how = "stratified" if problem.labels else "drawn by chance"
        apart = f", no `{problem.group}` on both sides" if problem.group else ""
        return Described(f"{how}, seed {problem.seed}{apart}", share, numbered)
    periods = {name: " to ".join(period) for name, period in (held_out or {}).items()}
    return Described(
        f"by the time `{problem.time}`",
        f"the latest {share}, {periods['holdout']}," if periods else f"the latest {share}",
        f"{numbered}, from {periods['development']}," if periods else numbered,
    )


def subset(frame: Frame, rows: int) -> Frame:
    """At most `rows` rows in their order, drawn evenly over the classes or the amounts; all when there are no more."""
    if rows >= len(frame):
        return frame
    drawn = np.random.default_rng(frame.problem.seed).permutation(len(frame))
    in_order = drawn[np.argsort(frame.target[drawn], kind="stable")]
    return frame.take(np.sort(in_order[(2 * np.arange(rows) + 1) * len(frame) // (2 * rows)]))
