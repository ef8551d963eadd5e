"""The design matrix of a linear model: standardised numbers and one-hot categories, learned from training rows."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from tabserve.encoding.categories import Categories
from tabserve.predictors.one_hot import OneHotLinear, signed_log

Cells = NDArray[np.float32]
"""A feature of all rows, shape (rows,)."""

Floats = NDArray[np.float64]

KEPT = (0.005, 0.995)
"""Quantiles that a number is clipped to, so that one strange cell does not decide an answer."""

RARE = 10
"""Rows below which a level gets no weight of its own."""

ALIKE = 0.9999
"""Correlation of a number and its signed logarithm above which the logarithm is left out."""


class Entries(NamedTuple):
    """The entries of some columns of the matrix, the others of which are 0.

    Attributes:
        columns: the columns' numbers, shape (entries,), or (rows, entries) if they differ by row.
        values: shape (rows, entries).
    """

    columns: NDArray[np.int32]
    values: Floats


class Term(NamedTuple):
    """What a feature contributes to a `OneHotLinear`, whose attributes have these names.

    Attributes:
        bounds: shape (2,).
        slopes: shape (2, outputs).
        absent: shape (outputs,).
        weights: shape (levels, outputs).
        constant: a part of the intercept, shape (outputs,).
    """

    bounds: NDArray[np.float32]
    slopes: Floats
    absent: Floats
    weights: Floats
    constant: Floats


@dataclass(frozen=True)
class Quantity:
    """A number, in three columns: its clipped value, the signed logarithm of that, and whether it is missing.

    Attributes:
        bounds: the smallest and the largest value, float32, shape (2,).
        fill: replaces a missing value: the median.
        centre: means of the first two columns before they are standardised, shape (2,).
        scale: standard deviations of these, infinite for a column that is left out.
    """

    bounds: NDArray[np.float32]
    fill: float
    centre: Floats
    scale: Floats

    width: ClassVar[int] = 3

    @classmethod
    def learn(cls, cells: Cells) -> Self:
        """Learn from the cells of the training rows, which may all be missing."""
        present = cells[~np.isnan(cells)].astype(np.float64)  # as the spread of 32-bit floats may be none
        present = present if len(present) else np.zeros(1)
        bounds = _bounds(present)
        fill = float(np.clip(np.median(present), *bounds))
        values = _values(cells, bounds, fill)
        return cls(bounds, fill, values.mean(axis=0), _scale(values))

    def entries(self, cells: Cells) -> Entries:
        """The values of the three columns."""
        standardised = (_values(cells, self.bounds, self.fill) - self.centre) / self.scale
        return Entries(np.arange(self.width, dtype=np.int32), np.column_stack([standardised, np.isnan(cells)]))

    def term(self, weights: Floats, _levels: int) -> Term:
        """What it contributes, given the weights of its columns, shape (3, outputs)."""
        slopes = weights[:2] / self.scale[:, np.newaxis]
        filled = _values(np.array([np.nan], np.float32), self.bounds, self.fill)[0]
        return Term(self.bounds, slopes, filled @ slopes + weights[2], weights[:0], -self.centre @ slopes)


def _bounds(present: Floats) -> NDArray[np.float32]:
    """Quantiles of the cells; if nearly all are equal, as of a rare flag, their value and the median of the others."""
    low, high = np.quantile(present, KEPT)
    others = present[present != low]
    if low == high and len(others):
        low, high = sorted([low, np.median(others)])
    return np.array([low, high], np.float32)


def _values(cells: Cells, bounds: NDArray[np.float32], fill: float) -> Floats:
    """The clipped value and its signed logarithm, shape (rows, 2)."""
    values = np.where(np.isnan(cells), fill, cells.clip(*bounds).astype(np.float64))
    return np.column_stack([values, signed_log(values)])


def _scale(values: Floats) -> Floats:
    """The standard deviation of each column; infinite if it is constant or, of the second, much like the first."""
    spread = values.std(axis=0)
    scale = np.where(spread > 1e-9 * np.abs(values).max(axis=0), spread, np.inf)
    if np.isfinite(scale).all() and np.corrcoef(values[:, 0], values[:, 1]).min() > ALIKE:
        scale[1] = np.inf
    return scale


@dataclass(frozen=True)
class Category:
    """A category, in one column for each level of at least `RARE` rows, and one for all other cells.

    Attributes:
        column: of each code, and at last of a cell that is missing or unseen, shape (codes + 1,).
    """

    column: NDArray[np.int32]

    @classmethod
    def learn(cls, cells: Cells) -> Self:
        """Learn from the codes of the training rows."""
        rows = np.bincount(cells[~np.isnan(cells)].astype(np.intp))
        kept = np.append(rows >= RARE, False)
        return cls(np.where(kept, np.cumsum(kept), 0).astype(np.int32))

    @property
    def width(self) -> int:
        """Number of columns."""
        return int(self.column.max()) + 1

    def entries(self, cells: Cells) -> Entries:
        """A one in the column of each row's level."""
        last = len(self.column) - 1
        codes = np.where(cells < last, cells, last).astype(np.intp)  # NaN is not below it either
        return Entries(self.column[codes][:, np.newaxis], np.ones((len(cells), 1)))

    def term(self, weights: Floats, levels: int) -> Term:
        """What it contributes, given the weights of its columns, and the number of levels that may be asked for."""
        codes = np.minimum(np.arange(levels), len(self.column) - 1)
        zeros = np.zeros((2, weights.shape[1]))
        return Term(np.zeros(2, np.float32), zeros, weights[0], weights[self.column[codes]], zeros[0])


