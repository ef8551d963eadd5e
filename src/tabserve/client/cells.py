"""The cells of a column in the form in which a request holds them."""

import math
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, date, datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tabserve.client.metadata import DTYPES, Column
from tabserve.encoding.categories import spelling
from tabserve.encoding.dates import DATE_UNITS
from tabserve.errors import InvalidRequest
from tabserve.serving.protocol.datatypes import BYTES
from tabserve.wording import shown


def to_send(column: Column, cells: Sequence[Any] | NDArray[Any]) -> NDArray[Any]:
    """The cells in the column's datatype; numbers and booleans in a column of texts are spelled as its levels are.

    Raises:
        InvalidRequest: the column cannot hold a cell.
    """
    if column.datatype == BYTES:
        spell = SPELLINGS.get(column.kind, _text)
        return np.array([spell(column.name, row, cell) for row, cell in enumerate(_objects(cells))], np.object_)
    try:
        return np.array(cells, DTYPES[column.datatype])
    except (ValueError, TypeError) as error:
        raise InvalidRequest(f"Column {column.name!r} holds something other than numbers: {error}.") from error


def _objects(cells: Sequence[Any] | NDArray[Any]) -> list[Any]:
    """The cells as Python's objects; numpy would make whole numbers of times in nanoseconds."""
    array: NDArray[Any] = np.asarray(cells) if hasattr(cells, "dtype") else np.array(cells, np.object_)
    if array.dtype.kind == "M":
        array = array.astype("M8[D]" if np.datetime_data(array.dtype)[0] in DATE_UNITS else "M8[us]")
    return array.astype(np.object_).tolist()  # type: ignore[no-any-return]


def _text(column: str, row: int, cell: object) -> str:
    if not isinstance(cell, str | bool | int | float | None) or cell in (math.inf, -math.inf):
        raise InvalidRequest(
            f"Row {row}, column {column!r}, is {shown(cell)}; expected a text, a number, true or false."
        )
    return spelling(cell)


def _date(column: str, row: int, cell: object) -> str:
    """A date, a moment or a text in ISO 8601; a missing one is empty, and one of a time zone is that of UTC."""
    if cell is None or cell != cell:  # noqa: PLR0124  only NaN and NaT differ from themselves
        return ""
    if isinstance(cell, datetime) and cell.tzinfo:
        cell = cell.astimezone(UTC).replace(tzinfo=None)  # as the moments of a file are read
    if not isinstance(cell, str | date):
        raise InvalidRequest(f"Row {row}, column {column!r}, is {shown(cell)}; expected a date, or a text that is one.")
    return str(cell)


SPELLINGS: Mapping[str, Callable[[str, int, object], str]] = {"date": _date}
"""The spelling of the cells of a kind of column, where it is not that of a text or a level."""
