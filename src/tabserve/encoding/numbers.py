"""Numbers from the cells of a column or the values of a tensor, each checked to fit a 32-bit float."""

from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from tabserve.encoding.cells import Cells, Encoding, is_missing, plain, refused
from tabserve.errors import InvalidRequest
from tabserve.problem.columns import Column
from tabserve.wording import shown

Number = TypeVar("Number", bound=np.generic)

BOOL = "BOOL"
"""The V2 datatype of booleans, which a model takes as 1 and 0."""

HALF = "FP16"
"""The V2 datatype of 16-bit floats, each of which a 32-bit float holds exactly."""

DATATYPES: dict[str, np.dtype[Any]] = {
    "FP32": np.dtype("<f4"),
    "FP64": np.dtype("<f8"),
    **{f"INT{8 * size}": np.dtype(f"<i{size}") for size in (1, 2, 4, 8)},
    **{f"UINT{8 * size}": np.dtype(f"<u{size}") for size in (1, 2, 4, 8)},
    HALF: np.dtype("<f2"),
    BOOL: np.dtype("|u1"),
}
"""The numpy dtype of each V2 datatype of numbers."""

RECAST = {HALF, BOOL}
"""Datatypes whose values are converted before they are checked."""

FLOAT32_MAX = float(np.finfo(np.float32).max)

PLAIN = (float, int)
"""Types of numbers; true and false are of another."""

RANGES = {
    HALF: (-65504.0, 65504.0),
    **{
        name: (float(np.iinfo(kind).min), float(np.iinfo(kind).max))
        for name, kind in DATATYPES.items()
        if "INT" in name
    },
}
"""The range of each datatype that is narrower than that of 32-bit floats."""

FEW = 1_000
"""Most values whose squares are summed by vdot; OpenBLAS would use all cores for many more."""

Values = list[Any] | NDArray[Any]
"""A list as a JSON parser returns it, or an array of numbers."""

Place = Callable[[int], str]
"""Describes the position of the value with this index, in words."""


@dataclass(frozen=True)
class Numbers(Encoding):
    """A column of numbers within the range of 32-bit floats.

    Attributes:
        missing: whether a cell may be empty.
    """

    missing: bool = False

    @classmethod
    def learn(cls, column: Column, _cells: Cells) -> "Numbers":
        """Nothing is learned: the column alone says whether a number may be missing."""
        return cls(column.missing)

    @classmethod
    def from_json(cls, column: Column, _document: Any) -> "Numbers":  # noqa: ANN401  any JSON
        """The manifest keeps nothing."""
        return cls(column.missing)

    def encode(self, cells: Cells) -> NDArray[np.float32]:
        """The numbers, NaN where they are missing; shape (rows, 1).

        Raises:
            BadCell: a cell is not a number (booleans and texts are not), too large, or missing where that is refused.
        """
        array = cells if isinstance(cells, np.ndarray) and cells.dtype.kind in "iuf" else self._array(cells)
        if array.dtype == DATATYPES[HALF]:
            array = array.astype(np.float32)  # its squares are beyond 16 bits
        if len(array) and not _fits(array, allow_missing=self.missing):
            self._refuse(plain(array))
        return array.astype(np.float32, copy=False)[:, np.newaxis]

    raw = encode

    def quick(self, cells: list[Any]) -> list[list[Any]]:
        """The numbers themselves."""
        there = [cell for cell in cells if cell is not None] if self.missing else cells
        if not all([type(cell) in PLAIN and -FLOAT32_MAX <= cell <= FLOAT32_MAX for cell in there]):  # noqa: C419  a list is faster
            raise ValueError("no number, or too large a one")
        return [cells]

    def _array(self, cells: Cells) -> NDArray[np.float64]:
        if type(cells) is list and (array := _array(cells, allow_missing=True)) is not None:
            return array
        values = [None if is_missing(cell) else cell for cell in plain(cells)]
        self._refuse(values)
        return np.array(values, np.float64)

    def _refuse(self, values: list[Any]) -> None:
        if bad := refused(values, self._expected):
            raise bad

    def _expected(self, cell: object) -> str:
        """What a cell should hold, or the empty text if it is accepted."""
        if is_missing(cell):
            return "" if self.missing else "a number"
        if isinstance(cell, bool) or not isinstance(cell, int | float):
            return "a number"
        return "" if abs(cell) <= FLOAT32_MAX else f"a number that 32 bits can hold, up to {FLOAT32_MAX:.4g}"


def joined(parts: Iterable[NDArray[Number]]) -> NDArray[Number]:
    """Concatenate at least one array; a single one is not copied."""
    first, *others = parts
    return np.concatenate([first, *others]) if others else first


