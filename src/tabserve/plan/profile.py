"""What the columns of a table hold, found in one pass over the whole table in constant memory."""

from collections.abc import Mapping
from dataclasses import dataclass

from tabserve.plan.forms import Form


@dataclass(frozen=True)
class Held:
    """The cells of one form in a column.

    Attributes:
        count: how many cells have the form.
        first: the first of them, at most `FIRST`, as (row, cell); rows are numbered from 1.
    """

    count: int
    first: tuple[tuple[int, str], ...]


@dataclass(frozen=True)
class ColumnProfile:
    """What a column holds.

    Attributes:
        name: its name.
        rows: rows of the table.
        empty: empty cells, and those of a spelling that the user named as missing.
        distinct: different cells that are not empty; an estimate if there are more than `MAX_COUNTED`.
        repeats: whether a cell that is not empty occurs twice; found in a sample of the values if there are too many.
        forms: how many cells have each form that occurs, and the first of them.
        levels: the most frequent cells that are not empty, with their counts; all if there are at most `MAX_COUNTED`.
        low: the smallest number, None if there are no numbers.
        high: the largest number.
        rising: whether each row has a larger number, or a later date, than the row before.
        longest: characters of the longest cell.
        words: mean number of words of the cells that are not empty.
        stored: the Arrow type of a column of parquet or Arrow; empty for a csv.
        copy_of: the first column with the same cells, or None.
    """

    name: str
    rows: int
    empty: int
    distinct: int
    repeats: bool
    forms: Mapping[Form, Held]
    levels: tuple[tuple[str, int], ...]
    low: float | None
    high: float | None
    rising: bool
    longest: int
    words: float
    stored: str
    copy_of: str | None

    @property
    def example(self) -> str:
        """The first cell that is not empty; the empty text if there is none."""
        cells = [held.first[0] for held in self.forms.values() if held.first]
        return min(cells)[1] if cells else ""


@dataclass(frozen=True)
class TableProfile:
    """What a table holds.

    Attributes:
        rows: their number.
        columns: in the order of the table.
    """

    rows: int
    columns: tuple[ColumnProfile, ...]
