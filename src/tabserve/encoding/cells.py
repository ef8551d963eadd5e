"""The interface of an encoding, which makes features of the cells of a column, or refuses them."""

import math
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from tabserve.problem.columns import Column
from tabserve.wording import one_line, shown

Cells = Sequence[Any] | NDArray[Any]
"""The cells of a column, one per row: a list of texts, booleans, numbers and None, or a numpy array."""

SPACES = " \t"
"""Characters that count for nothing at both ends of a cell; line ends, which only a quoted cell can hold, do count."""


@dataclass(frozen=True, eq=False)
class Distinct:
    """Cells that repeat: the values, and the index of each cell's value; a value may have no cell, or come twice."""

    values: list[Any]
    indices: NDArray[np.integer[Any]]

    def __len__(self) -> int:
        """Number of cells."""
        return len(self.indices)

    def to_list(self) -> list[Any]:
        """The cells one by one."""
        return [self.values[index] for index in self.indices.tolist()]


QUICK_ERRORS = (LookupError, TypeError, ValueError)
"""Errors that `Encoding.encode_quickly` raises at cells that it does not handle."""


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
    """Makes features of the cells of one column; a quantity implements the abstract methods alone."""

    TYPE: ClassVar[str] = "q"
    """Type of its features in XGBoost's `feature_types`: `q` for a quantity, `c` for a category's code."""

    LEARNED: ClassVar[bool] = False
    """Whether the manifest must keep what the encoding learned."""

    @property
    def suffixes(self) -> tuple[str, ...]:
        """The suffix of each feature's name after the column's name."""
        return ("",)

    @property
    def level_count(self) -> int:
        """Number of codes, which is 0 for a quantity."""
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
        """The encoding as the manifest keeps it."""
        return {}

    @abstractmethod
    def raw(self, cells: Cells) -> NDArray[Any]:
        """The features, shape (rows, features), with `MISSING` and `UNSEEN` as codes of categories.

        Raises:
            BadCell: the column cannot hold one of the cells.
        """

    @abstractmethod
    def encode_quickly(self, cells: list[Any]) -> Sequence[Sequence[float | None]]:
        """The features of ordinary cells, one sequence per feature, None where a cell is missing; faster than `raw`.

        Raises:
            QUICK_ERRORS: a cell is not ordinary; `raw` decides about it.
        """

    def decode(self, features: NDArray[Any]) -> list[str]:
        """The cells as texts for people, given their features of shape (rows, features); empty if missing or unseen."""
        values = features[:, 0].astype(np.float32)  # whose shortest decimal is what the table had
        return ["" if math.isnan(value) else np.format_float_positional(value, trim="-") for value in values]

    def tolerant(self) -> "Encoding":
        """The encoding that takes a level that training did not see for a missing cell, never refuses it."""
        return self

    def unseen_levels(self, _cells: "Cells | Distinct") -> Counter[str]:
        """The levels that training did not see, with the number of their cells; the cells are not refused."""
        return Counter()

    def narrow(self, _features: NDArray[Any]) -> "Encoding":
        """The encoding with only the levels that occur in these features."""
        return self

    def recode(self, features: NDArray[np.float32], _narrowed: "Encoding") -> NDArray[np.float32]:
        """These features as the narrowed encoding would make them."""
        return features


def is_missing(cell: object) -> bool:
    """Whether a cell is empty: None, the empty text, or NaN."""
    return cell is None or (isinstance(cell, str) and not cell) or (isinstance(cell, float) and math.isnan(cell))


def to_python(cells: Cells) -> list[Any]:
    """The cells as Python values; a 16 or 32-bit float becomes the number of its shortest decimal."""
    if not isinstance(cells, np.ndarray):
        return [_item_to_python(cell) for cell in cells]
    if cells.dtype.kind == "f" and cells.dtype.itemsize < np.float64().itemsize:
        values, indices = np.unique(cells, return_inverse=True)
        return values.astype(np.str_).astype(np.float64)[indices].tolist()  # type: ignore[no-any-return]
    if cells.dtype.kind in "biufU":
        return cells.tolist()  # type: ignore[no-any-return]
    return [_item_to_python(cell) for cell in cells]


def first_refusal(cells: list[Any], check: Callable[[Any], str]) -> BadCell | None:
    """The error about the first cell that `check` refuses, or None.

    Args:
        cells: of a column.
        check: returns what it expects in place of a cell, or the empty text to accept the cell.
    """
    expected = [check(cell) for cell in cells]
    first = next(filter(None, expected), None)
    if first is None:
        return None
    rows = [row for row, expectation in enumerate(expected) if expectation == first]
    return BadCell(rows, first, describe_cell(cells[rows[0]]))


def describe_cell(cell: object) -> str:
    """Describe a cell for a message, shortened and on one line."""
    return "an empty cell" if is_missing(cell) else one_line(shown(cell))


def _item_to_python(cell: object) -> object:
    return cell.item() if isinstance(cell, np.generic) and cell.dtype.kind in "biufU" else cell
