"""Check where a command writes: apart from what it reads, and with an ending that says the format."""

import os
import re
from collections.abc import Sequence
from itertools import combinations
from pathlib import Path, PurePath

from tabserve.errors import DataError, UsageError

TABLES = (".csv", ".csv.gz", ".parquet")
"""Endings of the tables that can be written; all of them can be read."""

Place = str | Path
"""A path, or an address such as `s3a://bucket/rows`."""


def check_apart(outputs: Sequence[Place | None], inputs: Sequence[Place | None]) -> None:
    """Refuse an output that is, lies in, or holds an input or another output, also behind links.

    Args:
        outputs: files and folders to be written; None where there is none.
        inputs: those that are read; None where there is none.

    Raises:
        DataError: the message names both.
    """
    written, read = ([path for path in paths if path] for paths in (outputs, inputs))
    pairs = [(one, other, "read") for one in written for other in read]
    pairs += [(one, other, "written") for one, other in combinations(written, 2)]
    for one, other, done in pairs:
        if relation := _relation(_real(one), _real(other)):
            raise DataError(
                f"{one} cannot be written: it {relation} {other}, which is {done} as well; name another place."
            )


def ending(place: Place, known: Sequence[str] = TABLES, default: str | None = None) -> str:
    """The ending of a name, one of those known, or the default if the name has none.

    Raises:
        UsageError: the ending is another, or the name has none and there is no default.
    """
    name = PurePath(place).name.lower()
    if default and "." not in name:
        return default
    if matches := [ending for ending in known if name.endswith(ending)]:
        return matches[0]
    *others, last = known
    expected = f"{', '.join(others)} or {last}" if others else last
    raise UsageError(f"{place} cannot be written: expected a name that ends in {expected}, which says what is written.")


def _real(place: Place) -> str:
    """The path of a local file or folder with all links resolved; an address stays as it is."""
    return os.path.realpath(re.sub("^file:/+", "/", str(place)))


def _relation(output: str, other: str) -> str | None:
    """How an output and another path overlap, as a verb, or None if they do not."""
    one, two = _identity(output), _identity(other)
    if one == two:
        return "is"
    if two in map(_identity, map(str, PurePath(output).parents)):
        return "lies in"
    return "holds" if one in map(_identity, map(str, PurePath(other).parents)) else None


def _identity(place: str) -> object:
    """A value that all names of one file share, also hard links and, on such file systems, names in other case."""
    try:
        status = os.stat(place)  # noqa: PTH116  Path's takes longer, and there may be many files
    except OSError:
        return place
    return status.st_dev, status.st_ino
