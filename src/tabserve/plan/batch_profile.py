"""What one batch of a table holds of a column: its different cells, how often and where first, and their forms."""

import hashlib
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from tabserve.encoding.cells import SPACES
from tabserve.plan.forms import CODES, DATES, FORMS, NUMBERS, Classified, Form, classify
from tabserve.plan.sketch import text_bytes
from tabserve.table.cast import blank_numbers, in_utc

FIRST = 3
"""First cells of each form that are kept."""


class Order(NamedTuple):
    """The first and the last cell, as numbers or as ISO dates, and whether every cell is above the one before."""

    first: Any
    last: Any
    rising: bool


class BatchProfile(NamedTuple):
    """What a batch holds of a column; rows are numbered from 0.

    Attributes:
        texts: the different cells that are not empty, as texts, in the order in which they first occur.
        counts: how often each occurs; int64.
        rows: the first row of each; int64.
        classified: their forms and numbers.
        empty: number of empty cells.
        first_empty: the first row with an empty cell, or None.
        order: of the cells, if all are numbers, or all are dates.
        longest: characters of the longest cell.
        words: words in all texts that are neither numbers nor dates.
        digest: of all cells in their order; columns with the same cells have the same.
    """

    texts: pa.Array
    counts: NDArray[np.int64]
    rows: NDArray[np.int64]
    classified: Classified
    empty: int
    first_empty: int | None
    order: Order | None
    longest: int
    words: int
    digest: bytes

    def of_form(self, form: Form) -> tuple[int, list[tuple[int, str]]]:
        """How many cells have a form, and the first few that differ."""
        chosen = np.flatnonzero(self.classified.codes == CODES[form])
        first = chosen[:FIRST]
        cells = self.texts.take(pa.array(first)).to_pylist()
        return int(self.counts[chosen].sum()), [*zip(self.rows[first].tolist(), cells, strict=True)]


def profile_batch(column: pa.Array, blanks: Sequence[str], decimal: str) -> BatchProfile:
    """What a batch holds of a column.

    Args:
        column: its cells, of any type that can be written as text.
        blanks: spellings of an empty cell, beside null and the empty text.
        decimal: the decimal sign of numbers.
    """
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()  # so that the texts come in the order in which they first occur
    encoded = column.dictionary_encode()
    codes = encoded.indices.fill_null(-1).to_numpy(zero_copy_only=False).astype(np.int64)
    texts = _to_texts(encoded.dictionary)
    unified = texts.dictionary_encode()
    if len(unified.dictionary) < len(texts):  # texts that differ in surrounding spaces alone are one
        codes = np.append(unified.indices.to_numpy(zero_copy_only=False), -1)[codes].astype(np.int64)
        texts = unified.dictionary
    classified = classify(texts, decimal)
    is_blank = np.asarray(pc.is_in(texts, pa.array(["", *blanks])))
    is_blank |= np.isin(classified.numbers, blank_numbers(blanks))
    is_held = np.append(~is_blank, False)  # null has the code -1
    chosen = np.flatnonzero(is_held)
    held, counts = texts.take(pa.array(chosen)), np.bincount(codes + 1, minlength=len(texts) + 1)[chosen + 1]
    empty_rows = np.flatnonzero(~is_held[codes])
    classified = Classified(classified.codes[chosen], classified.numbers[chosen])
    return BatchProfile(
        held,
        counts,
        _first_rows(codes, len(texts))[chosen],
        classified,
        len(empty_rows),
        int(empty_rows[0]) if len(empty_rows) else None,
        None if len(empty_rows) or not len(codes) else _order(codes, held, classified),
        *_sizes(held, counts, classified),
        _digest(codes, texts),
    )


def _first_rows(codes: NDArray[np.int64], distinct: int) -> NDArray[np.int64]:
    """The first row of each code; codes that do not occur get 0."""
    rows = np.zeros(distinct, np.int64)
    backwards = np.flatnonzero(codes >= 0)[::-1]
    rows[codes[backwards]] = backwards  # the first row is written last
    return rows


def _order(codes: NDArray[np.int64], texts: pa.Array, classified: Classified) -> Order | None:
    """The order of cells that are all numbers, or all dates, and none of them empty."""
    forms = {FORMS[code] for code in np.unique(classified.codes)}
    if forms <= {*NUMBERS}:
        numbers = classified.numbers[codes]
        return Order(float(numbers[0]), float(numbers[-1]), bool((np.diff(numbers) > 0).all()))
    if len(forms) == 1 and forms <= {*DATES}:
        cells = texts.take(pa.array(codes))
        return Order(cells[0].as_py(), cells[-1].as_py(), not pc.any(pc.greater_equal(cells[:-1], cells[1:])).as_py())
    return None


def _sizes(texts: pa.Array, counts: NDArray[np.int64], classified: Classified) -> tuple[int, int]:
    """Characters of the longest text, and the number of words in all cells of other forms than numbers and dates."""
    wordy = np.flatnonzero(classified.codes == CODES[Form.TEXT])
    longest = pc.max(pc.utf8_length(texts)).as_py() or 0
    if not len(wordy):
        return longest, 0
    spaces = pc.count_substring(texts.take(pa.array(wordy)), " ").to_numpy(zero_copy_only=False)
    return longest, int(((spaces + 1) * counts[wordy]).sum())


def _digest(codes: NDArray[np.int64], texts: pa.Array) -> bytes:
    """A digest of the cells in their order: codes are given in the order in which the texts first occur."""
    digest = hashlib.blake2b(codes.tobytes(), digest_size=16)
    for part in text_bytes(texts):
        digest.update(part.tobytes())
    return digest.digest()


def _to_texts(values: pa.Array) -> pa.Array:
    """Values as text, without surrounding spaces and tabs, moments in UTC; null and NaN become the empty text."""
    values = in_utc(values)
    if pa.types.is_floating(values.type):
        values = pc.if_else(pc.is_nan(values), None, values)
    return pc.ascii_trim(values.cast(pa.string()).fill_null(""), SPACES)
