"""A table's file (csv, csv.gz, Kaggle's zip, parquet) in, batches of its named columns out."""

import gzip
import os
import zipfile
import zlib
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from difflib import get_close_matches
from io import BytesIO
from pathlib import Path
from typing import IO, NamedTuple, cast

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet

from tabserve.errors import DataError

BLOCK_BYTES = 1 << 20
"""Bytes of csv parsed at a time, on one core."""

BLOCKS_AHEAD = 8
"""Blocks that may be parsed before the one that is waited for."""

PARQUET_ROWS = 10_000
"""Rows of parquet decoded at a time."""

MISSING = ["", "NA", "NaN", "nan", "null", "NULL", "None"]
"""How a csv spells an empty cell."""

UNREADABLE = (OSError, EOFError, UnicodeDecodeError, zlib.error, zipfile.BadZipFile, NotImplementedError, RuntimeError)
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

    def schema(self, number: pa.DataType) -> pa.Schema:
        """The Arrow schema that reads `numbers` as this type."""
        return pa.schema([*((name, number) for name in self.numbers), *((name, pa.string()) for name in self.texts)])


def batches(path: Path, columns: Columns, member: str) -> Iterator[pa.RecordBatch]:
    """Read the columns, a batch at a time in constant memory.

    Args:
        path: .csv, .csv.gz, .zip or .parquet.
        columns: what to read.
        member: the csv inside a zip.

    Raises:
        DataError: naming the file and, where there is one, the row and column.
    """
    try:
        yield from _read(path, columns, member, pa.float64())
    except UNREADABLE as error:
        raise _unreadable(path, error) from error
    except pa.ArrowInvalid as error:
        raise _misfit(path, columns, member, error) from error


def bad_cell(path: Path, row: int, column: str, expected: str, found: str) -> DataError:
    """The error for one cell; rows are counted from 0 here and from 1 in the message."""
    return DataError(f"{path}, row {row + 1}, column {column!r}: expected {expected}, found {found}.")


def listed(names: Sequence[str]) -> str:
    """The first names of a list, and how many more there are."""
    shown = ", ".join(repr(name) for name in names[:5])
    return f"{shown} and {len(names) - 5} more" if len(names) > 5 else shown


def _read(path: Path, columns: Columns, member: str, number: pa.DataType) -> Iterator[pa.RecordBatch]:
    schema = columns.schema(number)
    found = _parquet(path, columns) if path.suffix.lower() == ".parquet" else _csv(path, columns, member, schema)
    for batch in found:
        yield batch.select(schema.names).cast(schema)


def _csv(path: Path, columns: Columns, member: str, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    """Batches of a csv, whose blocks are parsed side by side; Arrow's own streaming reader keeps to one core."""
    convert = pyarrow.csv.ConvertOptions(
        column_types=schema, include_columns=schema.names, null_values=MISSING, strings_can_be_null=False
    )
    with _opened(path, member) as file, ThreadPoolExecutor(os.cpu_count()) as threads:
        header = file.readline()
        if b"\r" in header.rstrip():
            raise DataError(f"{path} ends a line with CR alone; save it with LF or CRLF line ends.")
        names = pyarrow.csv.open_csv(BytesIO(header.rstrip() + b"\n")).schema.names
        _check_names(path, names, columns)
        waiting: deque[Future[pa.Table]] = deque()
        for block in _blocks(file):
            waiting.append(threads.submit(_block, block, names, convert))
            if len(waiting) > BLOCKS_AHEAD:
                yield from waiting.popleft().result().to_batches()
        for parsed in waiting:
            yield from parsed.result().to_batches()


def _block(block: bytes, names: list[str], convert: pyarrow.csv.ConvertOptions) -> pa.Table:
    read = pyarrow.csv.ReadOptions(column_names=names, use_threads=False, block_size=len(block) + 1)
    return pyarrow.csv.read_csv(BytesIO(block), read, convert_options=convert)


def _blocks(file: IO[bytes]) -> Iterator[bytes]:
    """About `BLOCK_BYTES` at a time, cut behind a line's end; what is only white space is left out."""
    rest = b""
    while more := file.read(BLOCK_BYTES):
        whole, end, rest = (rest + more).rpartition(b"\n")
        if whole.strip():
            yield whole + end
    if rest.strip():
        yield rest


def _parquet(path: Path, columns: Columns) -> Iterator[pa.RecordBatch]:
    with pyarrow.parquet.ParquetFile(path) as file:
        _check_names(path, file.schema_arrow.names, columns)
        yield from file.iter_batches(PARQUET_ROWS, columns=[*columns.numbers, *columns.texts])


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


def _misfit(path: Path, columns: Columns, member: str, error: pa.ArrowInvalid) -> DataError:
    """The first cell that is no number, found by reading the file again as text, or else the parser's own reason."""
    seen = 0
    try:
        for batch in _read(path, columns, member, pa.string()):
            for name in columns.numbers:
                for row, text in enumerate(batch[name].to_pylist()):
                    if text not in {None, *MISSING} and not _is_number(text):
                        return bad_cell(path, seen + row, name, "a number", repr(text[:40]))
            seen += batch.num_rows
    except (pa.ArrowInvalid, *UNREADABLE) as unreadable:  # not even as text
        return _unreadable(path, unreadable)
    return _unreadable(path, error)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _unreadable(path: Path, error: Exception) -> DataError:
    reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error).splitlines()[0]
    if isinstance(error, UnicodeDecodeError) or "UTF8" in reason or "\0" in reason:
        reason = "it is not UTF-8 text; save it as UTF-8"
    return DataError(f"{path} cannot be read as a table: {reason.rstrip('.')}.")
