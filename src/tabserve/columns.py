"""Which columns a table must have, and each batch's cells in their types."""

from bisect import bisect_left
from collections.abc import Sequence
from operator import attrgetter
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from tabserve.blocks import MISSING, BadRow
from tabserve.errors import DataError


class Columns(NamedTuple):
    """What to read of a table, whatever the order in the file.

    Attributes:
        numbers: columns read as float64; an empty cell is null.
        texts: columns read as text; an empty cell of a csv is the empty text.
        ignored: columns that may be there and are not read; any other column is refused.
    """

    numbers: Sequence[str]
    texts: Sequence[str]
    ignored: Sequence[str] = ()

    def schema(self) -> pa.Schema:
        """The Arrow schema of what is read."""
        return pa.schema(
            [*((name, pa.float64()) for name in self.numbers), *((name, pa.string()) for name in self.texts)]
        )


def bad_cell(row: int, column: str, expected: str, found: str) -> BadRow:
    """What is wrong with one cell; rows are counted from 0 here and from 1 in the message."""
    return BadRow(row + 1, f"expected {expected}, found {found}", column)


def typed(path: Path, batch: pa.RecordBatch, schema: pa.Schema) -> pa.RecordBatch:
    """The columns of the schema in its types."""
    if batch.schema == schema:
        return batch
    columns, bad = [], []
    for field in schema:
        try:
            columns.append(_column(path, batch[field.name], field))
        except BadRow as error:
            bad.append(error)
    if bad:
        raise min(bad, key=attrgetter("row"))
    return pa.record_batch(columns, schema)


def _column(path: Path, column: pa.Array, field: pa.Field) -> pa.Array:
    expected = "number" if field.type == pa.float64() else "text"
    try:
        return _cast(column, field.type)
    except pa.ArrowNotImplementedError as error:
        raise DataError(f"{path}, column {field.name!r}: expected {expected}s, found {column.type}.") from error
    except pa.ArrowInvalid as error:
        row = bisect_left(range(len(column)), True, key=lambda row: not _castable(column[: row + 1], field.type))
        raise bad_cell(row, field.name, f"a {expected}", repr(str(column[row])[:40])) from error


def _cast(column: pa.Array, kind: pa.DataType) -> pa.Array:
    """Text as text; numbers rounded to float64, also from text, which is then read as a csv's."""
    if kind == pa.float64() and pa.types.is_primitive(column.type):
        return column.cast(kind, safe=False)
    if pa.types.is_floating(column.type):
        column = pc.if_else(pc.is_nan(column), None, column)
    text = column.cast(pa.string())
    if kind == pa.string():
        return text
    empty = pc.is_in(text, value_set=pa.array(MISSING))
    return pc.utf8_trim(pc.if_else(empty, None, text), " \t").cast(kind)


def _castable(column: pa.Array, kind: pa.DataType) -> bool:
    try:
        _cast(column, kind)
    except pa.ArrowInvalid:
        return False
    return True
