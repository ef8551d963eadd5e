"""The values of a tensor, as JSON or as an array brought them, in; numbers that the model can take out."""

from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from tabserve.errors import InvalidRequest
from tabserve.serving.wording import shown

Number = TypeVar("Number", bound=np.generic)

DATATYPES: dict[str, np.dtype[Any]] = {
    "FP32": np.dtype("<f4"),
    "FP64": np.dtype("<f8"),
    **{f"INT{8 * size}": np.dtype(f"<i{size}") for size in (1, 2, 4, 8)},
    **{f"UINT{8 * size}": np.dtype(f"<u{size}") for size in (1, 2, 4, 8)},
}
"""How each V2 datatype that a tensor may have lies in bytes."""

FLOAT32_MAX = float(np.finfo(np.float32).max)

FEW = 1_000
"""Values whose squares are added up on one core: for many more, OpenBLAS would use all."""

Values = list[Any] | NDArray[Any]
"""What a JSON parser makes of a list, or an array of numbers."""

Place = Callable[[int], str]
"""Names the row and column of a value, for a sentence."""


def joined(parts: Iterable[NDArray[Number]]) -> NDArray[Number]:
    """One array of several, at least one; a lone one as it is."""
    first, *others = parts
    return np.concatenate([first, *others]) if others else first


def numbers(values: Values, place: Place, *, allow_missing: bool) -> NDArray[Any]:
    """The values as an array of numbers, if float32 can hold each (or, where allowed, it is null or NaN).

    Raises:
        InvalidRequest: about the first value that is no such number.
    """
    if (array := _usable(values, allow_missing=allow_missing)) is not None:
        return array
    for start in range(0, len(values), FEW):  # which of many is found much faster among few
        few = values[start : start + FEW]
        if _usable(few, allow_missing=allow_missing) is None:
            cells = few.tolist() if isinstance(few, np.ndarray) else few
            complaints = (_complaint(cell, allow_missing=allow_missing) for cell in cells)
            cell, complaint = next((cell, complaint) for cell, complaint in enumerate(complaints) if complaint)
            raise InvalidRequest(f"{place(start + cell)} {complaint}.")
    raise AssertionError("Each few of the values are usable, and all together are not.")


def check_whole(datatype: str, values: NDArray[Any], start: int, place: Place) -> None:
    """Refuse numbers that an integer datatype cannot hold; they are the values from `start` on.

    Raises:
        InvalidRequest: about the first of them.
    """
    kind = DATATYPES[datatype]
    if kind.kind == "f" or values.dtype == kind:
        return
    low, high = float(np.iinfo(kind).min), float(np.iinfo(kind).max)
    fits = ((values == np.floor(values)) & (values >= low) & (values <= high)) | np.isnan(values)
    if not fits.all():
        cell = int(np.argmin(fits))
        found = shown(float(values[cell]))
        raise InvalidRequest(f"{place(start + cell)} is {found}; its tensor's datatype {datatype} cannot hold that.")


def _usable(values: Values, *, allow_missing: bool) -> NDArray[Any] | None:
    array = values if isinstance(values, np.ndarray) else _array(values, allow_missing=allow_missing)
    return array if array is not None and _fits(array, allow_missing=allow_missing) else None


def _array(cells: list[Any], *, allow_missing: bool) -> NDArray[np.float64] | None:
    """JSON's cells as float64, unless one of them is no number."""
    if set(map(type, cells)) <= {float, int, *([type(None)] if allow_missing else [])}:
        with suppress(OverflowError):
            return np.array(cells, dtype=np.float64)
    return None


def _fits(array: NDArray[Any], *, allow_missing: bool) -> bool:
    if array.dtype.kind == "f" and len(array) <= FEW and np.vdot(array, array) <= FLOAT32_MAX:
        return True  # no square is larger than their sum, which `vdot` lets overflow without a warning
    size = np.abs(array)
    if size.max() <= FLOAT32_MAX:  # not so where a NaN is among them
        return True
    return allow_missing and bool(((size <= FLOAT32_MAX) | np.isnan(size)).all())


def _complaint(cell: object, *, allow_missing: bool) -> str:
    """What is wrong with a cell, or nothing."""
    if cell is None or cell != cell:  # noqa: PLR0124  only NaN differs from itself
        return "" if allow_missing else f"is {shown(cell)}; this model needs a number for every feature"
    if isinstance(cell, bool) or not isinstance(cell, int | float):
        return f"is {shown(cell)}; expected a number"
    if cell in (np.inf, -np.inf):
        return f"is {shown(cell)}; expected a finite number"
    return "" if abs(cell) <= FLOAT32_MAX else f"is {shown(cell)}; a 32-bit float reaches only {FLOAT32_MAX:.4g}"
