"""The columns to read of a table, and the errors of their names and cells."""

import logging
import re
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from difflib import get_close_matches
from typing import NamedTuple

import pyarrow as pa

from tabserve.encoding.cells import BadCell
from tabserve.errors import DataError
from tabserve.table.csv_blocks import BadRow
from tabserve.wording import listed

log = logging.getLogger(__name__)

INDEX = re.compile(r"Unnamed: 0(\.\d+)?|__index_level_\d+__")
"""Names that pandas gives a saved index: when it reads one from a csv, and in parquet."""

MAX_NEAR = 1_000
"""Names at most that are compared with a missing one; each comparison takes a tenth of a millisecond."""


LEVELS = pa.dictionary(pa.int32(), pa.string())
"""The type of texts that repeat: distinct texts, and the number of each cell's text."""


class Columns(NamedTuple):
    """The columns to read of a table, in whatever order the file has them.

    Attributes:
        numbers: columns read as float64; an empty cell is null.
        texts: columns read as text, without spaces and tabs around it; an empty cell of a csv is the empty text.
        ignored: columns that the file may have and that are not read; any other column is refused.
        levels: those of the texts that are read as dictionaries, as few texts repeat.
        blanks: further spellings of an empty cell, in all columns.
        optional: those of the numbers and texts that the table may lack; all their cells are null then.
        stored: the types of the columns, if they are read as the file stores them; texts and numbers otherwise.
    """

    numbers: Sequence[str]
    texts: Sequence[str]
    ignored: Sequence[str] = ()
    levels: Collection[str] = ()
    blanks: tuple[str, ...] = ()
    optional: Collection[str] = ()
    stored: pa.Schema | None = None

    def only(self, names: Collection[str]) -> "Columns":
        """Read only the columns of these names, and ignore the others."""
        numbers, texts = ([name for name in group if name in names] for group in (self.numbers, self.texts))
        others = [name for name in (*self.numbers, *self.texts) if name not in names]
        return self._replace(numbers=numbers, texts=texts, ignored=[*self.ignored, *others])

    def schema(self, names: Collection[str] | None = None) -> pa.Schema:
        """The Arrow schema of the columns that are read; only of those that are among the names, if some are given."""
        texts = ((name, LEVELS if name in self.levels else pa.string()) for name in self.texts)
        schema = self.stored or pa.schema([*((name, pa.float64()) for name in self.numbers), *texts])
        known = set(schema.names if names is None else names)
        return pa.schema([field for field in schema if field.name in known])


def check_names(table: str, names: list[str], columns: Columns) -> None:
    """Refuse a table with nameless, repeated, missing or unexpected columns; warn of optional ones that it lacks.

    Args:
        table: its name in messages.
        names: of all its columns, in its order.
        columns: those that are expected.

    Raises:
        DataError: naming the first columns that are wrong.
    """
    wanted = [*columns.numbers, *columns.texts]
    known = {*wanted, *columns.ignored}
    repeated = [name for name, count in Counter(names).items() if count > 1]
    extra = [name for name in names if name not in known]
    _check_index(table, names, extra)
    if repeated:
        raise DataError(f"{table} has the column {repeated[0]!r} more than once; every column needs a name of its own.")
    if len(names) == 1 < len(wanted) and names[0] not in wanted:
        raise DataError(f"{table} has one column, named {names[0][:40]!r}; expected {len(wanted)}.")
    absent = _check_present(table, names, columns, extra)
    if extra:
        raise DataError(
            f"{table} has unexpected columns: {listed(extra)}; remove them, or train anew by a problem that names them."
        )
    if absent:
        log.warning("%s lacks %s; each row is answered as one with an empty cell there.", table, listed(absent))


def _check_present(table: str, names: list[str], columns: Columns, extra: list[str]) -> list[str]:
    """The optional columns that a table lacks; refuse one that lacks others, has none, or one under another name."""
    wanted, present = [*columns.numbers, *columns.texts], set(names)
    lacking = [name for name in wanted if name not in present]
    near = nearest_name(lacking[0], extra) if lacking else None
    missing = lacking if near or present.isdisjoint(wanted) else [n for n in lacking if n not in columns.optional]
    if missing:
        counts = f"expected {len(wanted)} columns, found {len(names)}"
        hint = counts if len(names) < len(wanted) else f"its columns are {listed(names)}"
        raise DataError(f"{table} lacks {listed(missing)}; {f'did you mean {near!r}?' if near else f'{hint}.'}")
    return lacking


def nearest_name(name: str, names: Sequence[str]) -> str | None:
    """The name that differs in capitals alone, or else is close enough to be meant, or None."""
    capitals = [other for other in names if other.lower() == name.lower()]
    return next(iter(capitals or get_close_matches(name, names[:MAX_NEAR], 1)), None)


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


def refuse_no_rows(table: object, rows: int) -> None:
    """Refuse a table that has only a header.

    Raises:
        DataError: there are no rows; the message names the table.
    """
    if not rows:
        raise DataError(f"{table} has a header and no rows; a table needs at least one row below its header.")


def bad_indices(indices: range, accepts: Callable[[slice], bool]) -> Iterator[int]:
    """Find the indices that are not accepted, in rising order, by halving every range that is not accepted whole."""
    if not accepts(slice(indices.start, indices.stop)):
        if len(indices) == 1:
            yield indices[0]
        else:
            half = len(indices) // 2
            yield from bad_indices(indices[:half], accepts)
            yield from bad_indices(indices[half:], accepts)
