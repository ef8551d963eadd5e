"""A table's file (csv, csv.gz, Kaggle's zip, parquet) in, batches of its named columns out."""

import gzip
import lzma
import os
import zipfile
import zlib
from bisect import bisect_left
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from difflib import get_close_matches
from itertools import chain
from pathlib import Path
from typing import IO, NamedTuple, cast

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet

from tabserve.blocks import MISSING, BadRow, blocks, header, parse
from tabserve.errors import DataError

BLOCKS_AHEAD = 8
"""Blocks that may be parsed before the one that is waited for."""

PARQUET_ROWS = 10_000
"""Rows of parquet decoded at a time."""

UNREADABLE = (
    OSError,
    EOFError,
    UnicodeDecodeError,
    zlib.error,
    lzma.LZMAError,
    zipfile.BadZipFile,
    NotImplementedError,
    RuntimeError,
    pa.ArrowException,
)
"""What a missing, truncated, encrypted or foreign file raises while it is read."""


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

    def schema(self) -> pa.Schema:
        """The Arrow schema of what is read."""
        return pa.schema(
            [*((name, pa.float64()) for name in self.numbers), *((name, pa.string()) for name in self.texts)]
        )


def batches(path: Path, columns: Columns, member: str) -> Iterator[pa.RecordBatch]:
    """Read the columns, a batch at a time in constant memory.

    Args:
        path: .csv, .csv.gz, .zip or .parquet.
        columns: what to read.
        member: the csv inside a zip.

    Raises:
        DataError: naming the file and, where there is one, the row and column.
    """
    seen = 0
    try:
        for batch in _parquet(path, columns) if path.suffix.lower() == ".parquet" else _csv(path, columns, member):
            yield _typed(path, batch, columns.schema(), seen)
            seen += batch.num_rows
    except BadRow as error:
        place = f"row {seen + error.row}" if error.row else "header"
        raise DataError(f"{path}, {place}: {error}.") from error
    except UNREADABLE as error:
        raise _unreadable(path, error) from error


def bad_cell(path: Path, row: int, column: str, expected: str, found: str) -> DataError:
    """The error for one cell; rows are counted from 0 here and from 1 in the message."""
    return DataError(f"{path}, row {row + 1}, column {column!r}: expected {expected}, found {found}.")


def listed(names: Sequence[str]) -> str:
    """The first names of a list, and how many more there are."""
    shown = ", ".join(repr(name) for name in names[:5])
    return f"{shown} and {len(names) - 5} more" if len(names) > 5 else shown


def _csv(path: Path, columns: Columns, member: str) -> Iterator[pa.RecordBatch]:
    """Batches of a csv, whose blocks are parsed side by side; Arrow's own streaming reader keeps to one core."""
    with _opened(path, member) as file, ThreadPoolExecutor(os.cpu_count()) as threads:
        whole_rows = blocks(file)
        names, rows = header(next(whole_rows, b"\n"))
        _check_names(path, names, columns)
        waiting: deque[Future[pa.Table]] = deque()
        for block in filter(None, chain([rows], whole_rows)):
            waiting.append(threads.submit(parse, block, names, columns.schema()))
            if len(waiting) > BLOCKS_AHEAD:
                yield from waiting.popleft().result().to_batches()
        for parsed in waiting:
            yield from parsed.result().to_batches()


def _parquet(path: Path, columns: Columns) -> Iterator[pa.RecordBatch]:
    with pyarrow.parquet.ParquetFile(path) as file:
        _check_names(path, file.schema_arrow.names, columns)
        for batch in file.iter_batches(PARQUET_ROWS, columns=[*columns.numbers, *columns.texts]):
            batch.validate(full=True)  # its texts may not be UTF-8
            yield batch


@contextmanager
def _opened(path: Path, member: str) -> Iterator[IO[bytes]]:
    """The csv's bytes, unpacked."""
    if path.suffix.lower() == ".zip":
        with zipfile.ZipFile(path) as archive:
            if member not in archive.namelist():
                raise DataError(
                    f"{path} holds no {member}, only {listed(archive.namelist())}; unpack the csv you mean."
                )
            with archive.open(member) as file:
                yield file
    else:
        with gzip.open(path) if path.suffix.lower() == ".gz" else path.open("rb") as file:
            yield cast("IO[bytes]", file)


def _check_names(path: Path, found: list[str], columns: Columns) -> None:
    """Refuse repeated, missing and unexpected columns."""
    wanted = [*columns.numbers, *columns.texts]
    repeated = [name for name, count in Counter(found).items() if count > 1]
    missing = sorted(set(wanted) - set(found), key=wanted.index)
    extra = sorted(set(found) - {*wanted, *columns.ignored}, key=found.index)
    if repeated:
        raise DataError(f"{path} has the column {repeated[0]!r} more than once; every column needs a name of its own.")
    if len(found) == 1 and len(wanted) > 1:
        raise DataError(f"{path} has one column, named {found[0][:40]!r}; expected {len(wanted)} separated by commas.")
    if missing:
        near = get_close_matches(missing[0], extra, 1)
        hint = f"did you mean {near[0]!r}?" if near else f"expected {len(wanted)} columns, found {len(found)}."
        raise DataError(f"{path} lacks {listed(missing)}; {hint}")
    if extra:
        raise DataError(f"{path} has unexpected columns: {listed(extra)}; remove them, or name them in the problem.")


def _typed(path: Path, batch: pa.RecordBatch, schema: pa.Schema, seen: int) -> pa.RecordBatch:
    """The columns of the schema in its types; `seen` rows came before."""
    if batch.schema == schema:
        return batch
    return pa.record_batch([_column(path, batch[field.name], field, seen) for field in schema], schema)


def _column(path: Path, column: pa.Array, field: pa.Field, seen: int) -> pa.Array:
    expected = "number" if field.type == pa.float64() else "text"
    try:
        return _cast(column, field.type)
    except pa.ArrowNotImplementedError as error:
        raise DataError(f"{path}, column {field.name!r}: expected {expected}s, found {column.type}.") from error
    except pa.ArrowInvalid as error:
        row = bisect_left(range(len(column)), True, key=lambda row: not _castable(column[: row + 1], field.type))
        raise bad_cell(path, seen + row, field.name, f"a {expected}", repr(str(column[row])[:40])) from error


def _cast(column: pa.Array, kind: pa.DataType) -> pa.Array:
    """Text as text; numbers rounded to float64, also from text, which is then read as a csv's."""
    if pa.types.is_primitive(column.type):
        return column.cast(kind, safe=False)
    text = column.cast(pa.string())
    if kind == pa.string():
        return text
    empty = pc.is_in(text, value_set=pa.array(MISSING))
    return pc.utf8_trim(pc.if_else(empty, None, text), " \t").cast(kind)


def _castable(column: pa.Array, kind: pa.DataType) -> bool:
    try:
        _cast(column, kind)
    except pa.ArrowInvalid:
        return False
    return True


def _unreadable(path: Path, error: Exception) -> DataError:
    said = getattr(error, "strerror", None) or str(error) or type(error).__name__
    reason = said.splitlines()[0]
    if isinstance(error, UnicodeDecodeError) or "UTF8" in reason:
        reason = "it is not UTF-8 text; save it as UTF-8"
    return DataError(f"{path} cannot be read as a table: {reason.rstrip('.')}.")
