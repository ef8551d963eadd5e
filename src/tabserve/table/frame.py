"""Rows of a table as validated arrays, with or without their target."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from tabserve.encoding.encoder import Encoder
from tabserve.problem.problem import Problem

PER_ROW = ("ids", "features", "target", "group", "moment", "content")
"""The fields of a frame that have an entry for each row."""


@dataclass(frozen=True, eq=False)
class Rows:
    """Rows to score.

    Attributes:
        ids: texts, or the rows' numbers in the table from 1 if the problem has no id; shape (rows,).
        features: float32, shape (rows, features), or texts, shape (rows,).
        new_levels: of each column of categories with any, the levels that the encoder lacks, and how many rows have
            each; a frame is kept and transformed, so it has none.
    """

    ids: NDArray[np.object_]
    features: NDArray[Any]
    new_levels: Mapping[str, Counter[str]] = field(default_factory=dict, kw_only=True)

    def __len__(self) -> int:
        """Number of rows."""
        return len(self.ids)


@dataclass(frozen=True, eq=False)
class Frame(Rows):
    """Rows with their target.

    Attributes:
        target: shape (rows,); int8, the index of each row's label, or float64, its amount.
        problem: names the columns and the labels.
        encoder: made the features.
        group: shape (rows,), if the problem has groups.
        moment: shape (rows,), if the problem has a time; in days, or in seconds if the column has times.
        content: a whole number that only copies of a row have in common, shape (rows,), if it is known.
    """

    target: NDArray[Any]
    problem: Problem
    encoder: Encoder
    group: NDArray[np.object_] | None = None
    moment: NDArray[np.datetime64] | None = None
    content: NDArray[np.int64] | None = None

    def take(self, rows: NDArray[np.int64]) -> Self:
        """The rows with these indices, in this order."""
        arrays = {name: getattr(self, name) for name in PER_ROW}
        return replace(self, **{name: array[rows] for name, array in arrays.items() if array is not None})

    def narrowed_encoder(self) -> Encoder:
        """The encoder with only the levels that occur in these rows."""
        return self.encoder.narrow(self.features)

    def with_encoder(self, encoder: Encoder) -> Self:
        """The same rows with the features of another encoder; a level that it does not know becomes missing."""
        return replace(self, features=self.encoder.recode(self.features, encoder), encoder=encoder)
