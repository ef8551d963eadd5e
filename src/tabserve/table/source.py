"""What a table is read from: a file, a frame of pandas or polars, or an Arrow table."""

import sys
from collections import Counter
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any, Protocol

import pyarrow as pa

from tabserve.encoding.cells import SPACES
from tabserve.errors import DataError, UsageError
from tabserve.table.content import refuse_unreadable
from tabserve.table.dialect import Dialect

IN_MEMORY = "the table"
"""The name of a table in memory, for messages."""


class ArrowFrame(Protocol):
    """A table in memory: a frame of pandas or polars, or an Arrow table."""

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        """Export the rows."""


@dataclass(frozen=True, eq=False)
class Source:
    """A table to read.

    Attributes:
        table: a file (csv, also packed by gzip or zip, or parquet, whatever its name), or a table in memory.
        member: the csv inside a zip.
        dialect: the signs of a csv; None to find them out.
    """

    table: Path | pa.Table
    member: str = "train.csv"
    dialect: Dialect | None = None

    @property
    def path(self) -> Path | None:
        """The path of its file, or None for a table in memory."""
        return None if isinstance(self.table, pa.Table) else self.table

    @property
    def name(self) -> str:
        """The table's name in messages."""
        return str(self.path or IN_MEMORY)


TableLike = Source | str | PathLike[str] | ArrowFrame
"""What a table can be read from."""


def as_source(table: TableLike, member: str = "train.csv", dialect: Dialect | None = None) -> Source:
    """Make a source of a path or of a table in memory, without the index of a pandas frame; a source stays as it is.

    Spaces around the names of columns are left out, as around the names and cells of a file.

    Args:
        table: a path, a frame of pandas or polars, or an Arrow table.
        member: the csv inside a zip.
        dialect: the signs of a csv; None to find them out.

    Raises:
        UsageError: the table is something else.
        DataError: Arrow cannot hold a column of the frame, or two columns have one name.
    """
    if isinstance(table, Source):
        return table
    if isinstance(table, str | PathLike):
        return Source(Path(table), member, dialect)
    with refuse_unreadable(IN_MEMORY):
        rows = _to_arrow(table)
    return Source(rows.rename_columns([name.strip(SPACES) for name in rows.column_names]), member, dialect)


def _to_arrow(frame: ArrowFrame) -> pa.Table:
    pandas = sys.modules.get("pandas")
    if pandas and isinstance(frame, pandas.DataFrame):
        return _pandas_to_arrow(frame)
    table = frame.to_arrow() if hasattr(frame, "to_arrow") else frame  # of polars, whose stream has views of texts
    if not isinstance(table, pa.Table):
        kind = f"{type(frame).__module__}.{type(frame).__qualname__}"
        raise UsageError(f"Expected the path of a table, a frame of pandas or polars, or an Arrow table, not a {kind}.")
    return table


def _pandas_to_arrow(frame: Any) -> pa.Table:  # noqa: ANN401  of pandas, which takes long to import
    if repeated := [name for name, count in Counter(frame.columns).items() if count > 1]:
        raise DataError(
            f"{IN_MEMORY} has the column {repeated[0]!r} more than once; every column needs a name of its own."
        )
    try:
        return pa.Table.from_pandas(frame, preserve_index=False)
    except pa.ArrowException as error:
        name = next(name for name in frame.columns if not _holds(frame[name]))
        raise DataError(
            f"{IN_MEMORY} has cells in column {name!r} that do not go together: {_types(frame[name])}; convert it to"
            " one type."
        ) from error


def _holds(cells: Any) -> bool:  # noqa: ANN401  of pandas
    """Whether Arrow can hold a column of pandas."""
    try:
        pa.array(cells, from_pandas=True)
    except pa.ArrowException:
        return False
    return True


def _types(cells: Any) -> str:  # noqa: ANN401  of pandas
    """The first two types of cells that are not missing, with the first row of each."""
    first: dict[str, int] = {}
    for row, (cell, present) in enumerate(zip(cells, cells.notna(), strict=True), 1):
        if present:
            first.setdefault(type(cell).__name__, row)
    return " and ".join(f"{kind} (row {row})" for kind, row in [*first.items()][:2])
