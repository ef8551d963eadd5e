"""Paths of this machine, and addresses such as `s3a://bucket/rows`: how Spark and how people write them."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import unquote

from tabserve.errors import DataError
from tabserve.files import whole_folder

SCHEME = re.compile(r"[A-Za-z][\w+.-]+:/")

PATTERN = re.compile(r"[\\*?\[\]{}]")
"""Characters by which Spark takes a name for a pattern."""

OUTPUT_FILE = re.compile(r"_SUCCESS|\._SUCCESS\.crc|\.?part-.*")
"""Names of the files in a folder that Spark wrote."""


def display_path(uri: str) -> str:
    """A file's path or address as people write it, of the URI that Spark gives."""
    return _without_file_scheme(unquote(uri))


def address(path: str) -> str:
    """Spark's address of a path; one without a scheme is on this machine, whatever Spark's default file system is."""
    return path if SCHEME.match(path) else f"file://{Path(path).absolute()}"


def literal_address(path: str) -> str:
    """The address of one file, with the characters of Spark's patterns escaped."""
    return PATTERN.sub(r"\\\g<0>", address(path))


def input_address(path: str) -> str:
    """The address to read from: a pattern, unless this machine has a file of just that name."""
    local = local_path(path)
    return literal_address(path) if local and local.exists() else address(path)


def check_input(path: str) -> None:
    """Refuse a path of this machine where nothing is; Spark itself refuses a pattern that no file matches.

    Raises:
        DataError: there is no such file or folder.
    """
    local = local_path(path)
    if local and not local.exists() and not PATTERN.search(path):
        raise DataError(f"{path} cannot be read as a table: there is no such file or folder.")


def check_output(path: str, *, overwrite: bool) -> None:
    """Refuse a folder of this machine that may not be written.

    Args:
        path: the folder to write.
        overwrite: whether a folder that Spark wrote earlier may be replaced.

    Raises:
        DataError: something is there that may not be replaced.
    """
    local = local_path(path)
    if local is None or not (local.exists() or local.is_symlink()):
        return
    if not overwrite:
        raise DataError(f"{path} exists; name another place, or let it be replaced by --overwrite.")
    folder = local.is_dir() and not local.is_symlink()
    if not (folder and all(OUTPUT_FILE.fullmatch(file.name) for file in local.iterdir())):
        raise DataError(f"{path} holds something other than an earlier output; name another place, or remove it first.")


@contextmanager
def output_address(path: str) -> Iterator[str]:
    """The address that Spark writes to, so that a folder of this machine appears whole or not at all.

    Elsewhere Spark writes to `path` itself: it moves each file there when all are written, and `_SUCCESS` comes last.
    """
    local = local_path(path)
    if local is None:
        yield path
    else:
        with whole_folder(local) as fresh:
            yield address(str(fresh))


def local_path(path: str) -> Path | None:
    """The path on this machine, or None if the file is elsewhere."""
    plain = _without_file_scheme(address(path))
    return None if SCHEME.match(plain) else Path(plain)


def _without_file_scheme(uri: str) -> str:
    return re.sub("^file:/+", "/", uri)
