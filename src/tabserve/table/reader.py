"""Read the named columns of a table's file in batches."""

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import IO, NamedTuple, TypeVar

import pyarrow as pa
import pyarrow.parquet
from tqdm import tqdm

from tabserve.encoding.cells import SPACES
from tabserve.errors import DataError
from tabserve.table.cast import Caster
from tabserve.table.columns import Columns, check_names
from tabserve.table.content import UNREADABLE, open_table, refuse_unreadable
from tabserve.table.csv_blocks import BadRow, convert_options, open_csv, parse
from tabserve.table.dialect import Dialect
from tabserve.table.formats import PARQUET
from tabserve.table.source import Source

THREADS = os.cpu_count() or 1

BLOCKS_AHEAD = 2 * THREADS
"""Blocks that may be parsed ahead of the one that is read next."""

ARROW_ROWS = 10_000
"""Rows of parquet, or of a table in memory, that are converted at a time."""


Converted = TypeVar("Converted")


def batches(source: Source, columns: Columns, convert: Callable[[pa.RecordBatch], Converted]) -> Iterator[Converted]:
    """Read and convert the columns a batch at a time, in constant memory; shows progress.

    Args:
        source: the table.
        columns: the columns to read.
        convert: converts a batch; called in several threads, and may raise BadRow of a row within the batch.

    Raises:
        DataError: naming the table and, where there is one, the row and column.
    """
    rows_before, what = 0, f"reading {source.name}"
    with tqdm(desc=what, unit=" rows", unit_scale=True, leave=False, delay=1, disable=None) as progress:
        try:
            for rows, converted in _read(source, columns, convert):
                yield converted
                progress.update(rows)
                rows_before += rows
        except BadRow as error:
            raise locate_error(source.name, error, rows_before) from error


def convert_kept(
    source: Source, kept: deque[pa.RecordBatch], convert: Callable[[pa.RecordBatch], Converted]
) -> Iterator[Converted]:
    """Convert batches of a table that were kept from `batches`, and forget each, so that its memory can be used.

    Raises:
        DataError: naming the table and, where there is one, the row and column.
    """
    rows_before = 0
    while kept:
        batch = kept.popleft()
        try:
            converted = convert(batch)
        except BadRow as error:
            raise locate_error(source.name, first_bad_row(error, batch, convert), rows_before) from error
        rows_before += len(batch)
        del batch
        pa.default_memory_pool().release_unused()
        yield converted


class Layout(NamedTuple):
    """How a table keeps its columns.

    Attributes:
        names: of its columns, in the table's order, without spaces around them.
        stored: their Arrow types, None for a csv.
        dialect: the signs of a csv, None for other tables.
    """

    names: list[str]
    stored: pa.Schema | None
    dialect: Dialect | None


def column_names(source: Source) -> list[str]:
    """The names of a table's columns, in the table's order.

    Raises:
        DataError: the file cannot be read.
    """
    return layout(source).names


def layout(source: Source) -> Layout:
    """How a table keeps its columns; of a file only the first block is read.

    Raises:
        DataError: the file cannot be read.
    """
    if isinstance(source.table, pa.Table):
        return _stored_layout(source.table.schema)
    with open_table(source.table, source.member) as (table_format, file):
        try:
            if table_format == PARQUET:
                return _stored_layout(pyarrow.parquet.read_schema(source.table))
            dialect, names, _ = open_csv(file, source.dialect)
            return Layout(names, None, dialect)
        except BadRow as error:
            raise locate_error(source.name, error) from error


def _stored_layout(schema: pa.Schema) -> Layout:
    stored = pa.schema([field.with_name(field.name.strip(SPACES)) for field in schema])
    return Layout(list(stored.names), stored, None)


def locate_error(name: str, bad: BadRow, rows_before: int = 0) -> DataError:
    """The error that names a bad row's table, row and column; `rows_before` come before its batch in the table."""
    location = f"row {rows_before + bad.row}" if bad.row else "header"
    location += f", column {bad.column!r}" if bad.column else ""
    return DataError(f"{name}, {location}: {bad}.")


Finish = Callable[[pa.RecordBatch], tuple[int, Converted]]
"""Casts and converts a batch; returns its number of rows too."""


