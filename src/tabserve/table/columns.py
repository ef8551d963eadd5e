"""Check the names of a table's columns, and cast the cells of a batch to their types."""

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from difflib import get_close_matches
from operator import attrgetter
from typing import NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from tabserve.encoding.categories import spelling
from tabserve.encoding.cells import BadCell
from tabserve.errors import DataError
from tabserve.table.csv_blocks import MISSING, BadRow
from tabserve.wording import listed

INDEX = re.compile(r"Unnamed: 0(\.\d+)?|__index_level_\d+__")
"""Names that pandas gives a saved index: when it reads one from a csv, and in parquet."""

MAX_NEAR = 1_000
"""Names at most that are compared with a missing one; each comparison takes a tenth of a millisecond."""


class Columns(NamedTuple):
    """The columns to read of a table, in whatever order the file has them.

    Attributes:
        numbers: columns read as float64; an empty cell is null.
        texts: columns read as text; an empty cell of a csv is the empty text.
        ignored: columns that the file may have and that are not read; any other column is refused.
        stored: the types of the columns, if they are read as the file stores them; texts and numbers otherwise.
    """

    numbers: Sequence[str]
    texts: Sequence[str]
    ignored: Sequence[str] = ()
    stored: pa.Schema | None = None

    def only(self, names: Collection[str]) -> "Columns":
        """Read only the columns of these names, and ignore the others."""
        numbers, texts = ([name for name in group if name in names] for group in (self.numbers, self.texts))
        others = [name for name in (*self.numbers, *self.texts) if name not in names]
        return Columns(numbers, texts, [*self.ignored, *others])

    def schema(self) -> pa.Schema:
        """The Arrow schema of the columns that are read."""
        return self.stored or pa.schema(
            [*((name, pa.float64()) for name in self.numbers), *((name, pa.string()) for name in self.texts)]
        )


def check_names(table: str, names: list[str], columns: Columns) -> None:
    """Refuse a table with nameless, repeated, missing or unexpected columns.

    Args:
        table: its name in messages.
        names: of all its columns, in its order.
        columns: those that are expected.

    Raises:
        DataError: naming the first columns that are wrong.
    """
    wanted = [*columns.numbers, *columns.texts]
    known, present = {*wanted, *columns.ignored}, set(names)
    repeated = [name for name, count in Counter(names).items() if count > 1]
    missing = [name for name in wanted if name not in present]
    extra = [name for name in names if name not in known]
    _check_index(table, names, extra)
    if repeated:
        raise DataError(f"{table} has the column {repeated[0]!r} more than once; every column needs a name of its own.")
    if len(names) == 1 and len(wanted) > 1:
        raise DataError(f"{table} has one column, named {names[0][:40]!r}; expected {len(wanted)} separated by commas.")
    if missing:
        capitals = [name for name in extra if name.lower() == missing[0].lower()]
        near = capitals or get_close_matches(missing[0], extra[:MAX_NEAR], 1)
        hint = f"did you mean {near[0]!r}?" if near else f"expected {len(wanted)} columns, found {len(names)}."
        raise DataError(f"{table} lacks {listed(missing)}; {hint}")
    if extra:
        raise DataError(
            f"{table} has unexpected columns: {listed(extra)}; remove them, or train anew by a problem that names them."
        )


def _check_index(table: str, names: list[str], extra: list[str]) -> None:
    """Refuse a column without a name, and an index that pandas saved."""
    rename = "or, where it is a column that is expected, give it that name"
    if "" in extra and not names.index(""):
        raise DataError(
            f"{table} has a first column without a name, as pandas' to_csv writes its index; save the table by"
            f" to_csv(index=False), {rename}."
        )
    if "" in extra:
        raise DataError(f"{table} has no name for column {names.index('') + 1} of its header; remove it, {rename}.")
    if index := next(filter(INDEX.fullmatch, extra), None):
        raise DataError(
            f"{table} has the column {index!r}, an index that pandas saved; save the table with index=False, {rename}."
        )


def bad_cell(rows: Iterable[int], column: str, expected: str, found: str) -> BadRow:
    """The error of a column's cells in these rows, numbered from 0; `found` is the first of the cells."""
    return BadRow([int(row) + 1 for row in rows], f"expected {expected}, found {found}", column)