def read(values: Values, datatype: str, place: Place, *, allow_missing: bool) -> NDArray[Any]:
    """The values of a tensor as numbers of its datatype.

    Raises:
        InvalidRequest: about the first value that the datatype cannot hold or the model cannot take.
    """
    if datatype == BOOL:
        return _truths(values, place, allow_missing=allow_missing)
    if isinstance(values, np.ndarray) and values.dtype == DATATYPES[HALF]:
        return numbers(values.astype(np.float32), place, allow_missing=allow_missing)
    array = numbers(values, place, allow_missing=allow_missing)
    check_held(datatype, array, 0, place)
    return array.astype(np.float16).astype(np.float32) if datatype == HALF else array


def numbers(values: Values, place: Place, *, allow_missing: bool) -> NDArray[Any]:
    """The values as an array of numbers that float32 can hold; null and NaN are missing, where that is allowed.

    Raises:
        InvalidRequest: about the first value that is not such a number.
    """
    if (array := _usable(values, allow_missing=allow_missing)) is not None:
        return array
    for start in range(0, len(values), FEW):  # the position is searched in few values only
        few = values[start : start + FEW]
        if _usable(few, allow_missing=allow_missing) is None:
            cells = few.tolist() if isinstance(few, np.ndarray) else few
            complaints = (_complaint(cell, allow_missing=allow_missing) for cell in cells)
            cell, complaint = next((cell, complaint) for cell, complaint in enumerate(complaints) if complaint)
            raise InvalidRequest(f"{place(start + cell)} {complaint}.")
    raise AssertionError("All chunks of the values are usable, but the whole is not.")


def check_held(datatype: str, values: NDArray[Any], start: int, place: Place) -> None:
    """Refuse numbers that a datatype cannot hold; `start` is the index of the first one.

    Raises:
        InvalidRequest: about the first of them.
    """
    if datatype not in RANGES or values.dtype == DATATYPES[datatype]:
        return
    low, high = RANGES[datatype]
    whole = values if datatype == HALF else np.floor(values)
    fits = ((values == whole) & (values >= low) & (values <= high)) | np.isnan(values)
    if not fits.all():
        cell = int(np.argmin(fits))
        found = shown(float(values[cell]))
        raise InvalidRequest(f"{place(start + cell)} is {found}; its tensor's datatype {datatype} cannot hold that.")


def _truths(values: Values, place: Place, *, allow_missing: bool) -> NDArray[Any]:
    """Booleans as 1 and 0, from JSON or from bytes."""
    if isinstance(values, np.ndarray) and values.dtype == DATATYPES[BOOL]:
        if values.max() > 1:
            cell = int(np.argmax(values > 1))
            raise InvalidRequest(f"{place(cell)} is the byte {values[cell]}; a BOOL is 1 for true, or 0 for false.")
        return values
    cells = values.tolist() if isinstance(values, np.ndarray) else values
    kinds = {bool, type(None)} if allow_missing else {bool}
    if not set(map(type, cells)) <= kinds:
        cell = next(cell for cell, value in enumerate(cells) if type(value) not in kinds)
        raise InvalidRequest(f"{place(cell)} is {shown(cells[cell])}; a BOOL is true or false.")
    return np.array(cells, dtype=np.float32)


def _usable(values: Values, *, allow_missing: bool) -> NDArray[Any] | None:
    array = values if isinstance(values, np.ndarray) else _array(values, allow_missing=allow_missing)
    return array if array is not None and _fits(array, allow_missing=allow_missing) else None


def _array(cells: list[Any], *, allow_missing: bool) -> NDArray[np.float64] | None:
    """JSON values as float64, or None if one is not a number."""
    if set(map(type, cells)) <= {float, int, *([type(None)] if allow_missing else [])}:
        with suppress(OverflowError):
            return np.array(cells, dtype=np.float64)
    return None


def _fits(array: NDArray[Any], *, allow_missing: bool) -> bool:
    if array.dtype.kind == "f" and len(array) <= FEW and np.vdot(array, array) <= FLOAT32_MAX:
        return True  # each square is at most their sum, and `vdot` overflows without a warning
    size = np.abs(array)
    if size.max() <= FLOAT32_MAX:  # not so where a NaN is among them
        return True
    return allow_missing and bool(((size <= FLOAT32_MAX) | np.isnan(size)).all())


def _complaint(cell: object, *, allow_missing: bool) -> str:
    """What is wrong with a cell, or the empty text."""
    if cell is None or cell != cell:  # noqa: PLR0124  only NaN differs from itself
        return "" if allow_missing else f"is {shown(cell)}; this model needs a number for every feature"
    if isinstance(cell, bool) or not isinstance(cell, int | float):
        return f"is {shown(cell)}; expected a number"
    if cell in (np.inf, -np.inf):
        return f"is {shown(cell)}; expected a finite number"
    return "" if abs(cell) <= FLOAT32_MAX else f"is {shown(cell)}; a 32-bit float reaches only {FLOAT32_MAX:.4g}"
