"""Open a table's file by its content, whatever its name: csv, csv.gz, Kaggle's zip or parquet."""

import gzip
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from io import BufferedReader
from pathlib import Path
from typing import IO, cast

import pyarrow as pa

from tabserve.errors import DataError
from tabserve.table.formats import AS_CSV, CSV, FIRST_BYTES, GZIP, OFFICE_DOCUMENTS, PARQUET, ZIP, detect_format
from tabserve.wording import listed

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
"""Errors raised while a missing, truncated, encrypted or foreign file is read."""


@contextmanager
def open_table(path: Path, member: str) -> Iterator[tuple[str, IO[bytes]]]:
    """Open a table: its format (of `formats`) and its bytes, unpacked if they are packed.

    Args:
        path: the file.
        member: the csv inside a zip.

    Raises:
        DataError: naming the file, if it cannot be read, also later within the block.
    """
    with refuse_unreadable(path), path.open("rb") as file:
        table_format = detect_format(file.peek(FIRST_BYTES)[:FIRST_BYTES], str(path))
        if table_format in {ZIP, PARQUET} and not file.seekable():
            raise DataError(
                f"{path} cannot be read as a table: {table_format} does not come through a pipe; save it first."
            )
        with _unpack(path, file, table_format, member) as content:
            yield table_format, content


@contextmanager
def refuse_unreadable(path: Path | str) -> Iterator[None]:
    """Turn an error while the file is read into one that names it.

    Raises:
        DataError: naming the file and why it cannot be read.
    """
    try:
        yield
    except MemoryError:  # Arrow's is also one of `UNREADABLE`
        raise
    except UNREADABLE as error:
        raise _to_data_error(path, error) from error


@contextmanager
def _unpack(path: Path, file: BufferedReader, table_format: str, member: str) -> Iterator[IO[bytes]]:
    if table_format == ZIP:
        with zipfile.ZipFile(file) as archive, _open_member(path, archive, member) as unpacked:
            yield unpacked
    elif table_format == GZIP:
        with gzip.GzipFile(fileobj=file) as unpacked:
            _check_csv(path, unpacked.peek(FIRST_BYTES))
            yield cast("IO[bytes]", unpacked)
    else:
        yield file


@contextmanager
def _open_member(path: Path, archive: zipfile.ZipFile, member: str) -> Iterator[IO[bytes]]:
    if member not in (members := archive.namelist()):
        if document := next((title for name, title in OFFICE_DOCUMENTS.items() if name in members), None):
            raise DataError(f"{path} cannot be read as a table: it is {document}; {AS_CSV}.")
        reason = f"only {listed(members)}; unpack the csv you mean" if members else "it is an empty archive"
        raise DataError(f"{path} holds no {member}, {reason}.")
    if archive.getinfo(member).compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise DataError(  # Python's memory is unbounded when it unpacks by other methods
            f"{path} packs {member} otherwise than by deflate, which zip programs do by default; pack it anew."
        )
    with archive.open(member) as file:
        _check_csv(path, cast("zipfile.ZipExtFile", file).peek(FIRST_BYTES))
        yield file


def _check_csv(path: Path, first: bytes) -> None:
    """Refuse a packed file that is not a csv."""
    name = f"{path}, once unpacked,"
    if (content := detect_format(first, name)) != CSV:
        raise DataError(f"{name} cannot be read as a table: it is {content}; unpack it.")


def _to_data_error(path: Path | str, error: Exception) -> DataError:
    message = getattr(error, "strerror", None) or str(error) or type(error).__name__
    reason = message.splitlines()[0]
    if isinstance(error, UnicodeDecodeError) or "UTF8" in reason:
        reason = "it is not UTF-8 text; save it as UTF-8"
    if "Empty CSV" in reason:
        reason = "it is empty; it needs a header, and a row for each example"
    return DataError(f"{path} cannot be read as a table: {reason.rstrip('.')}.")
