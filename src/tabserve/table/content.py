"""A table's file opened: csv, csv.gz, Kaggle's zip or parquet, whatever its name."""

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
from tabserve.table.formats import AS_CSV, CSV, DOCUMENTS, FIRST_BYTES, GZIP, PARQUET, ZIP, kind
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
"""What a missing, truncated, encrypted or foreign file raises while it is read."""


@contextmanager
def opened(path: Path, member: str) -> Iterator[tuple[str, IO[bytes]]]:
    """What a file holds, csv or parquet, and its bytes; those of a csv unpacked.

    Raises:
        DataError: naming the file, for all that goes wrong while it is read.
    """
    with reading(path), path.open("rb") as file:
        found = kind(file.peek(FIRST_BYTES)[:FIRST_BYTES], str(path))
        if found in {ZIP, PARQUET} and not file.seekable():
            raise DataError(f"{path} cannot be read as a table: {found} does not come through a pipe; save it first.")
        with _unpacked(path, file, found, member) as content:
            yield found, content


@contextmanager
def reading(path: Path | str) -> Iterator[None]:
    """Say of a file that cannot be read why.

    Raises:
        DataError: naming it.
    """
    try:
        yield
    except MemoryError:  # Arrow's is among what follows
        raise
    except UNREADABLE as error:
        raise _unreadable(path, error) from error


@contextmanager
def _unpacked(path: Path, file: BufferedReader, found: str, member: str) -> Iterator[IO[bytes]]:
    if found == ZIP:
        with zipfile.ZipFile(file) as archive, _member(path, archive, member) as held:
            yield held
    elif found == GZIP:
        with gzip.GzipFile(fileobj=file) as unpacked:
            _check_content(path, unpacked.peek(FIRST_BYTES))
            yield cast("IO[bytes]", unpacked)
    else:
        yield file


@contextmanager
def _member(path: Path, archive: zipfile.ZipFile, member: str) -> Iterator[IO[bytes]]:
    if member not in (held := archive.namelist()):
        if found := next((what for name, what in DOCUMENTS.items() if name in held), None):
            raise DataError(f"{path} cannot be read as a table: it is {found}; {AS_CSV}.")
        reason = f"only {listed(held)}; unpack the csv you mean" if held else "it is an empty archive"
        raise DataError(f"{path} holds no {member}, {reason}.")
    if archive.getinfo(member).compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise DataError(  # Python unpacks the other kinds in memory without bounds
            f"{path} packs {member} otherwise than by deflate, which zip programs do by default; pack it anew."
        )
    with archive.open(member) as file:
        _check_content(path, cast("zipfile.ZipExtFile", file).peek(FIRST_BYTES))
        yield file


def _check_content(path: Path, first: bytes) -> None:
    """Refuse what is packed and is no csv."""
    inside = f"{path}, once unpacked,"
    if (found := kind(first, inside)) != CSV:
        raise DataError(f"{inside} cannot be read as a table: it is {found}; unpack it.")


def _unreadable(path: Path | str, error: Exception) -> DataError:
    said = getattr(error, "strerror", None) or str(error) or type(error).__name__
    reason = said.splitlines()[0]
    if isinstance(error, UnicodeDecodeError) or "UTF8" in reason:
        reason = "it is not UTF-8 text; save it as UTF-8"
    return DataError(f"{path} cannot be read as a table: {reason.rstrip('.')}.")
