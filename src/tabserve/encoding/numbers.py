"""Validate the numbers of a column or a tensor, each of which must fit a 32-bit float."""

from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from tabserve.encoding.cells import Cells, Encoding, first_refusal, is_missing, to_python
from tabserve.errors import InvalidRequest
from tabserve.problem.columns import Column
from tabserve.wording import shown

Number = TypeVar("Number", bound=np.generic)

BOOL = "BOOL"
"""The V2 datatype of booleans, which become 1 and 0."""

HALF = "FP16"
"""The V2 datatype of 16-bit floats, which 32-bit floats hold exactly."""

DATATYPES: dict[str, np.dtype[Any]] = {
    "FP32": np.dtype("<f4"),
    "FP64": np.dtype("<f8"),
    **{f"INT{8 * size}": np.dtype(f"<i{size}") for size in (1, 2, 4, 8)},
    **{f"UINT{8 * size}": np.dtype(f"<u{size}") for size in (1, 2, 4, 8)},
    HALF: np.dtype("<f2"),
    BOOL: np.dtype("|u1"),
}
"""The numpy dtype of each numeric V2 datatype."""

RECAST = {HALF, BOOL}
"""Datatypes whose values are converted before they are checked."""

FLOAT32_MAX = float(np.finfo(np.float32).max)

NUMBER_TYPES = (float, int)
"""The exact types of numbers; bool, a subclass of int, is not among them."""

RANGES = {
    HALF: (-65504.0, 65504.0),
    **{
        name: (float(np.iinfo(kind).min), float(np.iinfo(kind).max))
        for name, kind in DATATYPES.items()
        if "INT" in name
    },
}
"""The range of each datatype whose range is narrower than that of 32-bit floats."""

FEW = 1_000
"""Most values that are checked by vdot, as OpenBLAS would use all cores for many more."""

Values = list[Any] | NDArray[Any]
"""A list of parsed JSON, or an array of numbers."""

Position = Callable[[int], str]
"""Describes the position of a value, given its index, for a message."""


@dataclass(frozen=True)
class Numbers(Encoding):
    """A column of numbers within the range of 32-bit floats.

    Attributes:
        missing: whether a cell may be empty.
    """

    missing: bool = False

    @classmethod
    def learn(cls, column: Column, _cells: Cells) -> "Numbers":
        """The encoding of the column; nothing is learned from the cells."""
        return cls(column.missing)

    @classmethod
    def from_json(cls, column: Column, _document: Any) -> "Numbers":  # noqa: ANN401  any JSON
        """The encoding of the column; the manifest keeps nothing of it."""
        return cls(column.missing)

    def encode(self, cells: Cells) -> NDArray[np.float32]:
        """The numbers, NaN where a cell is missing; shape (rows, 1).

        Raises:
            BadCell: a cell is not a number (booleans and texts are not), is too large, or is missing where that is
                refused.
        """
        array = cells if isinstance(cells, np.ndarray) and cells.dtype.kind in "iuf" else self._array(cells)
        if array.dtype == DATATYPES[HALF]:
            array = array.astype(np.float32)  # 16 bits do not hold the squares
        if len(array) and not _fits(array, allow_missing=self.missing):
            self._refuse(to_python(array))
        return array.astype(np.float32, copy=False)[:, np.newaxis]

    raw = encode

    def encode_quickly(self, cells: list[Any]) -> list[list[Any]]:
        """The cells themselves, which must be numbers or missing."""
        present = [cell for cell in cells if cell is not None] if self.missing else cells
        if not all([type(cell) in NUMBER_TYPES and -FLOAT32_MAX <= cell <= FLOAT32_MAX for cell in present]):  # noqa: C419  a list is faster
            raise ValueError("not a number, or too large")
        return [cells]

    def _array(self, cells: Cells) -> NDArray[np.float64]:
        if type(cells) is list and (array := _array(cells, allow_missing=True)) is not None:
            return array
        values = [None if is_missing(cell) else cell for cell in to_python(cells)]
        self._refuse(values)
        return np.array(values, np.float64)

    def _refuse(self, values: list[Any]) -> None:
        if bad := first_refusal(values, self._expected):
            raise bad

    def _expected(self, cell: object) -> str:
        """What is expected in place of a cell, or the empty text if the cell is accepted."""
        if is_missing(cell):
            return "" if self.missing else "a number"
        if isinstance(cell, bool) or not isinstance(cell, int | float):
            return "a number"
        return "" if abs(cell) <= FLOAT32_MAX else f"a number that 32 bits can hold, up to {FLOAT32_MAX:.4g}"


def concatenate(parts: Iterable[NDArray[Number]]) -> NDArray[Number]:
    """Concatenate at least one array; a single one is not copied."""
    first, *others = parts
    return np.concatenate([first, *others]) if others else first


