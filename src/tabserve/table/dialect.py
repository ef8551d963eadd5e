"""How a csv separates cells and writes decimals, and how to find it out."""

import csv
import io
import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice

from tabserve.errors import UsageError

MISSING = [
    *("", "NA", "NaN", "nan", "null", "NULL", "None"),
    *("N/A", "n/a", "N.A.", "n.a.", "na", "Na", "#N/A", "#NA", "<NA>", "nil", "Nil", "NIL", "none", "NONE", "Null"),
    *("?", "-", "--", "---", ".", "..", "...", "\\N", "(null)"),
]
"""How an empty cell is spelled among numbers."""

DELIMITERS = (",", ";", "\t", "|")
"""The delimiters that are recognised, in this order if several cut the rows alike."""

DECIMALS = (".", ",")

MOST_ROWS, MOST_BYTES = 200, 1 << 16
"""How much of a csv is cut at most to find the delimiter."""

MOST_DECIMALS = 10_000
"""Cells at most that are examined to find a decimal sign."""

NUMBER = r"[-+]?(?:[0-9]{{1,3}}(?:{other}[0-9]{{3}})+|[0-9]+){decimal}[0-9]+(?:[eE][-+]?[0-9]+)?"
"""A number with decimals, perhaps with separators of thousands before them."""

AMBIGUOUS = re.compile(r"[-+]?[1-9][0-9]{0,2}[.,][0-9]{3}")
"""A number whose sign may stand before decimals or between thousands, such as 1,234."""


@dataclass(frozen=True)
class Dialect:
    """The signs of a csv.

    Attributes:
        delimiter: stands between two cells; one ASCII character.
        decimal: stands before the decimals of a number; a point or a comma.
    """

    delimiter: str = ","
    decimal: str = "."

    def __post_init__(self) -> None:
        """Refuse a delimiter that may stand in a cell, and other decimal signs than a point and a comma."""
        if not _separates(self.delimiter):
            raise UsageError(
                f"A csv needs one sign between its cells, such as ',', ';', '|' or a tab, not {self.delimiter!r:.60}."
            )
        if self.decimal not in DECIMALS:
            raise UsageError(f"A csv needs a point or a comma as its decimal sign, not {self.decimal!r:.60}.")


def find_dialect(start: bytes) -> Dialect:
    """The dialect of a csv by its first rows; a comma and a point unless the rows show others.

    A comma as delimiter goes with a point: whoever writes decimals with a comma has to quote each of them otherwise.

    Args:
        start: of the file, without a byte order mark.
    """
    start = start.lstrip(b"\r\n")
    rows = start[:MOST_BYTES].decode(errors="replace")
    delimiter = max(DELIMITERS, key=lambda delimiter: _fit(rows, delimiter))
    if delimiter == ",":
        return Dialect()
    cells = [cell.strip(" ") for cell in re.split(rf'[{re.escape(delimiter)}"\r\n]', start.decode(errors="replace"))]
    point, comma = (_count_decimals(cells, sign) for sign in DECIMALS)
    return Dialect(delimiter, "," if comma > point else ".")


def _fit(text: str, delimiter: str) -> float:
    """The share of the rows with as many cells as the header; 0 if the header has one cell, or most rows have others.

    A last row without a line end is left out, as it may be cut.
    """
    counts = _cell_counts(text, delimiter)
    header = next(counts, 0)
    if header < 2:
        return 0.0
    others = [*counts]
    rows = (others if text.endswith("\n") else others[:-1]) or [header]
    share = rows.count(header) / len(rows)
    return share if share > 1 / 2 else 0.0


def _cell_counts(text: str, delimiter: str) -> Iterator[int]:
    """The number of cells of each row, without empty rows."""
    with suppress(csv.Error):  # a cell that is longer than its limit
        rows = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
        yield from islice(filter(None, map(len, rows)), MOST_ROWS)


def _count_decimals(cells: list[str], decimal: str) -> int:
    """The number of cells that can only be numbers with this decimal sign."""
    other = DECIMALS[decimal == DECIMALS[0]]
    number = re.compile(NUMBER.format(decimal=re.escape(decimal), other=re.escape(other)))
    candidates = islice((cell for cell in cells if decimal in cell), MOST_DECIMALS)
    return sum(bool(number.fullmatch(cell) and not AMBIGUOUS.fullmatch(cell)) for cell in candidates)


def _separates(delimiter: object) -> bool:
    """Whether a text is one ASCII character that no unquoted number, text or line end needs."""
    if not isinstance(delimiter, str) or len(delimiter) != 1 or not delimiter.isascii():
        return False
    return delimiter == "\t" or (delimiter.isprintable() and not delimiter.isalnum() and delimiter not in "\"'.+-_ ")