@dataclass(frozen=True)
class Design:
    """The design matrix of all features.

    Attributes:
        parts: one per feature.
    """

    parts: tuple[Quantity | Category, ...]

    @classmethod
    def learn(cls, features: NDArray[np.float32], types: Sequence[str]) -> Self:
        """Learn from training rows, whose features have these types (`Encoder.types`).

        Raises:
            ValueError: there is not one type for each feature.
        """
        kinds = [Category if kind == Categories.TYPE else Quantity for kind in types]
        return cls(tuple(kind.learn(cells) for kind, cells in zip(kinds, features.T, strict=True)))

    def matrix(self, features: NDArray[np.float32]) -> sparse.csr_array:
        """The columns of rows, shape (rows, columns)."""
        entries = [part.entries(cells) for part, cells in zip(self.parts, features.T, strict=True)]
        ends = np.cumsum([part.width for part in self.parts], dtype=np.int32)
        columns = [
            np.broadcast_to(each.columns + (end - part.width), each.values.shape)
            for part, each, end in zip(self.parts, entries, ends, strict=True)
        ]
        values, indices = np.hstack([each.values for each in entries]), np.hstack(columns)
        starts = np.arange(0, values.size + 1, values.shape[1])
        return sparse.csr_array((values.ravel(), indices.ravel(), starts), shape=(len(values), int(ends[-1])))

    def predictor(self, link: str, weights: Floats, intercept: Floats, levels: Sequence[int]) -> OneHotLinear:
        """The predictor with these weights.

        Args:
            link: one of `one_hot.LINKS`.
            weights: of each column, shape (columns, outputs).
            intercept: shape (outputs,).
            levels: the number of levels of each feature; one that training did not see has the weight of a missing one.
        """
        each = np.split(weights, np.cumsum([part.width for part in self.parts])[:-1])
        pairs = zip(self.parts, each, levels, strict=True)
        terms = [part.term(rows, count) for part, rows, count in pairs]
        return OneHotLinear(
            link,
            tuple(levels),
            np.stack([term.bounds for term in terms], axis=1),
            np.stack([term.slopes for term in terms], axis=1),
            np.stack([term.absent for term in terms]),
            np.concatenate([term.weights for term in terms]),
            intercept + sum(term.constant for term in terms),
        )
