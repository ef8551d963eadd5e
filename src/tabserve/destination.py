"""Where a command writes: apart from what it reads, under a name that says what is written there."""

import os
import re
from collections.abc import Sequence
from itertools import combinations
from pathlib import Path, PurePath

from tabserve.errors import DataError, UsageError

TABLES = (".csv", ".csv.gz", ".parquet")
"""Endings of the tables that are written; all of them are read as well."""

Place = str | Path
"""A path, or an address such as `s3a://bucket/rows`."""


def check_apart(outputs: Sequence[Place | None], inputs: Sequence[Place | None]) -> None:
    """Refuse an output that is an input or another output, lies in one, or holds one, by whatever name.

    Args:
        outputs: files and folders to be written; None where there is none.
        inputs: those that are read; None where there is none.

    Raises:
        DataError: naming both.
    """
    written, read = ([place for place in places if place] for places in (outputs, inputs))
    pairs = [(one, other, "read") for one in written for other in read]
    pairs += [(one, other, "written") for one, other in combinations(written, 2)]
    for one, other, done in pairs:
        if relation := _relation(_real(one), _real(other)):
            raise DataError(
                f"{one} cannot be written: it {relation} {other}, which is {done} as well; name another place."
            )


def ending(place: Place, known: Sequence[str] = TABLES, default: str | None = None) -> str:
    """How a name ends, of the endings known; the default where it has none.

    Raises:
        UsageError: it has another, or none and there is no default.
    """
    name = PurePath(place).name.lower()
    if default and "." not in name:
        return default
    if found := [each for each in known if name.endswith(each)]:
        return found[0]
    *others, last = known
    expected = f"{', '.join(others)} or {last}" if others else last
    raise UsageError(f"{place} cannot be written: expected a name that ends in {expected}, which says what is written.")


def _real(place: Place) -> str:
    """The one name of a file or folder of this machine, behind all links; an address is a name like any other."""
    return os.path.realpath(re.sub("^file:/+", "/", str(place)))


def _relation(output: str, other: str) -> str | None:
    """How an output stands to another place, where it is not apart from it."""
    one, two = _identity(output), _identity(other)
    if one == two:
        return "is"
    if two in map(_identity, map(str, PurePath(output).parents)):
        return "lies in"
    return "holds" if one in map(_identity, map(str, PurePath(other).parents)) else None


def _identity(place: str) -> object:
    """The same of all names of one file: also of hard links, or where capitals do not count."""
    try:
        found = os.stat(place)  # noqa: PTH116  of many files, of which Path's takes longer
    except OSError:
        return place
    return found.st_dev, found.st_ino
