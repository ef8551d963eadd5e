"""Split rows into development and hold-out, and number folds: stratified by class, reproducible by seed.

If the problem has groups, the rows of a group stay together. If it has a time, the latest rows are held out, folds go
forward in time, and the rows of one moment stay together. Large groups, or moments, then make shares other than those
asked for: the user is warned, or the split is refused. Without groups and time, copies of a row stay on one side
(`copies`).
"""

from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold, train_test_split

from tabserve.errors import DataError
from tabserve.problem.problem import Problem
from tabserve.table.frame import Frame
from tabserve.training import copies, forward
from tabserve.training.folds import NOT_HELD_OUT
from tabserve.training.shares import check_even, check_share, is_off
from tabserve.training.task_training import training_of

MOST_PARTS = 10
"""The largest number of equal parts of whole groups to hold some out of; more only for a share below one part."""


class Split(NamedTuple):
    """Development rows, for fitting and choosing, and hold-out rows, used once."""

    development: Frame
    holdout: Frame


def hold_out(frame: Frame) -> Split:
    """Set the problem's hold-out share aside: the latest rows if it has a time, else stratified by class.

    Raises:
        DataError: a class, or the table, has too few rows, or groups, for one in every fold and one in the hold-out;
            whole groups, or moments, make no hold-out of about this share; or the rows on one side in time lack a
            class.
    """
    problem = frame.problem
    if frame.moment is not None:
        is_latest = _is_latest(frame, frame.moment)
        check_share("a hold-out", float(is_latest.mean()), problem.holdout, frame)
        _check_classes(frame, frame.moment, is_latest.astype(np.int64))
        return split_at(frame, np.flatnonzero(~is_latest), np.flatnonzero(is_latest))
    count, noun = count_smallest_class(frame)
    if count < problem.fewest_rows:
        smallest = f"{training_of(problem).SMALLEST_PART} has {count} {noun[:-1] if count == 1 else noun}"
        raise DataError(
            f"{smallest}; {problem.folds} folds beside a hold-out of {problem.holdout:.0%} need at least"
            f" {problem.fewest_rows}; use more {noun}."
        )
    if frame.group is not None:
        return _hold_out_groups(frame)
    if (number := copies.kept_together(frame, strata(frame), problem.fewest_rows)) is not None:
        part = copies.deal(number, strata(frame), problem.seed, copies.held_out(problem.holdout))
        return split_at(frame, np.flatnonzero(part == 0), np.flatnonzero(part == 1))
    positions = np.arange(len(frame))
    development, holdout = train_test_split(
        positions, test_size=problem.holdout, stratify=strata(frame), random_state=problem.seed
    )
    return split_at(frame, development, holdout)


def count_copies(frame: Frame) -> int:
    """The number of copies that `hold_out` keeps on the side of the row that they equal."""
    number = copies.kept_together(frame, strata(frame), frame.problem.fewest_rows)
    return 0 if number is None else len(frame) - len(np.unique(number))


def split_at(frame: Frame, development: NDArray[np.int64], holdout: NDArray[np.int64]) -> Split:
    """The rows at these positions, both parts encoded with the levels that occur in the development rows."""
    narrowed = narrow_levels(frame.take(development))
    return Split(narrowed, frame.take(holdout).with_encoder(narrowed.encoder))


def narrow_levels(frame: Frame) -> Frame:
    """The rows, encoded with only the levels that occur in them; the same frame if there are no categories."""
    if not any(frame.encoder.levels):
        return frame
    return frame.with_encoder(frame.narrowed_encoder())


def count_smallest_class(frame: Frame) -> tuple[int, str]:
    """The number of rows, or groups, in the smallest class (in the table, if there are no classes), and the noun."""
    stratum, noun = strata(frame), "rows"
    if frame.group is not None:
        pairs = {*zip(frame.group.tolist(), stratum.tolist(), strict=True)}
        stratum, noun = np.array([number for _, number in pairs], np.int64), "groups"
    return int(np.bincount(stratum, minlength=max(1, len(frame.problem.labels))).min()), noun


def strata(frame: Frame) -> NDArray[np.int64]:
    """The stratum of each row, shape (rows,): its class, or 0 if there are no classes."""
    return training_of(frame.problem).strata(frame.target)


def periods(frame: Frame) -> dict[str, list[str]]:
    """The first and last moment of the development rows and of the hold-out that `hold_out` makes."""
    assert frame.moment is not None
    is_latest = _is_latest(frame, frame.moment)
    return {
        "development": forward.period(frame.moment[~is_latest]),
        "holdout": forward.period(frame.moment[is_latest]),
    }


def _is_latest(frame: Frame, moment: forward.Moments) -> NDArray[np.bool_]:
    """Whether each row is among the latest, which have about the hold-out's share, shape (rows,)."""
    share = frame.problem.holdout
    return np.asarray(forward.block_numbers(moment, (1 - share, share)) == 1)


def _check_classes(frame: Frame, moment: forward.Moments, block: NDArray[np.int64]) -> None:
    """Refuse blocks in time if one lacks a class: nothing can be fitted or measured there."""
    if missing := forward.first_missing_class(strata(frame), block, len(frame.problem.labels)):
        first, last = forward.period(moment[block == missing[0]])
        raise DataError(
            f"No row from {first} to {last} has {frame.problem.task.spelled(missing[1])} in column"
            f" {frame.problem.target!r}, and those are rows to fit on alone, or to measure on; use more rows, or fewer"
            " folds."
        )


