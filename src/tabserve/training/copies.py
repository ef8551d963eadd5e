"""Copies: rows that equal an earlier row in every feature and in the target, whatever their ids.

A model that has seen a row knows the target of its copies, so every split keeps them on one side. But where few of the
rows are different, as in a table of some small categories, equal rows are independent observations and no copies.
"""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from tabserve.table.frame import Frame

FEWEST_DIFFERENT = 0.5
"""The share of different rows below which equal rows count as independent observations."""

HASH_FACTOR = np.uint64(0x9E3779B97F4A7C15)
"""An odd factor without pattern, 2^64 over the golden ratio (Knuth, TAOCP 3, 6.4)."""

Numbers = NDArray[np.int64]
"""One whole number for each row, shape (rows,)."""


def compared(frame: Frame) -> Frame:
    """The rows with their `content`, which parts of them keep, so that no split compares them again."""
    return frame if _has_own_splits(frame) else replace(frame, content=number_rows(frame))


def number_rows(frame: Frame) -> Numbers:
    """The `content` of each row: if it is not known, its number among the different rows, from 0."""
    if frame.content is not None:
        return frame.content
    rows = _rows(frame)
    number, times = np.unique(_hashes(rows), return_inverse=True, return_counts=True)[1:]
    repeated = np.flatnonzero(times[number] > 1)  # only these are compared whole, which takes several times as long
    number[repeated] = len(rows) + np.unique(rows[repeated], return_inverse=True)[1]
    return np.asarray(np.unique(number, return_inverse=True)[1], np.int64)


def hashes(frame: Frame) -> NDArray[np.uint64]:
    """A hash of each row's features and target, shape (rows,): equal for equal rows, and hardly ever for others."""
    return _hashes(_rows(frame))


def _rows(frame: Frame) -> NDArray[np.void]:
    """The bytes of each row's features and target, shape (rows,): equal for equal rows."""
    features = frame.features
    if features.dtype == np.object_:  # texts
        features = np.unique(features, return_inverse=True)[1]
    features = features.reshape(len(frame), -1)
    rows = np.empty(len(frame), [("features", features.dtype, features.shape[1:]), ("target", np.float64)])
    for name, values in (("features", features), ("target", frame.target)):
        rows[name] = values
        if np.issubdtype(values.dtype, np.floating):
            rows[name] += 0  # makes 0.0 of -0.0
            rows[name][np.isnan(values)] = np.nan
    return rows.view(f"V{rows.itemsize}")


def _hashes(rows: NDArray[np.void]) -> NDArray[np.uint64]:
    """A hash of each row's bytes, shape (rows,)."""
    hashes = np.zeros(len(rows), np.uint64)
    for words in rows.view(np.uint32).reshape(len(rows), -1).T:
        hashes = (hashes ^ words) * HASH_FACTOR
        hashes ^= hashes >> np.uint64(29)
    return hashes


def kept_together(frame: Frame, stratum: Numbers, fewest: int) -> Numbers | None:
    """The `content` of each row, if a split keeps copies together.

    Args:
        frame: the rows.
        stratum: of each row, equal for copies.
        fewest: different rows of each stratum that the split needs.

    Returns:
        None if rows are split otherwise: by groups, or by time; or there are no copies, or too few different rows.
    """
    if _has_own_splits(frame):
        return None
    number = number_rows(frame)
    first = np.unique(number, return_index=True)[1]
    if len(first) == len(frame) or len(first) < FEWEST_DIFFERENT * len(frame):
        return None
    return number if np.bincount(stratum[first])[np.unique(stratum)].min() >= fewest else None


def _has_own_splits(frame: Frame) -> bool:
    """Whether rows are split by groups, or by time, in which copies count as any others."""
    return frame.group is not None or frame.moment is not None


def deal(number: Numbers, stratum: Numbers, seed: int, part_of: Callable[[Numbers], Numbers]) -> Numbers:
    """Deal the different rows of each stratum to parts; the copies of a row follow it.

    They are dealt in random order, but those with most copies first, so that the parts have nearly as many rows as
    different rows of those asked for.

    Args:
        number: of each row, which only copies have in common.
        stratum: of each row, equal for copies.
        seed: of the order.
        part_of: gives the part of each different row of a stratum, by its place in the order, from 0.

    Returns:
        The part of each row, shape (rows,).
    """
    _, first, own_number, times = np.unique(number, return_index=True, return_inverse=True, return_counts=True)
    order = np.random.default_rng(seed).permutation(len(first))
    order = order[np.argsort(-times[order], kind="stable")]
    part = np.empty(len(first), np.int64)
    for value in np.unique(stratum):
        own = order[stratum[first[order]] == value]
        part[own] = part_of(np.arange(len(own)))
    return part[own_number]


def held_out(share: float) -> Callable[[Numbers], Numbers]:
    """Deals this share to part 1 and the rest to part 0, evenly along the order."""
    return lambda place: (np.floor((place + 1) * share + 0.5) - np.floor(place * share + 0.5)).astype(np.int64)


def in_turn(parts: int) -> Callable[[Numbers], Numbers]:
    """Deals to the parts in turn, there and back, so that none of them always comes first."""
    return lambda place: np.minimum(place % (2 * parts), 2 * parts - 1 - place % (2 * parts))
