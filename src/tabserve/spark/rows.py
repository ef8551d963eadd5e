"""Rows as Spark hands them to a worker, in pieces that can be cut until a bad row is alone."""

import csv
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Protocol, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tabserve.errors import DataError
from tabserve.spark.paths import plain
from tabserve.table.columns import refused, typed
from tabserve.table.csv_blocks import BadRow, conversion, end_of_rows, header, parse

ID_BYTES = 10_000
"""Where the id is looked for in a line that is no row."""


class Piece(Protocol):
    """Rows of one file or table."""

    @property
    def place(self) -> str:
        """The file, or the table."""
        ...

    def __len__(self) -> int:
        """Number of rows."""
        ...

    def __getitem__(self, rows: slice) -> Self:
        """Some of the rows."""
        ...

    def batch(self, schema: pa.Schema) -> pa.RecordBatch:
        """The columns of the schema in its types.

        Raises:
            BadRow: one of the rows is bad.
        """
        ...

    def named(self, column: str) -> str:
        """The first row's cell of this column, as far as it can be read."""
        ...


@dataclass(frozen=True)
class Lines:
    """Lines of a csv (binary) and the names above them."""

    place: str
    names: Sequence[str]
    lines: pa.BinaryArray

    def __len__(self) -> int:
        """Number of lines, each of which must be one row."""
        return len(self.lines)

    def __getitem__(self, rows: slice) -> Self:
        """Some of the lines."""
        return replace(self, lines=self.lines[rows])

    def batch(self, schema: pa.Schema) -> pa.RecordBatch:
        """The lines as the core parses a csv."""
        lines: list[bytes] = self.lines.to_pylist()
        _check_quotes(lines)
        block = b"".join(line + b"\n" for line in lines)
        try:
            found = pa.Table.from_batches(parse(block, [*self.names], conversion(schema)))
        except UnicodeDecodeError as error:
            bad = [number for number, line in enumerate(lines, 1) if not _is_text(line)]
            raise BadRow(bad, "it is not UTF-8 text; save the file as UTF-8") from error
        (batch,) = found.combine_chunks().to_batches()
        return typed(self.place, batch, schema)

    def named(self, column: str) -> str:
        """The first line's cell in this column's place; the line's begin, where it has none."""
        text = self.lines[0].as_py()[:ID_BYTES].decode(errors="replace")
        cells, number = next(csv.reader([text])), [*self.names].index(column)
        return cells[number] if number < len(cells) else text[:40]


@dataclass(frozen=True)
class Cells:
    """Rows whose cells have types already, of parquet or of a table."""

    place: str
    cells: pa.RecordBatch

    def __len__(self) -> int:
        """Number of rows."""
        return len(self.cells)

    def __getitem__(self, rows: slice) -> Self:
        """Some of the rows."""
        return replace(self, cells=self.cells[rows])

    def batch(self, schema: pa.Schema) -> pa.RecordBatch:
        """The cells in the types of the schema."""
        if bad := [*refused(range(len(self)), lambda some: _is_valid(self.cells[some]))]:
            raise BadRow([row + 1 for row in bad], "it is not UTF-8 text; save its texts as UTF-8")
        return typed(self.place, self.cells, schema)

    def named(self, column: str) -> str:
        """The first row's cell as text."""
        text = self.cells[column][:1].cast(pa.string(), safe=False).cast(pa.binary())[0].as_py() or b""
        return str(text, errors="replace")


@dataclass(frozen=True)
class CsvReader:
    """Makes pieces of batches of (line, file, where in the file its block begins).

    Attributes:
        headers: the names of the columns, by file.
    """

    headers: Mapping[str, Sequence[str]]

    def __call__(self, batches: Iterator[pa.RecordBatch]) -> Iterator[Lines]:
        """Each file's lines, but for its header, which is the first line of its first block, and for empty lines.

        Raises:
            DataError: a file has another header than it had.
        """
        before: tuple[str, int] | None = None
        for batch in batches:
            filled = batch.filter(pc.greater(pc.binary_length(batch.column(0)), 0))
            for run in runs(filled, 1, 2):
                block = (run.column(1)[0].as_py(), run.column(2)[0].as_py())
                begins, before = block != before and block[1] == 0, block
                place, lines = plain(block[0]), run.column(0)
                if begins:
                    self._check_header(place, lines[0].as_py())
                    lines = lines[1:]
                if lines:
                    yield Lines(place, self.headers[place], lines)

    def _check_header(self, place: str, line: bytes) -> None:
        with suppress(BadRow, UnicodeDecodeError, pa.ArrowInvalid):
            if header(line + b"\n")[0] == [*self.headers[place]]:
                return
        raise DataError(f"{place} was changed after its header had been read; try again when nobody writes it.")


@dataclass(frozen=True)
class CellsReader:
    """Makes pieces of batches of (file, cells).

    Attributes:
        names: of the columns behind the first.
    """

    names: Sequence[str]

    def __call__(self, batches: Iterator[pa.RecordBatch]) -> Iterator[Cells]:
        """Each file's rows."""
        for batch in batches:
            for run in runs(batch, 0):
                place, *cells = run.columns
                yield Cells(plain(place[0].as_py()), pa.RecordBatch.from_arrays(cells, [*self.names]))


def runs(batch: pa.RecordBatch, *columns: int) -> Iterator[pa.RecordBatch]:
    """Cut a batch wherever one of these columns changes."""
    ends = [pc.run_end_encode(batch.column(each)).run_ends.to_numpy() for each in columns]
    start = 0
    for end in np.unique(np.concatenate(ends)).tolist():
        yield batch[start:end]
        start = end


def _check_quotes(lines: Sequence[bytes]) -> None:
    """Refuse lines that end within quotes: they would swallow the next ones."""
    bad = [number for number, line in enumerate(lines, 1) if b'"' in line and end_of_rows(line + b"\n") <= len(line)]
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
