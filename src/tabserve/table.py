"""A table's file (csv, csv.gz, Kaggle's zip, parquet) in, batches of its named columns out."""

import gzip
import os
import zipfile
import zlib
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from difflib import get_close_matches
from itertools import chain
from pathlib import Path
from typing import IO, TypeVar, cast

import pyarrow as pa
import pyarrow.parquet

from tabserve.blocks import BadRow, blocks, header, parse
from tabserve.columns import Columns, typed
from tabserve.errors import DataError

BLOCKS_AHEAD = 8
"""Blocks that may be parsed before the one that is waited for."""

MAX_NEAR = 1_000
"""Names that are searched for one that was meant; each takes a tenth of a millisecond."""

PARQUET_ROWS = 10_000
"""Rows of parquet decoded at a time."""

UNREADABLE = (
    OSError,
    EOFError,
    UnicodeDecodeError,
    zlib.error,
    zipfile.BadZipFile,
    NotImplementedError,
    RuntimeError,
    pa.ArrowException,
)
"""What a missing, truncated, encrypted or foreign file raises while it is read."""


Converted = TypeVar("Converted")


def batches(
    path: Path, columns: Columns, member: str, convert: Callable[[pa.RecordBatch], Converted]
) -> Iterator[Converted]:
    """Read the columns, a batch at a time in constant memory.

    Args:
        path: .csv, .csv.gz, .zip or .parquet.
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

    finished = (
        _parquet(path, columns, finish) if path.suffix.lower() == ".parquet" else _csv(path, columns, member, finish)
    )
    try:
        for rows, converted in finished:
            yield converted
            seen += rows
    except BadRow as error:
        raise located(path, error, seen) from error
    except MemoryError:  # Arrow's is among what follows
        raise
    except UNREADABLE as error:
        raise _unreadable(path, error) from error


def located(path: Path, bad: BadRow, seen: int = 0) -> DataError:
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


def listed(names: Sequence[str]) -> str:
    """The first names of a list, and how many more there are."""
    shown = ", ".join(repr(name) for name in names[:5])
    return f"{shown} and {len(names) - 5} more" if len(names) > 5 else shown


def _csv(
    path: Path, columns: Columns, member: str, finish: Callable[[pa.RecordBatch], Converted]
) -> Iterator[Converted]:
    """Batches of a csv, whose blocks are parsed side by side; Arrow's own streaming reader keeps to one core."""
    schema = columns.schema()
    with _opened(path, member) as file, ThreadPoolExecutor(os.cpu_count()) as threads:
        whole_rows = blocks(file)
        names, rows = header(next((block for block in whole_rows if block.strip(b"\r\n")), b"\n"))
        _check_names(path, names, columns)

        def work(block: bytes) -> list[Converted]:
            return [finish(batch) for batch in parse(block, names, schema)]

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


def _parquet(path: Path, columns: Columns, finish: Callable[[pa.RecordBatch], Converted]) -> Iterator[Converted]:
    with pyarrow.parquet.ParquetFile(path) as file:
        _check_names(path, file.schema_arrow.names, columns)
        for batch in file.iter_batches(PARQUET_ROWS, columns=[*columns.numbers, *columns.texts]):
            batch.validate(full=True)  # its texts may not be UTF-8
            yield finish(batch)


@contextmanager
def _opened(path: Path, member: str) -> Iterator[IO[bytes]]:
    """The csv's bytes, unpacked."""
    if path.suffix.lower() == ".zip":
        with zipfile.ZipFile(path) as archive:
            if member not in (held := archive.namelist()):
                reason = f"only {listed(held)}; unpack the csv you mean" if held else "it is an empty archive"
                raise DataError(f"{path} holds no {member}, {reason}.")
            if archive.getinfo(member).compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
                raise DataError(  # Python unpacks the other kinds in memory without bounds
                    f"{path} packs {member} otherwise than by deflate, which zip programs do by default; pack it anew."
                )
            with archive.open(member) as file:
                yield file
    else:
        with gzip.open(path) if path.suffix.lower() == ".gz" else path.open("rb") as file:
            yield cast("IO[bytes]", file)


def _check_names(path: Path, found: list[str], columns: Columns) -> None:
    """Refuse repeated, missing and unexpected columns."""
    wanted, known, given = [*columns.numbers, *columns.texts], set(columns.ignored), set(found)
    known.update(wanted)
    repeated = [name for name, count in Counter(found).items() if count > 1]
    missing = [name for name in wanted if name not in given]
    extra = [name for name in found if name not in known]
    if repeated:
        raise DataError(f"{path} has the column {repeated[0]!r} more than once; every column needs a name of its own.")
    if len(found) == 1 and len(wanted) > 1:
        raise DataError(f"{path} has one column, named {found[0][:40]!r}; expected {len(wanted)} separated by commas.")
    if missing:
        near = get_close_matches(missing[0], extra[:MAX_NEAR], 1)
        hint = f"did you mean {near[0]!r}?" if near else f"expected {len(wanted)} columns, found {len(found)}."
        raise DataError(f"{path} lacks {listed(missing)}; {hint}")
    if extra:
        raise DataError(f"{path} has unexpected columns: {listed(extra)}; remove them, or name them in the problem.")


def _unreadable(path: Path, error: Exception) -> DataError:
    said = getattr(error, "strerror", None) or str(error) or type(error).__name__
    reason = said.splitlines()[0]
    if isinstance(error, UnicodeDecodeError) or "UTF8" in reason:
        reason = "it is not UTF-8 text; save it as UTF-8"
    return DataError(f"{path} cannot be read as a table: {reason.rstrip('.')}.")