def from_tensor(values: Values, datatype: str, position: Position, *, allow_missing: bool) -> NDArray[Any]:
    """Convert the values of a tensor to numbers of its datatype.

    Raises:
        InvalidRequest: the datatype cannot hold a value, or a value does not fit a 32-bit float.
    """
    if datatype == BOOL:
        return _booleans(values, position, allow_missing=allow_missing)
    if isinstance(values, np.ndarray) and values.dtype == DATATYPES[HALF]:
        return check_numbers(values.astype(np.float32), position, allow_missing=allow_missing)
    array = check_numbers(values, position, allow_missing=allow_missing)
    check_fits_datatype(datatype, array, 0, position)
    return array.astype(np.float16).astype(np.float32) if datatype == HALF else array


def check_numbers(values: Values, position: Position, *, allow_missing: bool) -> NDArray[Any]:
    """Return the values as an array of numbers that fit float32, NaN where a value is missing.

    Raises:
        InvalidRequest: a value is not such a number, or is missing and `allow_missing` is false.
    """
    if (array := _to_usable(values, allow_missing=allow_missing)) is not None:
        return array
    for start in range(0, len(values), FEW):  # search for the bad value in small chunks
        few = values[start : start + FEW]
        if _to_usable(few, allow_missing=allow_missing) is None:
            cells = few.tolist() if isinstance(few, np.ndarray) else few
            complaints = (_complaint(cell, allow_missing=allow_missing) for cell in cells)
            cell, complaint = next((cell, complaint) for cell, complaint in enumerate(complaints) if complaint)
            raise InvalidRequest(f"{position(start + cell)} {complaint}.")
    raise AssertionError("All chunks of the values are usable, but the whole is not.")


def check_fits_datatype(datatype: str, values: NDArray[Any], start: int, position: Position) -> None:
    """Refuse numbers that a datatype cannot hold; `start` is the index of the first number.

    Raises:
        InvalidRequest: names the first number that the datatype cannot hold.
    """
    if datatype not in RANGES or values.dtype == DATATYPES[datatype]:
        return
    low, high = RANGES[datatype]
    whole = values if datatype == HALF else np.floor(values)
    fits = ((values == whole) & (values >= low) & (values <= high)) | np.isnan(values)
    if not fits.all():
        cell = int(np.argmin(fits))
        found = shown(float(values[cell]))
        raise InvalidRequest(f"{position(start + cell)} is {found}; its tensor's datatype {datatype} cannot hold that.")


def _booleans(values: Values, position: Position, *, allow_missing: bool) -> NDArray[Any]:
    """Convert booleans, from JSON or from bytes, to 1 and 0."""
    if isinstance(values, np.ndarray) and values.dtype == DATATYPES[BOOL]:
        if values.max() > 1:
            cell = int(np.argmax(values > 1))
            raise InvalidRequest(f"{position(cell)} is the byte {values[cell]}; a BOOL is 1 for true, or 0 for false.")
        return values
    cells = values.tolist() if isinstance(values, np.ndarray) else values
    kinds = {bool, type(None)} if allow_missing else {bool}
    if not set(map(type, cells)) <= kinds:
        cell = next(cell for cell, value in enumerate(cells) if type(value) not in kinds)
        raise InvalidRequest(f"{position(cell)} is {shown(cells[cell])}; a BOOL is true or false.")
    return np.array(cells, dtype=np.float32)


def _to_usable(values: Values, *, allow_missing: bool) -> NDArray[Any] | None:
    """The values as an array, or None if one does not fit float32."""
    array = values if isinstance(values, np.ndarray) else _array(values, allow_missing=allow_missing)
    return array if array is not None and _fits(array, allow_missing=allow_missing) else None


def _array(cells: list[Any], *, allow_missing: bool) -> NDArray[np.float64] | None:
    """JSON values as float64, or None if one is not a number that float64 holds."""
    if set(map(type, cells)) <= {float, int, *([type(None)] if allow_missing else [])}:
        with suppress(OverflowError):
            return np.array(cells, dtype=np.float64)
    return None


def _fits(array: NDArray[Any], *, allow_missing: bool) -> bool:
    if array.dtype.kind == "f" and len(array) <= FEW and np.vdot(array, array) <= FLOAT32_MAX:
        return True  # each square is at most their sum, and `vdot` overflows without a warning
    size = np.abs(array)
    if size.max() <= FLOAT32_MAX:  # false if there is a NaN
        return True
    return allow_missing and bool(((size <= FLOAT32_MAX) | np.isnan(size)).all())


def _complaint(cell: object, *, allow_missing: bool) -> str:
    """The reason why a cell is invalid, or the empty text."""
    if cell is None or cell != cell:  # noqa: PLR0124  only NaN differs from itself
        return "" if allow_missing else f"is {shown(cell)}; this model needs a number for every feature"
    if isinstance(cell, bool) or not isinstance(cell, int | float):
        return f"is {shown(cell)}; expected a number"
    if cell in (np.inf, -np.inf):
        return f"is {shown(cell)}; expected a finite number"
    return "" if abs(cell) <= FLOAT32_MAX else f"is {shown(cell)}; a 32-bit float reaches only {FLOAT32_MAX:.4g}"
