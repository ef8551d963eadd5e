"""Which columns a table must have, and each batch's cells in their types."""

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from decimal import Decimal
from difflib import get_close_matches
from operator import attrgetter
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from tabserve.errors import DataError
from tabserve.table.csv_blocks import MISSING, BadRow
from tabserve.wording import listed

INDEX = re.compile(r"Unnamed: 0(\.\d+)?|__index_level_\d+__")
"""What pandas calls an index that was saved: read from a csv again, and in parquet."""

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

    def only(self, names: Collection[str]) -> "Columns":
        """These of the columns; the others may be there and are not read."""
        numbers, texts = ([name for name in some if name in names] for some in (self.numbers, self.texts))
        others = [name for name in (*self.numbers, *self.texts) if name not in names]
        return Columns(numbers, texts, [*self.ignored, *others])

    def schema(self) -> pa.Schema:
        """The Arrow schema of what is read."""
        return pa.schema(
            [*((name, pa.float64()) for name in self.numbers), *((name, pa.string()) for name in self.texts)]
        )


def check_names(path: Path | str, found: list[str], columns: Columns) -> None:
    """Refuse nameless, repeated, missing and unexpected columns.

    Raises:
        DataError: naming the first of them.
    """
    wanted, known, given = [*columns.numbers, *columns.texts], set(columns.ignored), set(found)
    known.update(wanted)
    repeated = [name for name, count in Counter(found).items() if count > 1]
    missing = [name for name in wanted if name not in given]
    extra = [name for name in found if name not in known]
    _check_index(path, found, extra)
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
        raise DataError(
            f"{path} has unexpected columns: {listed(extra)}; remove them, or train anew by a problem that names them."
        )


def _check_index(path: Path | str, found: list[str], extra: list[str]) -> None:
    """Refuse a column without a name, and an index that pandas saved beside the columns."""
    named = "or, where it is a column that is expected, give it that name"
    if "" in extra and not found.index(""):
        raise DataError(
            f"{path} has a first column without a name, as pandas' to_csv writes its index; save the table by"
            f" to_csv(index=False), {named}."
        )
    if "" in extra:
        raise DataError(f"{path} has no name for column {found.index('') + 1} of its header; remove it, {named}.")
    if index := next(filter(INDEX.fullmatch, extra), None):
        raise DataError(
            f"{path} has the column {index!r}, an index that pandas saved; save the table with index=False, {named}."
        )


def bad_cell(rows: Iterable[int], column: str, expected: str, found: str) -> BadRow:
    """What is wrong with one cell of the first of these rows, counted from 0 here and from 1 in the message."""
    return BadRow([int(row) + 1 for row in rows], f"expected {expected}, found {found}", column)


def refused(places: range, accepts: Callable[[slice], bool]) -> Iterator[int]:
    """The places that are not accepted alone, in rising order; tried together first, then by halves."""
    if not accepts(slice(places.start, places.stop)):
        if len(places) == 1:
            yield places[0]
        else:
            half = len(places) // 2
            yield from refused(places[:half], accepts)
            yield from refused(places[half:], accepts)


def typed(path: Path | str, batch: pa.RecordBatch, schema: pa.Schema) -> pa.RecordBatch:
    """The columns of the schema in its types."""
    if batch.schema == schema:
        return batch
    alike, columns, bad = defaultdict(list), dict[str, pa.Array](), []
    for field in schema:
        alike[batch[field.name].type, field.type].append(field.name)
    for (_, kind), names in alike.items():
        try:
            columns.update(_typed(path, batch.select(names), kind))
        except BadRow as error:
            bad.append(error)
    if bad:
        raise min(bad, key=attrgetter("row"))
    return pa.record_batch([columns[name] for name in schema.names], schema)


def _typed(path: Path | str, batch: pa.RecordBatch, kind: pa.DataType) -> Iterator[tuple[str, pa.Array]]:
    """Columns of one type in another, cast as one: of few rows the calls take longer than the work."""
    names, rows, cells = batch.schema.names, len(batch), pa.concat_arrays(batch.columns)
    expected = "number" if kind == pa.float64() else "text"
    try:
        found = _cast(cells, kind)
    except pa.ArrowNotImplementedError as error:
        raise DataError(f"{path}, column {names[0]!r}: expected {expected}s, found {cells.type}.") from error
    except pa.ArrowInvalid as error:
        bad = [*refused(range(rows), lambda some: _castable(batch[some].columns, kind))]
        first = batch[bad[0] :][:1].columns
        column = next(refused(range(len(first)), lambda some: _castable(first[some], kind)))
        expected = "finite number" if pa.types.is_floating(cells.type) else expected
        raise bad_cell(bad, names[column], f"a {expected}", repr(str(first[column][0])[:40])) from error
    return ((name, found.slice(place * rows, rows)) for place, name in enumerate(names))


def _cast(column: pa.Array, kind: pa.DataType) -> pa.Array:
    """Text as text; numbers rounded to float64, also from text, which is then read as a csv's."""
    if kind == pa.float64() and pa.types.is_primitive(column.type):
        return column.cast(kind, safe=False)
    if pa.types.is_floating(column.type):
        column = _decimals(pc.if_else(pc.is_nan(column), None, column))
    text = column.cast(pa.string())
    if kind == pa.string():
        return text
    empty = pc.is_in(text, value_set=pa.array(MISSING))
    return pc.utf8_trim(pc.if_else(empty, None, text), " \t").cast(kind)


def _decimals(floats: pa.Array) -> pa.Array:
    """Floats as text without exponents, as `encoding.categories` spells them; infinity has no such text."""
    if pc.any(pc.is_inf(floats)).as_py():
        raise pa.ArrowInvalid("infinity is no decimal")
    text = floats.cast(pa.string())
    if not pc.any(pc.match_substring(text, "e")).as_py():
        return text
    return pa.array([format(Decimal(each), "f") if each and "e" in each else each for each in text.to_pylist()])


def _castable(columns: Sequence[pa.Array], kind: pa.DataType) -> bool:
    try:
        _cast(pa.concat_arrays(columns), kind)
    except pa.ArrowInvalid:
        return False
    return True
