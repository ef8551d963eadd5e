"""A table out, a batch at a time: csv, csv.gz or parquet, as its name says."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import IO, Protocol

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet

from tabserve.destination import ending
from tabserve.files import whole


class Writer(Protocol):
    """Takes batches."""

    def write_batch(self, batch: pa.RecordBatch) -> None:
        """Write some rows more."""


@contextmanager
def writing(path: Path, schema: pa.Schema) -> Iterator[Writer]:
    """Write a table, which appears whole or not at all.

    Args:
        path: ends in one of `destination.TABLES`.
        schema: of all batches.

    Raises:
        UsageError: the path ends otherwise.
        DataError: it cannot be written.
    """
    opened = WRITERS[ending(path)]
    with whole(path) as temporary, opened(temporary, schema) as writer:
        yield writer


def _csv(place: Path | IO[bytes], schema: pa.Schema) -> AbstractContextManager[Writer]:
    options = pyarrow.csv.WriteOptions(quoting_style="needed")
    written: AbstractContextManager[Writer] = pyarrow.csv.CSVWriter(place, schema, write_options=options)
    return written


@contextmanager
def _gzip(path: Path, schema: pa.Schema) -> Iterator[Writer]:
    with pa.output_stream(str(path), compression="gzip") as packed, _csv(packed, schema) as writer:
        yield writer


WRITERS: dict[str, Callable[[Path, pa.Schema], AbstractContextManager[Writer]]] = {
    ".csv": _csv,
    ".csv.gz": _gzip,
    ".parquet": pyarrow.parquet.ParquetWriter,
}
