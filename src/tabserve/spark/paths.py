"""Where files are: on this machine, or wherever an address such as `s3a://bucket/rows` says."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import unquote

from tabserve.errors import DataError
from tabserve.files import whole_folder

SCHEME = re.compile(r"[A-Za-z][\w+.-]+:/")

PATTERN = re.compile(r"[\\*?\[\]{}]")
"""What makes a pattern of a name, to Spark."""

OUTPUT = re.compile(r"_SUCCESS|\._SUCCESS\.crc|\.?part-.*")
"""The files of a folder that Spark wrote."""


def plain(uri: str) -> str:
    """What people call a file that Spark names by a URI."""
    return _path(unquote(uri))


def address(place: str) -> str:
    """What Spark calls a place; without a scheme it is on this machine, whatever Spark's own default is."""
    return place if SCHEME.match(place) else f"file://{Path(place).absolute()}"


def literal(place: str) -> str:
    """The address of one file, whose name may hold what is a pattern to Spark."""
    return PATTERN.sub(r"\\\g<0>", address(place))


def existing(place: str) -> str:
    """The address of what is to be read: a pattern, unless a file of this machine is called so."""
    path = local(place)
    return literal(place) if path and path.exists() else address(place)


def check_input(place: str) -> None:
    """Refuse a place on this machine where nothing is; what matches a pattern is found out by Spark.

    Raises:
        DataError: there is no such file or folder.
    """
    path = local(place)
    if path and not path.exists() and not PATTERN.search(place):
        raise DataError(f"{place} cannot be read as a table: there is no such file or folder.")


def check_output(place: str, *, overwrite: bool) -> None:
    """Refuse a place on this machine that nothing may be written to.

    Args:
        place: a folder to be.
        overwrite: whether what Spark wrote there earlier may be replaced.

    Raises:
        DataError: something is there that may not be replaced.
    """
    path = local(place)
    if path is None or not (path.exists() or path.is_symlink()):
        return
    if not overwrite:
        raise DataError(f"{place} exists; name another place, or let it be replaced by --overwrite.")
    ours = path.is_dir() and not path.is_symlink() and all(OUTPUT.fullmatch(each.name) for each in path.iterdir())
    if not ours:
        raise DataError(
            f"{place} holds something other than an earlier output; name another place, or remove it first."
        )


@contextmanager
def written(place: str) -> Iterator[str]:
    """The address that Spark is to write to, so that a folder on this machine appears whole or not at all.

    Elsewhere it is the place itself: Spark moves each file there when all are written, and `_SUCCESS` comes last.
    """
    path = local(place)
    if path is None:
        yield place
    else:
        with whole_folder(path) as fresh:
            yield address(str(fresh))


def local(place: str) -> Path | None:
    """The path of a place on this machine."""
    found = _path(address(place))
    return None if SCHEME.match(found) else Path(found)


def _path(uri: str) -> str:
    """Without the scheme of this machine's files."""
    return re.sub("^file:/+", "/", uri)
