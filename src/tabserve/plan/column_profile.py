"""What a column of a table holds, gathered batch by batch in constant memory."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from tabserve.plan.batch_profile import FIRST, BatchProfile, Order
from tabserve.plan.forms import FORMS, Form
from tabserve.plan.tally import MAX_COUNTED, Tally


@dataclass(frozen=True)
class Held:
    """The cells of one form in a column.

    Attributes:
        count: how many cells have the form.
        first: the first of them that differ, at most `FIRST`, as (row, cell); rows are numbered from 1.
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
        first_empty: the first row with an empty cell, numbered from 1; None if there is none.
        distinct: different cells that are not empty; an estimate if there are more than `MAX_COUNTED`.
        repeats: whether a cell that is not empty occurs twice; seen in a sample of the cells if there are too many.
        forms: how many cells have each form that occurs, and the first of them.
        levels: the most frequent cells that are not empty, with their counts; all if there are at most `MAX_COUNTED`.
        low: the smallest number; None if there are no numbers.
        high: the largest number.
        rising: whether each row has a larger number, or a later date, than the row before.
        longest: characters of the longest cell.
        words: mean number of words of the cells that are texts; 0 if there are none.
        stored: the Arrow type of a column of parquet or Arrow; empty for a csv.
        readable: whether its cells are numbers, texts, booleans or dates, and not lists or bytes.
        copy_of: the first column with the same cells, or None.
        decimal: the decimal sign of its numbers.
    """

    name: str
    rows: int
    empty: int = 0
    first_empty: int | None = None
    distinct: int = 0
    repeats: bool = False
    forms: Mapping[Form, Held] = field(default_factory=dict)
    levels: tuple[tuple[str, int], ...] = ()
    low: float | None = None
    high: float | None = None
    rising: bool = False
    longest: int = 0
    words: float = 0.0
    stored: str = ""
    readable: bool = True
    copy_of: str | None = None
    decimal: str = "."

    @property
    def present(self) -> int:
        """Cells that are not empty."""
        return self.rows - self.empty

    @property
    def counted(self) -> bool:
        """Whether all different cells were counted one by one."""
        return self.distinct <= MAX_COUNTED

    @property
    def example(self) -> str:
        """The first cell that is not empty; the empty text if there is none."""
        return min((held.first[0] for held in self.forms.values()), default=(0, ""))[1]

    @property
    def example_number(self) -> str:
        """A number as the table has to write it."""
        return f"1234{self.decimal}5"

    def count(self, *forms: Form) -> int:
        """How many cells have one of these forms."""
        return sum(self.forms[form].count for form in forms if form in self.forms)


class GrowingProfile:
    """What is known of a column after some batches."""

    def __init__(self) -> None:
        self._tally, self._forms = Tally(), dict[Form, Held]()
        self._first_empty: int | None = None
        self._empty = self._longest = self._words = 0
        self._low, self._high = np.inf, -np.inf
        self._order: Order | None = Order(None, None, rising=True)
        self._digest = hashlib.blake2b(digest_size=16)

    def add(self, batch: BatchProfile, rows_before: int) -> None:
        """Add what the next batch holds; `rows_before` come before it in the table."""
        self._tally.add(batch.texts, batch.counts)
        for code in np.unique(batch.classified.codes):
            self._add_form(batch, FORMS[code], rows_before)
        if self._first_empty is None and batch.first_empty is not None:
            self._first_empty = rows_before + batch.first_empty + 1
        self._empty, self._words = self._empty + batch.empty, self._words + batch.words
        self._longest = max(self._longest, batch.longest)
        self._low = float(np.fmin.reduce(batch.classified.numbers, initial=self._low))
        self._high = float(np.fmax.reduce(batch.classified.numbers, initial=self._high))
        self._order = _joined(self._order, batch.order)
        self._digest.update(batch.digest)

    @property
    def digest(self) -> bytes:
        """A digest of all cells in their order."""
        return self._digest.digest()

    def finish(self, name: str, rows: int, stored: str, copy_of: str | None, decimal: str) -> ColumnProfile:
        """What the whole column holds."""
        texts, numbers = self._forms.get(Form.TEXT), np.isfinite(self._low)
        return ColumnProfile(
            name,
            rows,
            self._empty,
            self._first_empty,
            min(self._tally.distinct, rows - self._empty) if self._tally.repeats else rows - self._empty,
            self._tally.repeats,
            self._forms,
            self._tally.levels,
            self._low if numbers else None,
            self._high if numbers else None,
            self._order is not None,
            self._longest,
            self._words / texts.count if texts else 0.0,
            stored,
            copy_of=copy_of,
            decimal=decimal,
        )

    def _add_form(self, batch: BatchProfile, form: Form, rows_before: int) -> None:
        count, first = batch.of_form(form)
        held = self._forms.get(form, Held(0, ()))
        cells = {cell: row for row, cell in held.first}
        for row, cell in first:
            if len(cells) < FIRST:
                cells.setdefault(cell, rows_before + row + 1)
        self._forms[form] = Held(held.count + count, tuple((row, cell) for cell, row in cells.items()))


def _joined(before: Order | None, after: Order | None) -> Order | None:
    """The order of the cells of both, or None if they do not rise."""
    if before is None or after is None or not after.rising:
        return None
    begins = before.last is None
    return after if begins or (type(before.last) is type(after.first) and before.last < after.first) else None
