"""The protocol of an encoding: the cells of a column, from a file or a request, become features or are refused."""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from tabserve.problem.columns import Column
from tabserve.wording import one_line, shown

Cells = Sequence[Any] | NDArray[Any]
"""The cells of a column, one per row: a list of texts, booleans, numbers and None, or a numpy array."""


UNUSUAL = (LookupError, TypeError, ValueError)
"""What is raised at cells that `Encoding.quick` does not take."""


class BadCell(Exception):
    """A cell that its column cannot hold.

    Attributes:
        rows: ascending indices of all rows that the same check refuses.
        expected: what the cell should hold, in words.
        found: what the first of these rows holds, in words.
        column: the name of the column; the encoder of all columns sets it.
    """

    def __init__(self, rows: Sequence[int], expected: str, found: str) -> None:
        super().__init__(f"expected {expected}, found {found}")
        self.rows, self.expected, self.found = rows, expected, found
        self.column: str | None = None


class Encoding(ABC):
    """Makes features of the cells of one column; a quantity needs the abstract methods alone."""

    TYPE: ClassVar[str] = "q"
    """Type of its features in XGBoost's `feature_types`: `q` for a quantity, `c` for a category's code."""

    LEARNED: ClassVar[bool] = False
    """Whether the manifest must keep what it learned."""

    @property
    def parts(self) -> tuple[str, ...]:
        """The suffix of each feature's name after the column's name."""
        return ("",)

    @property
    def level_count(self) -> int:
        """Number of codes of a feature; 0 for a quantity."""
        return 0

    @classmethod
    @abstractmethod
    def learn(cls, column: Column, cells: Cells) -> Self:
        """Learn the encoding of a column of a training table.

        Raises:
            BadCell: a cell is not of the column's kind.
            DataError: the column as a whole cannot be learned from.
        """

    @classmethod
    @abstractmethod
    def from_json(cls, column: Column, document: Any) -> Self:  # noqa: ANN401  any JSON
        """The encoding whose `to_json` is this document.

        Raises:
            UsageError: the document has another form.
        """

    def to_json(self) -> dict[str, Any]:
        """What the manifest keeps of the encoding."""
        return {}

    @abstractmethod
    def raw(self, cells: Cells) -> NDArray[Any]:
        """The features, shape (rows, features), with `MISSING` and `UNSEEN` as codes of categories.

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
        """The encoding that knows the levels of both.

        Raises:
            UsageError: the two cannot be united.
        """
        return self

    def narrowed(self, _features: NDArray[Any]) -> "Encoding":
        """The encoding with only the levels that occur in these features."""
        return self

    def recode(self, features: NDArray[np.float32], _narrowed: "Encoding") -> NDArray[np.float32]:
        """These features as the narrowed encoding makes them."""
        return features


def is_missing(cell: object) -> bool:
    """Whether a cell is empty: None, the empty text, or NaN."""
    return cell is None or (isinstance(cell, str) and not cell) or (isinstance(cell, float) and math.isnan(cell))


def plain(cells: Cells) -> list[Any]:
    """The cells as Python values; a 16 or 32-bit float becomes the number of its shortest decimal."""
    if not isinstance(cells, np.ndarray):
        return [_plain(cell) for cell in cells]
    if cells.dtype.kind == "f" and cells.dtype.itemsize < np.float64().itemsize:
        values, places = np.unique(cells, return_inverse=True)
        return values.astype(np.str_).astype(np.float64)[places].tolist()  # type: ignore[no-any-return]
    if cells.dtype.kind in "biufU":
        return cells.tolist()  # type: ignore[no-any-return]
    return [_plain(cell) for cell in cells]


def refused(cells: list[Any], check: Callable[[Any], str]) -> BadCell | None:
    """The error about the first cell that `check` refuses by saying what it expects, or None if it accepts all."""
    expected = [check(cell) for cell in cells]
    first = next(filter(None, expected), None)
    if first is None:
        return None
    rows = [row for row, expectation in enumerate(expected) if expectation == first]
    return BadCell(rows, first, described(cells[rows[0]]))


def described(cell: object) -> str:
    """A cell in words: shortened, on one line."""
    return "an empty cell" if is_missing(cell) else one_line(shown(cell))


def _plain(cell: object) -> object:
    return cell.item() if isinstance(cell, np.generic) and cell.dtype.kind in "biufU" else cell
