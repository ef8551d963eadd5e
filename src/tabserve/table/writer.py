"""Write a table a batch at a time, as csv, csv.gz or parquet by the ending of its name."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import IO, Protocol

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet

from tabserve.destination import ending
from tabserve.files import whole

ROW = "row"
"""The column of a written file that holds the numbers of the rows, counted from 1, where they have no ids."""


class Writer(Protocol):
    """Writes a table batch by batch."""

    def write_batch(self, batch: pa.RecordBatch) -> None:
        """Append a batch's rows."""


def id_field(name: str | None) -> pa.Field:
    """The first column of a written file: the ids of the rows by this name or, without a name, their numbers."""
    return pa.field(name, pa.string()) if name else pa.field(ROW, pa.int64())


@contextmanager
def open_writer(path: Path, schema: pa.Schema) -> Iterator[Writer]:
    """Write a table that appears whole, when the block ends, or not at all.

    Args:
        path: a file whose name ends in one of `destination.TABLES`.
        schema: the schema of all batches.

    Raises:
        UsageError: the name has another ending.
        DataError: the file cannot be written.
    """
    open_format = WRITERS[ending(path)]
    with whole(path) as temporary, open_format(temporary, schema) as writer:
        yield writer


def _csv_writer(file: Path | IO[bytes], schema: pa.Schema) -> AbstractContextManager[Writer]:
    options = pyarrow.csv.WriteOptions(quoting_style="needed")
    writer: AbstractContextManager[Writer] = pyarrow.csv.CSVWriter(file, schema, write_options=options)
    return writer


@contextmanager
def _gzip_writer(path: Path, schema: pa.Schema) -> Iterator[Writer]:
    with pa.output_stream(str(path), compression="gzip") as packed, _csv_writer(packed, schema) as writer:
        yield writer


WRITERS: dict[str, Callable[[Path, pa.Schema], AbstractContextManager[Writer]]] = {
    ".csv": _csv_writer,
    ".csv.gz": _gzip_writer,
    ".parquet": pyarrow.parquet.ParquetWriter,
}