def _finisher(
    source: Source, columns: Columns, convert: Callable[[pa.RecordBatch], Converted], dialect: Dialect | None
) -> Finish[Converted]:
    caster = Caster(source.name, columns, (dialect or Dialect()).decimal)

    def convert_typed(batch: pa.RecordBatch) -> Converted:
        return convert(caster.cast_batch(batch))

    def finish(batch: pa.RecordBatch) -> tuple[int, Converted]:
        try:
            return batch.num_rows, convert_typed(batch)
        except BadRow as error:
            raise first_bad_row(error, batch, convert_typed) from error

    return finish


def first_bad_row(bad: BadRow, batch: pa.RecordBatch, convert: Callable[[pa.RecordBatch], object]) -> BadRow:
    """The first bad row of a batch in which `bad` was found; a check of one column does not see those of others."""
    while bad.row > 1:
        try:
            convert(batch[: bad.row - 1])
        except BadRow as earlier:
            bad = earlier
        else:
            break
    return bad


def _read(
    source: Source, columns: Columns, convert: Callable[[pa.RecordBatch], Converted]
) -> Iterator[tuple[int, Converted]]:
    """Check the names of the columns, then read and convert each batch; yields its number of rows too."""
    if isinstance(source.table, pa.Table):
        with refuse_unreadable(source.name):
            yield from _read_memory(source, source.table, columns, convert)
    else:
        with open_table(source.table, source.member) as (table_format, file):
            read = _read_parquet if table_format == PARQUET else _read_csv
            yield from read(source, file, columns, convert)


def _read_csv(
    source: Source, file: IO[bytes], columns: Columns, convert: Callable[[pa.RecordBatch], Converted]
) -> Iterator[tuple[int, Converted]]:
    """Parse a csv's blocks in several threads; Arrow's own streaming reader uses one core."""
    dialect, names, blocks = open_csv(file, source.dialect)
    check_names(source.name, names, columns)
    options = convert_options(columns.schema(names), dialect, columns.blanks)
    finish = _finisher(source, columns, convert, dialect)

    def work(block: bytes) -> list[tuple[int, Converted]]:
        return [finish(batch) for batch in parse(block, names, options, dialect)]

    with ThreadPoolExecutor(THREADS) as threads:
        pending: deque[Future[list[tuple[int, Converted]]]] = deque()
        for future in _submit_blocks(threads, work, blocks):
            pending.append(future)
            if len(pending) > BLOCKS_AHEAD:
                yield from pending.popleft().result()
        for future in pending:
            yield from future.result()


def _submit_blocks(
    threads: ThreadPoolExecutor, work: Callable[[bytes], Converted], blocks: Iterable[bytes]
) -> Iterator[Future[Converted]]:
    """Submit each block; an error while the file is read comes last, after the blocks that were read before it."""
    try:
        for block in blocks:
            yield threads.submit(work, block)
    except UNREADABLE as error:
        failed: Future[Converted] = Future()
        failed.set_exception(error)
        yield failed


def _read_parquet(
    source: Source, _file: IO[bytes], columns: Columns, convert: Callable[[pa.RecordBatch], Converted]
) -> Iterator[tuple[int, Converted]]:
    with pyarrow.parquet.ParquetFile(source.table) as file:  # by its path, which Arrow reads faster than Python's file
        stored = file.schema_arrow.names
        names = [name.strip(SPACES) for name in stored]
        check_names(source.name, names, columns)
        wanted = {*columns.schema(names).names}
        chosen = [kept for kept, name in zip(stored, names, strict=True) if name in wanted]
        read = file.iter_batches(ARROW_ROWS, columns=chosen)
        batches = (batch.rename_columns([name.strip(SPACES) for name in batch.schema.names]) for batch in read)
        yield from _finish_valid(batches, _finisher(source, columns, convert, source.dialect))


def _read_memory(
    source: Source, table: pa.Table, columns: Columns, convert: Callable[[pa.RecordBatch], Converted]
) -> Iterator[tuple[int, Converted]]:
    names = table.schema.names
    check_names(source.name, names, columns)
    batches = table.select(columns.schema(names).names).to_batches(ARROW_ROWS)
    yield from _finish_valid(batches, _finisher(source, columns, convert, source.dialect))


def _finish_valid(batches: Iterable[pa.RecordBatch], finish: Finish[Converted]) -> Iterator[tuple[int, Converted]]:
    for batch in batches:
        batch.validate(full=True)  # a text may not be UTF-8
        yield finish(batch)