def _hold_out_groups(frame: Frame) -> Split:
    """Hold out the parts nearest to the wanted share that have every class and leave enough groups of each."""
    problem = frame.problem
    held_out, parts = _as_parts(problem.holdout, count_smallest_class(frame)[0])
    number = part_numbers(StratifiedGroupKFold(parts, shuffle=True, random_state=problem.seed), frame)
    sides = [(number - first) % parts < held_out for first in range(parts)]
    for side in sorted(sides, key=lambda side: abs(float(side.mean()) - problem.holdout)):
        development, holdout = np.flatnonzero(~side), np.flatnonzero(side)
        split = split_at(frame, development, holdout)
        if count_smallest_class(split.holdout)[0] >= 1 and count_smallest_class(split.development)[0] >= problem.folds:
            check_share("a hold-out", len(holdout) / len(frame), problem.holdout, frame)
            return split
    raise DataError(
        f"Whole groups make no hold-out of about {problem.holdout:.0%} that has every class and leaves"
        f" {problem.folds} groups of it, as few groups have most rows; use more groups."
    )


def _as_parts(share: float, groups: int) -> tuple[int, int]:
    """The share as a fraction: a number of parts out of a number of equal parts, of which there are enough groups."""
    fewest = round(1 / min(share, 1 - share))
    return Fraction(share).limit_denominator(max(fewest, min(MOST_PARTS, groups))).as_integer_ratio()


def fold_numbers(frame: Frame) -> NDArray[np.int64]:
    """The number of the fold that holds each row out, from 0, shape (rows,); stratified by class.

    If the problem has a time, the rows are split into two more blocks than folds, one after another. No fold holds out
    the earliest (`NOT_HELD_OUT`). The first decision is chosen on the next, fold 0; all later ones are measured.

    Raises:
        DataError: whole groups, or moments, make folds of very different sizes; or a block lacks a class.
    """
    folds = frame.problem.folds
    if frame.moment is not None:
        block = forward.block_numbers(frame.moment, [1 / (folds + 2)] * (folds + 2))
        _check_classes(frame, frame.moment, block)
        check_even(block, frame)
        return block + NOT_HELD_OUT
    if (number := copies.kept_together(frame, strata(frame), folds)) is not None:
        return copies.deal(number, strata(frame), frame.problem.seed, copies.in_turn(folds))
    kind = StratifiedKFold if frame.group is None else StratifiedGroupKFold
    number = part_numbers(kind(folds, shuffle=True, random_state=frame.problem.seed), frame)
    if frame.group is not None:
        check_even(number, frame)
    return number


def part_numbers(splitter: StratifiedKFold | StratifiedGroupKFold, frame: Frame) -> NDArray[np.int64]:
    """The number of the part that the splitter puts each row in, shape (rows,)."""
    number = np.empty(len(frame), dtype=np.int64)
    for fold, (_, held_out) in enumerate(splitter.split(frame.features, strata(frame), frame.group)):
        number[held_out] = fold
    return number


class SplitSummary(NamedTuple):
    """A split in words, for the model card: the method, the share held out, and the folds of the rest."""

    how: str
    held_out: str
    folds: str


def describe_split(
    problem: Problem,
    rows: int,
    folds: Sequence[int],
    held_out: Mapping[str, Sequence[str]] | None = None,
    copied: int = 0,
) -> SplitSummary:
    """Describe a split, with its actual shares if they differ from those asked for.

    Args:
        problem: the problem that asked for the split.
        rows: the number of all rows.
        folds: the number of rows of each fold; of each block if the problem has a time.
        held_out: the `periods` of the rows if the problem has a time.
        copied: the number of copies; see `count_copies`.
    """
    actual, wanted = 1 - sum(folds) / rows, problem.holdout
    noun = "moments" if problem.time else "sets of copies" if copied else "groups"
    share, shares = f"{actual:.0%}", [fold / sum(folds) for fold in folds]
    if is_off(actual, wanted):
        share += f" (in place of {wanted:.0%}, as {noun} are whole)"
    fold_text = f"{problem.folds if problem.time else len(folds)} folds{' forward in time' if problem.time else ''}"
    if any(is_off(share, 1 / len(folds)) for share in shares):
        fold_text += f" (of {min(shares):.0%} to {max(shares):.0%} each, as {noun} are whole)"
    if not problem.time:
        how = "stratified" if problem.labels else "drawn by chance"
        apart = f", no `{problem.group}` on both sides" if problem.group else ""
        if copied:
            apart = f", no row on both sides ({copied:,} rows are copies of another)"
        return SplitSummary(f"{how}, seed {problem.seed}{apart}", share, fold_text)
    periods = {name: " to ".join(period) for name, period in (held_out or {}).items()}
    return SplitSummary(
        f"by the time `{problem.time}`",
        f"the latest {share}, {periods['holdout']}," if periods else f"the latest {share}",
        f"{fold_text}, from {periods['development']}," if periods else fold_text,
    )


def subset(frame: Frame, rows: int) -> Frame:
    """At most `rows` rows in their order, drawn evenly over the classes or the amounts."""
    if rows >= len(frame):
        return frame
    drawn = np.random.default_rng(frame.problem.seed).permutation(len(frame))
    in_order = drawn[np.argsort(frame.target[drawn], kind="stable")]
    return frame.take(np.sort(in_order[(2 * np.arange(rows) + 1) * len(frame) // (2 * rows)]))
