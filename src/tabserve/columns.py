"""Which columns a table must have, and each batch's cells in their types."""

from bisect import bisect_left
from collections import Counter
from collections.abc import Sequence
from difflib import get_close_matches
from operator import attrgetter
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from tabserve.blocks import MISSING, BadRow
from tabserve.errors import DataError

MAX_NEAR = 1_000
"""Names that are searched for one that was meant; each takes a tenth of a millisecond."""


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


def check_names(path: Path | str, found: list[str], columns: Columns) -> None:
    """Refuse repeated, missing and unexpected columns.

    Raises:
        DataError: naming the first of them.
    """
    wanted, known, given = [*columns.numbers, *columns.texts], set(columns.ignored), set(found)
    known.update(wanted)
    repeated = [name for name, count in Counter(found).items() if count > 1]
    missing = [name for name in wanted if name not in given]
    extra = [name for name in found if name not in known]
    if repeated:
        raise DataError(f"{path} has the column {repeated[0]!r} more than once; every column needs a name of its own.")
    if len(found) == 1 and len(wanted) > 1:
        raise DataError(f"{path} has one column, named {found[0][:40]!r}; expected {len(wanted)} separated by commas.")
    if missing:
        capitals = [name for name in extra if name.lower() == missing[0].lower()]
        near = capitals or get_close_matches(missing[0], extra[:MAX_NEAR], 1)
        hint = f"did you mean {near[0]!r}?" if near else f"expected {len(wanted)} columns, found {len(found)}."
        raise DataError(f"{path} lacks {listed(missing)}; {hint}")
    if extra:
        raise DataError(f"{path} has unexpected columns: {listed(extra)}; remove them, or name them in the problem.")


def listed(names: Sequence[str]) -> str:
    """The first names of a list, and how many more there are."""
    shown = ", ".join(repr(name) for name in names[:5])
    return f"{shown} and {len(names) - 5} more" if len(names) > 5 else shown


def bad_cell(row: int, column: str, expected: str, found: str) -> BadRow:
    """What is wrong with one cell; rows are counted from 0 here and from 1 in the message."""
    return BadRow(row + 1, f"expected {expected}, found {found}", column)


def typed(path: Path | str, batch: pa.RecordBatch, schema: pa.Schema) -> pa.RecordBatch:
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


def _column(path: Path | str, column: pa.Array, field: pa.Field) -> pa.Array:
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