@contextmanager
def naming_rows(column: str = "") -> Iterator[None]:
    """Raise a BadCell of the block as the BadRow of its cells; `column` is that of an error that names none."""
    try:
        yield
    except BadCell as error:
        raise bad_cell(error.rows, error.column or column, error.expected, error.found) from error


def no_rows(name: object) -> DataError:
    """The error of a table that has only a header."""
    return DataError(f"{name} has a header and no rows; a table needs at least one row below its header.")


def bad_indices(indices: range, accepts: Callable[[slice], bool]) -> Iterator[int]:
    """Find the indices that are not accepted, in rising order, by halving every range that is not accepted whole."""
    if not accepts(slice(indices.start, indices.stop)):
        if len(indices) == 1:
            yield indices[0]
        else:
            half = len(indices) // 2
            yield from bad_indices(indices[:half], accepts)
            yield from bad_indices(indices[half:], accepts)


def cast_batch(table: str, batch: pa.RecordBatch, schema: pa.Schema) -> pa.RecordBatch:
    """Cast a batch's columns to the schema's types.

    Raises:
        BadRow: naming the first row with a cell that cannot be cast.
        DataError: no cell of a column's type can be cast.
    """
    if batch.schema == schema:
        return batch
    groups, columns, bad = defaultdict(list), dict[str, pa.Array](), []
    batch = pa.record_batch([*map(_decode, batch.columns)], batch.schema.names)
    for field in schema:
        groups[batch[field.name].type, field.type].append(field.name)
    for (_, target), names in groups.items():
        try:
            columns.update(_cast_columns(table, batch.select(names), target))
        except BadRow as error:
            bad.append(error)
    if bad:
        raise min(bad, key=attrgetter("row"))
    return pa.record_batch([columns[name] for name in schema.names], schema)


def _decode(column: pa.Array) -> pa.Array:
    """The cells themselves, if the column holds the number of each cell in a dictionary."""
    return column.dictionary_decode() if pa.types.is_dictionary(column.type) else column


def _cast_columns(table: str, batch: pa.RecordBatch, target: pa.DataType) -> Iterator[tuple[str, pa.Array]]:
    """Cast columns of one type in a single call: with few rows the calls take longer than the work."""
    names, rows, cells = batch.schema.names, len(batch), pa.concat_arrays(batch.columns)
    expected = "number" if target == pa.float64() else "text"
    try:
        cast = _cast_array(cells, target)
    except pa.ArrowNotImplementedError as error:
        raise DataError(f"{table}, column {names[0]!r}: expected {expected}s, found {cells.type}.") from error
    except pa.ArrowInvalid as error:
        bad = [*bad_indices(range(rows), lambda part: _castable(batch[part].columns, target))]
        row = batch[bad[0] :][:1].columns
        column = next(bad_indices(range(len(row)), lambda part: _castable(row[part], target)))
        expected = "finite number" if pa.types.is_floating(cells.type) else expected
        raise bad_cell(bad, names[column], f"a {expected}", repr(str(row[column][0])[:40])) from error
    return ((name, cast.slice(index * rows, rows)) for index, name in enumerate(names))


def _cast_array(column: pa.Array, target: pa.DataType) -> pa.Array:
    """Cast to text or to float64; numbers are rounded, and those in text are spelled as in a csv."""
    if target == pa.float64() and pa.types.is_primitive(column.type):
        return column.cast(target, safe=False)
    if pa.types.is_floating(column.type):
        column = _decimals(pc.if_else(pc.is_nan(column), None, column))
    text = column.cast(pa.string())
    if target == pa.string():
        return text
    empty = pc.is_in(text, value_set=pa.array(MISSING))
    return pc.utf8_trim(pc.if_else(empty, None, text), " \t").cast(target)


def _decimals(floats: pa.Array) -> pa.Array:
    """Floats as text without exponents, as `encoding.categories` spells them; infinity has no such text."""
    if pc.any(pc.is_inf(floats)).as_py():
        raise pa.ArrowInvalid("infinity is no decimal")
    text = floats.cast(pa.string())
    if not pc.any(pc.match_substring(text, "e")).as_py():
        return text
    return pa.array([spelling(float(cell)) if cell and "e" in cell else cell for cell in text.to_pylist()])


def _castable(columns: Sequence[pa.Array], target: pa.DataType) -> bool:
    try:
        _cast_array(pa.concat_arrays(columns), target)
    except pa.ArrowInvalid:
        return False
    return True
