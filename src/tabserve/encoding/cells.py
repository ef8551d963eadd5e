"""The cells of a column, as a file or a request brings them, what they become, and how a bad one is refused."""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from tabserve.problem.columns import Column
from tabserve.wording import one_line, shown

Cells = Sequence[Any] | NDArray[Any]
"""The cells of a column, one for each row: a list of text, true or false, numbers and None, or a numpy array."""


UNUSUAL = (LookupError, TypeError, ValueError)
"""What is raised at cells that `Encoding.quick` does not take."""


class BadCell(Exception):
    """A cell that its column cannot hold.

    Attributes:
        rows: all rows, from 0 and ascending, that the same check refuses.
        expected: what the cell should have been, for a sentence.
        found: what the first of them is, for a sentence.
        column: the name of the column, once the encoder of all columns has put it there.
    """

    def __init__(self, rows: Sequence[int], expected: str, found: str) -> None:
        super().__init__(f"expected {expected}, found {found}")
        self.rows, self.expected, self.found = rows, expected, found
        self.column: str | None = None


class Encoding(ABC):
    """How the cells of one column become features; a quantity needs no more than the abstract methods."""

    TYPE: ClassVar[str] = "q"
    """Of its features, as XGBoost's `feature_types` has it: `q` for a quantity, `c` for a code."""

    LEARNED: ClassVar[bool] = False
    """Whether it holds something that the manifest must keep."""

    @property
    def parts(self) -> tuple[str, ...]:
        """What follows the column's name in the name of each feature."""
        return ("",)

    @property
    def level_count(self) -> int:
        """How many codes a feature may have; 0 for a quantity."""
        return 0

    @classmethod
    @abstractmethod
    def learn(cls, column: Column, cells: Cells) -> Self:
        """The encoding of a column of a training table.

        Raises:
            BadCell: no encoding of this kind takes one of the cells.
            DataError: the cells together cannot be learned from.
        """

    @classmethod
    @abstractmethod
    def from_json(cls, column: Column, document: Any) -> Self:  # noqa: ANN401  any JSON
        """The encoding whose `to_json` is the document.

        Raises:
            UsageError: the document is another.
        """

    def to_json(self) -> dict[str, Any]:
        """What the manifest keeps of it."""
        return {}

    @abstractmethod
    def raw(self, cells: Cells) -> NDArray[Any]:
        """The features, shape (rows, features), where a category's `MISSING` and `UNSEEN` are codes still.

        Raises:
            BadCell: the column cannot hold one of the cells.
        """

    @abstractmethod
    def quick(self, cells: list[Any]) -> Sequence[Sequence[float | None]]:
        """The features of cells as nearly all are, each feature a sequence, None where a cell is missing.

        Raises:
            UNUSUAL: one of them needs a closer look, by `raw`.
        """

    def union(self, _other: "Encoding") -> "Encoding":
        """The encoding that knows what either knows of the same column.

        Raises:
            UsageError: there is none.
        """
        return self

    def narrowed(self, _features: NDArray[Any]) -> "Encoding":
        """The encoding that knows only the levels that occur in its features."""
        return self

    def recode(self, features: NDArray[np.float32], _narrowed: "Encoding") -> NDArray[np.float32]:
        """Its features as the narrowed encoding has them."""
        return features


def is_missing(cell: object) -> bool:
    """Whether a cell is empty: None, the empty text, or NaN."""
    return cell is None or (isinstance(cell, str) and not cell) or (isinstance(cell, float) and math.isnan(cell))


def plain(cells: Cells) -> list[Any]:
    """The cells as Python's own values; a 16 or 32-bit float is read from its own shortest decimal."""
    if not isinstance(cells, np.ndarray):
        return [_plain(cell) for cell in cells]
    if cells.dtype.kind == "f" and cells.dtype.itemsize < np.float64().itemsize:
        values, places = np.unique(cells, return_inverse=True)
        return values.astype(np.str_).astype(np.float64)[places].tolist()  # type: ignore[no-any-return]
    if cells.dtype.kind in "biufU":
        return cells.tolist()  # type: ignore[no-any-return]
    return [_plain(cell) for cell in cells]


def refused(cells: list[Any], check: Callable[[Any], str]) -> BadCell | None:
    """What is wrong with the first cell for which `check` says what it should have been, or None if it accepts all."""
    expected = [check(cell) for cell in cells]
    first = next(filter(None, expected), None)
    if first is None:
        return None
    rows = [row for row, each in enumerate(expected) if each == first]
    return BadCell(rows, first, described(cells[rows[0]]))


def described(cell: object) -> str:
    """A cell, for a sentence: shortened, on one line."""
    return "an empty cell" if is_missing(cell) else one_line(shown(cell))


def _plain(cell: object) -> object:
    return cell.item() if isinstance(cell, np.generic) and cell.dtype.kind in "biufU" else cell
