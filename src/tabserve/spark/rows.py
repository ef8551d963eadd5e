"""The rows that Spark hands to a worker, as pieces that can be cut until a bad row stands alone."""

import csv
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Protocol, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tabserve.errors import DataError
from tabserve.spark.paths import display_path
from tabserve.table.cast import Caster
from tabserve.table.columns import Columns, bad_indices
from tabserve.table.csv_blocks import BadRow, convert_options, end_of_rows, parse, split_header
from tabserve.table.dialect import Dialect

ID_BYTES = 10_000
"""Bytes of a malformed line that are searched for its id."""


class Piece(Protocol):
    """Rows of one file or table."""

    @property
    def source(self) -> str:
        """The file or table that the rows are of."""
        ...

    def __len__(self) -> int:
        """Number of rows."""
        ...

    def __getitem__(self, rows: slice) -> Self:
        """Some of the rows."""
        ...

    def batch(self, columns: Columns) -> pa.RecordBatch:
        """The columns in the types of `Columns.schema`.

        Raises:
            BadRow: one of the rows is bad.
        """
        ...

    def first_cell(self, column: str) -> str:
        """The first row's cell in this column, as far as it can be read."""
        ...


@dataclass(frozen=True)
class Lines:
    """Lines of a csv (binary), the file's column names and its dialect."""

    source: str
    names: Sequence[str]
    lines: pa.BinaryArray
    dialect: Dialect = Dialect()  # noqa: RUF009  frozen

    def __len__(self) -> int:
        """Number of lines; each must be one row."""
        return len(self.lines)

    def __getitem__(self, rows: slice) -> Self:
        """Some of the lines."""
        return replace(self, lines=self.lines[rows])

    def batch(self, columns: Columns) -> pa.RecordBatch:
        """Parse the lines as the core parses a csv."""
        lines: list[bytes] = self.lines.to_pylist()
        _check_quotes(lines, self.dialect)
        block = b"".join(line + b"\n" for line in lines)
        options = convert_options(columns.schema(self.names), self.dialect, columns.blanks)
        try:
            table = pa.Table.from_batches(parse(block, [*self.names], options, self.dialect))
        except UnicodeDecodeError as error:
            bad = [number for number, line in enumerate(lines, 1) if not _is_text(line)]
            raise BadRow(bad, "it is not UTF-8 text; save the file as UTF-8") from error
        (batch,) = table.combine_chunks().to_batches()
        return Caster(self.source, columns, self.dialect.decimal).cast_batch(batch)

    def first_cell(self, column: str) -> str:
        """The first line's cell in this column; the start of the line, if it has too few cells."""
        text = self.lines[0].as_py()[:ID_BYTES].decode(errors="replace")
        cells, number = next(csv.reader([text], delimiter=self.dialect.delimiter)), [*self.names].index(column)
        return cells[number] if number < len(cells) else text[:40]


@dataclass(frozen=True)
class Cells:
    """Rows of parquet or of a table, whose cells have types already."""

    source: str
    cells: pa.RecordBatch

    def __len__(self) -> int:
        """Number of rows."""
        return len(self.cells)

    def __getitem__(self, rows: slice) -> Self:
        """Some of the rows."""
        return replace(self, cells=self.cells[rows])

    def batch(self, columns: Columns) -> pa.RecordBatch:
        """Cast the cells to the types of `Columns.schema`."""
        if bad := [*bad_indices(range(len(self)), lambda rows: _is_valid(self.cells[rows]))]:
            raise BadRow([row + 1 for row in bad], "it is not UTF-8 text; save its texts as UTF-8")
        return Caster(self.source, columns).cast_batch(self.cells)

    def first_cell(self, column: str) -> str:
        """The first row's cell as text."""
        text = self.cells[column][:1].cast(pa.string(), safe=False).cast(pa.binary())[0].as_py() or b""
        return str(text, errors="replace")


@dataclass(frozen=True)
class CsvReader:
    """Makes pieces of batches of (line, file, offset of the line's block in the file).

    Attributes:
        headers: column names by file.
        dialects: by file, where it is another than commas and points.
    """

    headers: Mapping[str, Sequence[str]]
    dialects: Mapping[str, Dialect] = field(default_factory=dict)

    def __call__(self, batches: Iterator[pa.RecordBatch]) -> Iterator[Lines]:
        """Yield each file's lines without empty ones and without its header, the first line of its first block.

        Raises:
            DataError: a file's header is no longer the one that was read.
        """
        previous: tuple[str, int] | None = None
        for batch in batches:
            filled = batch.filter(pc.greater(pc.binary_length(batch.column(0)), 0))
            for run in split_runs(filled, 1, 2):
                block = (run.column(1)[0].as_py(), run.column(2)[0].as_py())
                starts_file, previous = block != previous and block[1] == 0, block
                path, lines = display_path(block[0]), run.column(0)
                if starts_file:
                    self._check_header(path, lines[0].as_py())
                    lines = lines[1:]
                if lines:
                    yield Lines(path, self.headers[path], lines, self._dialect(path))

    def _dialect(self, path: str) -> Dialect:
        return self.dialects.get(path, Dialect())

    def _check_header(self, path: str, line: bytes) -> None:
        with suppress(BadRow, UnicodeDecodeError, pa.ArrowInvalid):
            if split_header(line + b"\n", self._dialect(path))[0] == [*self.headers[path]]:
                return
        raise DataError(f"{path} was changed after its header had been read; try again when nobody writes it.")


@dataclass(frozen=True)
class CellsReader:
    """Makes pieces of batches of (file or table, cells).

    Attributes:
        names: names of the columns of cells.
    """

    names: Sequence[str]

    def __call__(self, batches: Iterator[pa.RecordBatch]) -> Iterator[Cells]:
        """Yield each file's or table's rows."""
        for batch in batches:
            for run in split_runs(batch, 0):
                source, *cells = run.columns
                yield Cells(display_path(source[0].as_py()), pa.RecordBatch.from_arrays(cells, [*self.names]))


def split_runs(batch: pa.RecordBatch, *columns: int) -> Iterator[pa.RecordBatch]:
    """Cut a batch wherever the value of one of these columns changes."""
    ends = [pc.run_end_encode(batch.column(column)).run_ends.to_numpy() for column in columns]
    start = 0
    for end in np.unique(np.concatenate(ends)).tolist():
        yield batch[start:end]
        start = end


def _check_quotes(lines: Sequence[bytes], dialect: Dialect) -> None:
    """Refuse lines that end within quotes: the next lines would be read into the same cell."""
    bad = [
        number
        for number, line in enumerate(lines, 1)
        if b'"' in line and end_of_rows(line + b"\n", dialect) <= len(line)
    ]
    if bad:
        raise BadRow(bad, "a quote is opened in it and not closed; to Spark a row ends where its line does")


def _is_text(line: bytes) -> bool:
    try:
        line.decode()
    except UnicodeDecodeError:
        return False
    return True


def _is_valid(cells: pa.RecordBatch) -> bool:
    try:
        cells.validate(full=True)
    except pa.ArrowInvalid:
        return False
    return True
