"""A table's file in, batches of its named columns out."""

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import chain
from pathlib import Path
from typing import IO, TypeVar

import pyarrow as pa
import pyarrow.parquet

from tabserve.errors import DataError
from tabserve.table.columns import Columns, check_names, typed
from tabserve.table.content import UNREADABLE, opened
from tabserve.table.csv_blocks import BadRow, blocks, conversion, header, parse
from tabserve.table.formats import PARQUET

BLOCKS_AHEAD = 8
"""Blocks that may be parsed before the one that is waited for."""

PARQUET_ROWS = 10_000
"""Rows of parquet decoded at a time."""


Converted = TypeVar("Converted")


def batches(
    path: Path, columns: Columns, member: str, convert: Callable[[pa.RecordBatch], Converted]
) -> Iterator[Converted]:
    """Read the columns, a batch at a time in constant memory.

    Args:
        path: a csv, also packed by gzip or zip, or parquet, whatever it is called.
        columns: what to read.
        member: the csv inside a zip.
        convert: what to make of each batch, several at a time; a BadRow of it counts within the batch.

    Raises:
        DataError: naming the file and, where there is one, the row and column.
    """
    seen, schema = 0, columns.schema()

    def convert_typed(batch: pa.RecordBatch) -> Converted:
        return convert(typed(path, batch, schema))

    def finish(batch: pa.RecordBatch) -> tuple[int, Converted]:
        try:
            return batch.num_rows, convert_typed(batch)
        except BadRow as error:
            raise _first(error, batch, convert_typed) from error

    with opened(path, member) as (table, file):
        try:
            for rows, converted in (_parquet if table == PARQUET else _csv)(path, file, columns, finish):
                yield converted
                seen += rows
        except BadRow as error:
            raise located(path, error, seen) from error


def names(path: Path, member: str) -> list[str]:
    """The names of a table's columns, in the file's order.

    Args:
        path: as for `batches`.
        member: the csv inside a zip.

    Raises:
        DataError: the file cannot be read.
    """
    with opened(path, member) as (table, file):
        try:
            return list(pyarrow.parquet.read_schema(path).names) if table == PARQUET else _header(blocks(file))[0]
        except BadRow as error:
            raise located(path, error) from error


def located(path: Path | str, bad: BadRow, seen: int = 0) -> DataError:
    """The error that names the file and the row in it; `seen` rows came before what the bad row counts within."""
    place = f"row {seen + bad.row}" if bad.row else "header"
    place += f", column {bad.column!r}" if bad.column else ""
    return DataError(f"{path}, {place}: {bad}.")


def _first(bad: BadRow, batch: pa.RecordBatch, convert: Callable[[pa.RecordBatch], object]) -> BadRow:
    """The first of a batch's bad rows, of which `bad` is one; each column and each check knows only its own."""
    while bad.row > 1:
        try:
            convert(batch[: bad.row - 1])
        except BadRow as above:
            bad = above
        else:
            break
    return bad


def _csv(
    path: Path, file: IO[bytes], columns: Columns, finish: Callable[[pa.RecordBatch], Converted]
) -> Iterator[Converted]:
    """Batches of a csv, whose blocks are parsed side by side; Arrow's own streaming reader keeps to one core."""
    wanted = conversion(columns.schema())
    with ThreadPoolExecutor(os.cpu_count()) as threads:
        whole_rows = blocks(file)
        found, rows = _header(whole_rows)
        check_names(path, found, columns)

        def work(block: bytes) -> list[Converted]:
            return [finish(batch) for batch in parse(block, found, wanted)]

        waiting: deque[Future[list[Converted]]] = deque()
        for begun in _begun(threads, work, filter(None, chain([rows], whole_rows))):
            waiting.append(begun)
            if len(waiting) > BLOCKS_AHEAD:
                yield from waiting.popleft().result()
        for begun in waiting:
            yield from begun.result()


def _begun(
    threads: ThreadPoolExecutor, work: Callable[[bytes], Converted], whole_rows: Iterable[bytes]
) -> Iterator[Future[Converted]]:
    """Work on each block; where the file ends badly, that comes up in its turn, behind the rows that were read."""
    try:
        for block in whole_rows:
            yield threads.submit(work, block)
    except UNREADABLE as error:
        failed: Future[Converted] = Future()
        failed.set_exception(error)
        yield failed


def _header(whole_rows: Iterator[bytes]) -> tuple[list[str], bytes]:
    """The names above the first row, and the rows below them in the same block."""
    return header(next((block for block in whole_rows if block.strip(b"\r\n")), b"\n"))


def _parquet(
    path: Path, _file: IO[bytes], columns: Columns, finish: Callable[[pa.RecordBatch], Converted]
) -> Iterator[Converted]:
    with pyarrow.parquet.ParquetFile(path) as file:  # by its name, as Arrow reads it faster than Python's file
        check_names(path, file.schema_arrow.names, columns)
        for batch in file.iter_batches(PARQUET_ROWS, columns=[*columns.numbers, *columns.texts]):
            batch.validate(full=True)  # its texts may not be UTF-8
            yield finish(batch)
