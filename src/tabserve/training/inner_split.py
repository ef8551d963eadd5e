"""Split training rows once more: to choose from a grid, or to give rows features that other rows' targets make.

These splits are of the same kind as the folds. For a grid there are rows to fit each point on, and rows to compare the
points on. Each part is a quarter of the rows: choosing a parameter needs fewer rows than fitting the model.
"""

from collections.abc import Iterator
from contextlib import suppress
from itertools import permutations

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.model_selection import StratifiedGroupKFold, StratifiedShuffleSplit

from tabserve.errors import DataError
from tabserve.table.frame import Frame
from tabserve.training import copies, forward
from tabserve.training.split import Split, count_smallest_class, part_numbers, split_at, strata

PARTS = 4
"""The number of equal parts; two of them are used."""

FORWARD = ((0.5, 0.25, 0.25), (0.75, 0.25), (0.5, 0.5))
"""Shares of blocks in time; the last two blocks of the first entry whose blocks have every class are used."""

ENCODING_FOLDS = 5
"""The number of inner folds for features that targets make."""

Positions = NDArray[np.int64]


def inner_split(frame: Frame) -> Split:
    """The rows to fit on and the rows to compare on, both encoded with the levels that occur in the first.

    Raises:
        DataError: no split has every class on both sides.
    """
    stratum = strata(frame)
    for fitted, compared in _parts(frame):
        if len(np.unique(stratum)) == len(np.unique(stratum[fitted])) == len(np.unique(stratum[compared])):
            return split_at(frame, fitted, compared)
    raise DataError(
        f"A grid is chosen inside the training rows, and {len(frame):,} of them cannot be parted so that both sides"
        " have every class; use more rows, or fewer folds, or leave grids out."
    )


def encoding_folds(frame: Frame) -> NDArray[np.int64]:
    """The number of each row's inner fold, from 0, shape (rows,); a row gets features from targets of other folds.

    The rows of a moment stay together, and folds follow each other in time; or the rows of a group do; else copies of a
    row do, and the folds are stratified by class. Copies in other groups, or of other moments, count as any other rows,
    as in the folds that candidates are measured on. A fold may lack rows if there are few groups, or moments.
    """
    if frame.moment is not None:
        return np.searchsorted(np.sort(frame.moment), frame.moment) * ENCODING_FOLDS // len(frame)
    seed, stratum = frame.problem.seed, strata(frame)
    if frame.group is not None:
        group, groups = pd.factorize(frame.group)
        return np.random.default_rng(seed).permutation(len(groups))[group] % ENCODING_FOLDS
    number = copies.kept_together(frame, stratum, ENCODING_FOLDS)
    number = np.arange(len(frame)) if number is None else number
    return copies.deal(number, stratum, seed, copies.in_turn(ENCODING_FOLDS))


def _parts(frame: Frame) -> Iterator[tuple[Positions, Positions]]:
    """Possible splits, the best first, as positions of rows to fit on and to compare on."""
    if frame.moment is not None:
        yield from _latest_parts(frame.moment)
    elif frame.group is not None:
        yield from _group_parts(frame)
    elif (number := copies.kept_together(frame, strata(frame), PARTS)) is not None:
        part = copies.deal(number, strata(frame), frame.problem.seed, copies.in_turn(PARTS))
        yield np.flatnonzero(part == 0), np.flatnonzero(part == 1)
    else:
        seed = frame.problem.seed
        splitter = StratifiedShuffleSplit(1, train_size=1 / PARTS, test_size=1 / PARTS, random_state=seed)
        yield from splitter.split(frame.features, strata(frame))


def _latest_parts(moment: forward.Moments) -> Iterator[tuple[Positions, Positions]]:
    """Compare on the latest rows, fit on the rows just before them."""
    for shares in FORWARD:
        with suppress(DataError):  # too few moments for so many blocks
            block, last = forward.block_numbers(moment, shares), len(shares) - 1
            yield np.flatnonzero(block == last - 1), np.flatnonzero(block == last)


def _group_parts(frame: Frame) -> Iterator[tuple[Positions, Positions]]:
    """Compare on one part of whole groups, fit on another."""
    parts = min(PARTS, count_smallest_class(frame)[0])
    if parts > 1:
        part = part_numbers(StratifiedGroupKFold(parts, shuffle=True, random_state=frame.problem.seed), frame)
        for fitted, compared in permutations(range(parts), 2):
            yield np.flatnonzero(part == fitted), np.flatnonzero(part == compared)
